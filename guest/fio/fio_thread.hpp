// SPDX-License-Identifier: Apache-2.0
// One fio thread at work: it fills its queue, then reaps and refills, as fio 3.33's libaio engine does.
// Latency is fio's: from taking an I/O in hand to reaping it.
#pragma once

#include <boost/circular_buffer.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "guest/fio/io_generator.hpp"
#include "guest/fio/job_logs.hpp"
#include "guest/fio/job_spec.hpp"
#include "guest/fio/statistics.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/nvme/driver.hpp"

namespace gnomon::guest {

class FioWorkload;

/// How a user buffer lies in guest-physical memory.
struct BufferLayout {
  unsigned runs_per_64k =
      2;  ///< equal, physically contiguous runs in each 64 KiB of a buffer; a power of two, 1 to 16
};

class FioThread final : public Thread, private BlockClient, private Timer {
 public:
  FioThread(FioWorkload& workload, const fio::JobSpec& job, std::uint32_t number, Cpu& cpu, NvmeDriver& driver,
            const fio::IoGenerator& generator, GuestPages& pages, const BufferLayout& layout);

  /// Lets the thread begin, from the context of `from`.
  void start(Cpu& from);
  bool turn(Cpu& cpu) override;

  const fio::JobSpec& job() const { return job_; }
  const fio::JobStatistics& statistics() const { return statistics_; }
  const std::optional<fio::JobLogs>& logs() const { return logs_; }
  bool finished() const { return state_ == State::finished; }
  std::uint64_t submitted() const { return submitted_; }
  std::uint64_t completed_ios() const { return completed_; }
  std::uint64_t errors() const { return errors_; }

 private:
  enum class State { created, running, draining, finished };
  struct IoUnit {
    BlockRequest request;
    std::vector<Run> buffer;
    Time begun;
    Time submitted;
  };

  void completed(Cpu& cpu, BlockRequest& request) override;
  void expired(Cpu& cpu) override { home_.wake(*this, cpu); }
  bool may_submit(Cpu& cpu);
  void submit(Cpu& cpu, bool first_of_call);
  bool reap(Cpu& cpu);
  void finish(Cpu& cpu);
  bool time_is_up(Time now) const;
  void allocate_buffer(IoUnit& unit, std::uint64_t bytes, GuestPages& pages, const BufferLayout& layout);

  FioWorkload& workload_;
  const fio::JobSpec& job_;
  const std::uint32_t number_;
  Cpu& home_;
  NvmeDriver& driver_;
  fio::IoGenerator generator_;
  fio::JobStatistics statistics_;
  std::optional<fio::JobLogs> logs_;  // where the job asks for them
  State state_ = State::created;
  std::vector<IoUnit> units_;
  std::vector<std::uint32_t> idle_units_;
  boost::circular_buffer<std::uint32_t> ready_;  // completed, not reaped: the aio ring
  fio::IoRequest next_io_;
  bool have_next_ = false;
  bool exhausted_ = false;
  std::uint32_t in_flight_ = 0;  // for fio: not reaped
  Time started_at_;
  Time not_before_;  // thinktime
  fio::PerDirection<std::uint64_t> issued_;
  std::uint64_t submitted_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t errors_ = 0;
};

}  // namespace gnomon::guest
