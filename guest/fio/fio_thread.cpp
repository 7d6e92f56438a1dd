// SPDX-License-Identifier: Apache-2.0
#include "guest/fio/fio_thread.hpp"

#include <algorithm>

#include "guest/fio/fio_workload.hpp"

namespace gnomon::guest {

FioThread::FioThread(FioWorkload& workload, const fio::JobSpec& job, std::uint32_t number, Cpu& cpu,
                     NvmeDriver& driver, const fio::IoGenerator& generator, GuestPages& pages,
                     const BufferLayout& layout)
    : workload_(workload),
      job_(job),
      number_(number),
      home_(cpu),
      driver_(driver),
      generator_(generator),
      statistics_(job),
      units_(job.iodepth),
      ready_(job.iodepth) {
  const std::uint64_t bytes = std::max(job.block_size.read, job.block_size.write);
  for (std::uint32_t i = 0; i < job.iodepth; ++i) {
    allocate_buffer(units_[i], bytes, pages, layout);
    idle_units_.push_back(job.iodepth - 1 - i);
  }
}

void FioThread::allocate_buffer(IoUnit& unit, std::uint64_t bytes, GuestPages& pages, const BufferLayout& layout) {
  const std::uint64_t run_bytes = (64 * 1024) / layout.runs_per_64k;
  for (std::uint64_t done = 0; done < bytes; done += run_bytes) {
    const std::uint64_t piece = std::min(run_bytes, (bytes - done + page_size - 1) & ~(page_size - 1));
    unit.buffer.push_back({pages.allocate(piece, run_bytes), piece});
    pages.skip_page();  // neighbouring runs must not happen to be contiguous
  }
}

void FioThread::start(Cpu& from) {
  state_ = State::running;
  started_at_ = from.now() + job_.startdelay;
  not_before_ = started_at_;
  statistics_.start(started_at_);
  if (fio::JobLogs::wanted(job_)) logs_.emplace(job_).start(started_at_);
  home_.wake(*this, from);
}

bool FioThread::time_is_up(Time now) const {
  return job_.has_runtime && now >= started_at_ + job_.ramp_time + job_.runtime;
}

bool FioThread::turn(Cpu& cpu) {
  workload_.clock(cpu);
  if (state_ == State::running && time_is_up(cpu.now())) state_ = State::draining;
  if (state_ == State::running && in_flight_ < job_.iodepth && !exhausted_) {
    if (may_submit(cpu)) {
      // One io_submit() for as many as iodepth_batch allows and are ready.
      for (std::uint32_t n = 0; n < job_.iodepth_batch && in_flight_ < job_.iodepth && may_submit(cpu); ++n) {
        submit(cpu, n == 0);
      }
      return true;
    }
    if (!exhausted_) return !ready_.empty() && reap(cpu);  // paced: a timer will wake it
  }
  if (in_flight_ == 0) {
    finish(cpu);
    return false;
  }
  return reap(cpu);
}

/// An I/O is at hand and its time has come; else a timer is set, or the job has no more.
bool FioThread::may_submit(Cpu& cpu) {
  if (!have_next_) {
    have_next_ = generator_.next(next_io_);
    exhausted_ = !have_next_;
    if (exhausted_) return false;
  }
  Time at = not_before_;
  if (const std::uint64_t rate = job_.rate_iops[next_io_.direction]; rate != 0) {
    at = std::max(at, started_at_ + fio::paced_issue_time(issued_[next_io_.direction], rate));
  }
  if (at <= cpu.now()) return true;
  if (!armed()) cpu.arm_at(*this, at);
  return false;
}

void FioThread::submit(Cpu& cpu, bool first_of_call) {
  const std::uint32_t index = idle_units_.back();
  idle_units_.pop_back();
  have_next_ = false;
  ++in_flight_;
  ++submitted_;
  ++issued_[next_io_.direction];
  IoUnit& unit = units_[index];
  unit.begun = cpu.now();
  const auto direction =
      next_io_.direction == fio::Direction::read ? trace::Direction::read : trace::Direction::write;
  unit.request = {workload_.next_io(), direction, next_io_.offset, next_io_.bytes, unit.buffer, this, index, 0, 0};
  cpu.emit(trace::IoSubmitted{unit.request.io, next_io_.offset, next_io_.bytes, number_, cpu.id(), direction, 0});
  cpu.work(cpu.costs().fio_per_io);
  if (first_of_call) cpu.work(cpu.costs().io_submit);
  driver_.submit(cpu, unit.request);
  unit.submitted = cpu.now();
  statistics_.record_submission(next_io_.direction, unit.begun, unit.submitted, in_flight_);
  statistics_.record_submit_call(1, unit.submitted);
  if (logs_) logs_->submitted(next_io_.direction, next_io_.bytes, next_io_.offset, unit.begun, unit.submitted);
  if (job_.thinktime != Time{}) not_before_ = unit.submitted + job_.thinktime;
}

void FioThread::completed(Cpu& cpu, BlockRequest& request) {
  cpu.work(cpu.costs().aio_complete);
  cpu.emit(trace::IoCompleted{request.io, cpu.id(), static_cast<std::uint32_t>(request.status)});
  ready_.push_back(request.tag);
  home_.wake(*this, cpu);
}

/// io_getevents(min, max). False: not enough has completed, and the thread waits.
bool FioThread::reap(Cpu& cpu) {
  const std::uint32_t wanted = state_ == State::draining || exhausted_
                                   ? 1
                                   : std::max(1u, std::min(job_.iodepth_batch_complete_min, in_flight_));
  if (ready_.size() < wanted) return false;
  cpu.work(cpu.costs().io_getevents);
  cpu.sync();
  const auto count = std::min<std::size_t>(ready_.size(), std::max(job_.iodepth_batch_complete_max, wanted));
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t index = ready_.front();
    ready_.pop_front();
    IoUnit& unit = units_[index];
    const Time now = cpu.now();
    --in_flight_;
    ++completed_;
    if (unit.request.status != 0) {
      ++errors_;
      state_ = State::draining;  // fio ends a job at its first I/O error
    }
    const auto direction =
        unit.request.direction == trace::Direction::read ? fio::Direction::read : fio::Direction::write;
    statistics_.record_completion(direction, unit.request.bytes, unit.begun, unit.submitted, now);
    if (logs_)
      logs_->completed(direction, unit.request.bytes, unit.request.offset, unit.begun, unit.submitted, now);
    cpu.emit(trace::IoReaped{unit.request.io, unit.request.bytes, (now - unit.begun).ps(), number_, cpu.id(),
                             unit.request.direction, static_cast<std::uint32_t>(unit.request.status)});
    idle_units_.push_back(index);
  }
  statistics_.record_reap_call(static_cast<std::uint32_t>(count), cpu.now());
  return true;
}

void FioThread::finish(Cpu& cpu) {
  if (state_ == State::finished || state_ == State::created) return;
  state_ = State::finished;
  statistics_.finish(cpu.now());
  if (logs_) logs_->finish(cpu.now());
  workload_.thread_finished(cpu);
}

}  // namespace gnomon::guest
