// SPDX-License-Identifier: Apache-2.0
// A stream through the IOMMU: a buffer is mapped by the IOMMU API, a device streams it for a while, and meanwhile
// another buffer may be mapped and unmapped, as a compositor does beside the display.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "guest/dma_master/driver.hpp"
#include "guest/iommu/domain.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/kernel/workload.hpp"

namespace gnomon::guest {

struct DmaMasterSpec {
  Iova iova{0x8000'0000};                         ///< where the driver puts the buffer; the other follows
  std::uint64_t buffer = std::uint64_t{8} << 20;  ///< bytes, whole pages
  std::uint64_t rate = 500'000'000;               ///< bytes a second
  Time duration = Time::ms(20);                   ///< of the stream
  bool write = false;                             ///< the device writes memory: a camera
  unsigned runs = 1;                              ///< equal, physically scattered runs of the buffer
  std::uint64_t churn = 0;                        ///< bytes of another buffer mapped and unmapped meanwhile
};

class DmaMasterWorkload final : public Workload, private Thread, private Timer {
 public:
  /// All must outlive the workload. Runs on `cpu`. Buffers come from `pages`.
  DmaMasterWorkload(const DmaMasterSpec& spec, IommuDomain& domain, DmaMasterDriver& driver, Cpu& cpu,
                    GuestPages& pages);

  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;
  Time horizon() const override { return spec_.duration; }
  /// dma_master.txt: bytes moved, underruns, refused requests, maps and unmaps beside the stream.
  std::vector<WorkloadOutput> outputs(Time now) const override;

  const DmaMasterDriver::Counts& counts() const { return counts_; }

 private:
  bool turn(Cpu& cpu) override;
  void expired(Cpu& cpu) override;
  void begin(Cpu& cpu);
  void end(Cpu& cpu);
  void finish(Cpu& cpu);

  const DmaMasterSpec& spec_;
  IommuDomain& domain_;
  DmaMasterDriver& driver_;
  Cpu& cpu_;
  std::vector<Run> runs_;
  Run churn_;
  std::function<void(Cpu&)> on_done_;
  enum class State { idle, streaming, over } state_ = State::idle;
  bool timer_fired_ = false;
  int error_ = 0;  // of the map
  std::uint64_t churned_ = 0;
  DmaMasterDriver::Counts counts_;
};

}  // namespace gnomon::guest
