// SPDX-License-Identifier: Apache-2.0
#include "guest/fio/fio_workload.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "guest/fio/fio_json.hpp"
#include "guest/fio/fio_text.hpp"

namespace gnomon::guest {

namespace {

/// The drive of /dev/nvmeXn1; a job without such a name goes to the first.
NvmeDriver& drive_of(const fio::JobSpec& job, const std::vector<NvmeDriver*>& drives) {
  constexpr std::string_view prefix = "/dev/nvme";
  constexpr std::string_view suffix = "n1";
  std::string_view name = job.filename;
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return *drives.front();
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  std::size_t number = 0;
  const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
  if (read.ec == std::errc{} && read.ptr == name.data() + name.size() && number < drives.size()) return *drives[number];
  throw std::invalid_argument("job '" + job.name + "': there is no " + job.filename);
}

}  // namespace

FioWorkload::FioWorkload(const std::vector<fio::JobSpec>& jobs, const FioOptions& options, std::vector<Cpu*> cpus,
                         const std::vector<NvmeDriver*>& drives, GuestPages& pages)
    : jobs_(jobs) {
  for (const fio::JobSpec& job : jobs_) {
    const fio::Region region = fio::resolve_region(job, options.device_bytes);
    if (!region.error.empty()) throw std::invalid_argument("job '" + job.name + "': " + region.error);
    for (std::uint32_t clone = 0; clone < job.numjobs; ++clone) {
      const auto number = static_cast<std::uint32_t>(threads_.size());
      const fio::IoGenerator generator(job, region, options.seed, number + 1);
      threads_.push_back(std::make_unique<FioThread>(*this, job, number, *cpus[number % cpus.size()], drive_of(job, drives),
                                                     generator, pages, options.buffers));
    }
  }
}

bool FioWorkload::timed() const {
  return std::all_of(jobs_.begin(), jobs_.end(), [&](const fio::JobSpec& job) {
    return job.has_runtime && (&job == &jobs_.front() || !job.stonewall);
  });
}

Time FioWorkload::horizon() const {
  Time total;
  Time group;
  for (const fio::JobSpec& job : jobs_) {
    if (!job.has_runtime) return Time::max();
    const Time length = job.startdelay + job.ramp_time + job.runtime;
    if (job.stonewall) {
      total += group;
      group = Time{};
    }
    group = std::max(group, length);
  }
  return total + group;
}

std::vector<WorkloadOutput> FioWorkload::outputs(Time now) const {
  std::vector<fio::JobStatistics> statistics;
  for (const auto& thread : threads_) statistics.push_back(thread->statistics());
  fio::RunReport report;
  report.timestamp_ms = now.ns() / 1'000'000;  // simulated: no host time in a result
  report.elapsed_s = now / Time::s(1);
  report.jobs = jobs_;
  report.entries = fio::merge_entries(jobs_, statistics);
  constexpr auto plus = fio::JsonFlavour::json_plus;
  std::vector<WorkloadOutput> files{{"fio.txt", fio::to_fio_text(report)},
                                    {"fio.json", fio::write_fio_json(fio::to_fio_json(report))},
                                    {"fio-plus.json", fio::write_fio_json(fio::to_fio_json(report, plus))}};
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (!threads_[i]->logs()) continue;
    for (auto& [name, text] : threads_[i]->logs()->files(static_cast<std::uint32_t>(i + 1)))
      files.push_back({std::move(name), std::move(text)});
  }
  return files;
}

void FioWorkload::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu.processor().sync();
  Time ramp;
  for (const fio::JobSpec& job : jobs_) ramp = std::max(ramp, job.startdelay + job.ramp_time);
  open_at_ = cpu.now() + ramp;
  if (timed()) {
    Time runtime = Time::max();
    for (const fio::JobSpec& job : jobs_) runtime = std::min(runtime, job.runtime);
    close_at_ = open_at_ + runtime;
  }
  start_group(cpu);
}

void FioWorkload::start_group(Cpu& cpu) {
  const std::size_t first = next_group_;
  while (next_group_ < threads_.size()) {
    const fio::JobSpec& job = threads_[next_group_]->job();
    const bool first_clone = next_group_ == first || &job != &threads_[next_group_ - 1]->job();
    if (job.stonewall && first_clone && next_group_ != first) break;
    ++next_group_;
  }
  running_ = next_group_ - first;
  for (std::size_t i = first; i < next_group_; ++i) threads_[i]->start(cpu);
}

void FioWorkload::thread_finished(Cpu& cpu) {
  if (--running_ > 0) return;
  if (next_group_ < threads_.size()) {
    start_group(cpu);
    return;
  }
  if (window_ == Window::before) open_window(cpu);
  if (window_ == Window::open) close_window(cpu);
  on_done_(cpu);
}

void FioWorkload::clock(Cpu& cpu) {
  if (window_ == Window::before && cpu.now() >= open_at_) open_window(cpu);
  if (window_ == Window::open && cpu.now() >= close_at_) close_window(cpu);
}

void FioWorkload::open_window(Cpu& cpu) {
  window_ = Window::open;
  cpu.emit(trace::WindowOpened{threads_.size()});
}

void FioWorkload::close_window(Cpu& cpu) {
  window_ = Window::after;
  cpu.emit(trace::WindowClosed{threads_.size()});
}

}  // namespace gnomon::guest
