// SPDX-License-Identifier: Apache-2.0
// iperf in the guest: its streams, the measured window, and the mapping it holds meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "guest/iperf/stream.hpp"
#include "guest/kernel/workload.hpp"

namespace gnomon::guest {

class IperfWorkload final : public Workload {
 public:
  /// `spec` and the rest must outlive the workload. Stream i runs on cpus[i % cpus.size()], which is the CPU of
  /// that queue pair of `driver`: interrupts, softirq and application of a stream share a core. Throws
  /// std::invalid_argument.
  IperfWorkload(const iperf::IperfSpec& spec, std::vector<Cpu*> cpus, NicDriver& driver);

  /// Maps live_mapping, then connects, from `cpu`. `on_done` runs when the last stream has ended.
  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;
  /// From the start: live_mapping takes time before.
  Time horizon() const override;
  std::vector<WorkloadOutput> outputs(Time now) const override;
  /// Gives back what streams have not read, and unmaps live_mapping. After the end, before NicDriver::remove.
  void release(Cpu& cpu);

  const std::vector<std::unique_ptr<IperfStream>>& streams() const { return streams_; }
  const iperf::IperfSpec& spec() const { return spec_; }

  // For the streams.
  void stream_finished(Cpu& cpu);

 private:
  enum class Window { before, open, after };
  class Clock final : public Timer {
   public:
    explicit Clock(IperfWorkload& workload) : workload_(workload) {}
    void expired(Cpu& cpu) override { workload_.tick(cpu); }

   private:
    IperfWorkload& workload_;
  };

  void map_live(Cpu& cpu);
  void tick(Cpu& cpu);  // the window opens, or closes
  Time idle_time() const;

  const iperf::IperfSpec& spec_;
  std::vector<Cpu*> cpus_;
  NicDriver& driver_;
  std::vector<std::unique_ptr<IperfStream>> streams_;
  std::vector<DmaMapping> live_;
  std::function<void(Cpu&)> on_done_;
  std::size_t running_ = 0;
  Window window_ = Window::before;
  Clock clock_{*this};
  Time open_at_;
  Time idle_before_;  // of the streams' CPUs, when the window opened
  Time idle_in_;      // and within it
};

}  // namespace gnomon::guest
