// SPDX-License-Identifier: Apache-2.0
// The kernel's dma_map_benchmark: threads that map a buffer, let the device have it for a while, and unmap it.
// Behaviour and output of Linux's kernel/dma/map_benchmark.c and tools/testing/selftests/dma, 6.1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/kernel/workload.hpp"

namespace gnomon::guest {

enum class DmaDirection : std::uint8_t { bidirectional, to_device, from_device };

struct MapBenchmarkSpec {
  unsigned threads = 1;                                    ///< 1 to 1024, dealt to the CPUs in turn
  Time runtime = Time::ms(10);                             ///< of simulated time; the kernel's option counts seconds
  Time ramp_time;                                          ///< run before it is measured
  std::optional<unsigned> node;                            ///< NUMA node; none: any. There is one node here, 0
  DmaDirection direction = DmaDirection::bidirectional;
  unsigned granule = 1;                                    ///< pages a buffer, 1 to 1024
  Time delay;                                              ///< between map and unmap: the transfer
  unsigned sg = 0;                                         ///< 0: dma_map_single; else dma_map_sg of so many runs
};

class MapBenchmark final : public Workload {
 public:
  /// `spec` and `dma` must outlive the workload.
  MapBenchmark(const MapBenchmarkSpec& spec, DmaDevice& dma, std::vector<Cpu*> cpus, GuestPages& pages);
  ~MapBenchmark() override;

  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;
  Time horizon() const override { return spec_.ramp_time + spec_.runtime; }
  /// map_benchmark.txt: the lines the selftest prints.
  std::vector<WorkloadOutput> outputs(Time now) const override;

 private:
  class Worker;

  void clock(Cpu& cpu);
  void worker_finished(Cpu& cpu);

  const MapBenchmarkSpec& spec_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::function<void(Cpu&)> on_done_;
  std::size_t running_ = 0;
  enum class Window { before, open, after } window_ = Window::before;
  Time opens_at_, closes_at_;
};

}  // namespace gnomon::guest
