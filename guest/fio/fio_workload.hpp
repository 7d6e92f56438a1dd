// SPDX-License-Identifier: Apache-2.0
// The jobs of a fio file as threads of the guest: who starts when, and the window in which it counts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "guest/fio/fio_thread.hpp"
#include "guest/kernel/workload.hpp"

namespace gnomon::guest {

struct FioOptions {
  std::uint64_t seed = 1;          ///< the run's master seed
  std::uint64_t device_bytes = 0;  ///< capacity of the device under test
  BufferLayout buffers;
};

class FioWorkload final : public Workload {
 public:
  /// `jobs` must outlive the workload. Threads go to the CPUs in turn, each to the drive its job's filename names:
  /// /dev/nvmeXn1, by default the first. Throws std::invalid_argument where a job does not fit the device or names
  /// none that is there.
  FioWorkload(const std::vector<fio::JobSpec>& jobs, const FioOptions& options, std::vector<Cpu*> cpus,
              const std::vector<NvmeDriver*>& drives, GuestPages& pages);

  /// Starts the first group of jobs from `cpu`. `on_done` runs when the last thread has finished.
  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;

  const std::vector<std::unique_ptr<FioThread>>& threads() const { return threads_; }
  const std::vector<fio::JobSpec>& jobs() const { return jobs_; }
  /// From the first group's start to the end of the last, by the jobs' own limits; Time::max() where none is given.
  Time horizon() const override;
  /// fio.txt, fio.json and fio-plus.json (json+: with every bin), as fio prints them.
  std::vector<WorkloadOutput> outputs(Time now) const override;

  // For the threads.
  std::uint64_t next_io() { return ++last_io_; }
  void clock(Cpu& cpu);  ///< opens and closes the measured window when its time has come
  void thread_finished(Cpu& cpu);

 private:
  void start_group(Cpu& cpu);
  void open_window(Cpu& cpu);
  void close_window(Cpu& cpu);
  bool timed() const;

  const std::vector<fio::JobSpec>& jobs_;
  std::vector<std::unique_ptr<FioThread>> threads_;
  std::size_t next_group_ = 0;  // first thread not started
  std::size_t running_ = 0;
  std::function<void(Cpu&)> on_done_;
  std::uint64_t last_io_ = 0;
  enum class Window { before, open, after } window_ = Window::before;
  Time open_at_;
  Time close_at_ = Time::max();
};

}  // namespace gnomon::guest
