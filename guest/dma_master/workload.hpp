// SPDX-License-Identifier: Apache-2.0
// A stream through the IOMMU: a frame is mapped by the IOMMU API, a device streams it for a while, and meanwhile
// the next frame is mapped in place of the one before, or another buffer is mapped and unmapped beside them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "guest/dma_master/driver.hpp"
#include "guest/dma_master/spec.hpp"
#include "guest/iommu/domain.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/kernel/workload.hpp"

namespace gnomon::guest {

class DmaMasterWorkload final : public Workload, private Thread, private Timer {
 public:
  /// All must outlive the workload. Runs on `cpu`. Frames come from `pages`. `flush_by_hand`: maps and unmaps leave
  /// caches alone, and the workload flushes after them.
  DmaMasterWorkload(const DmaMasterSpec& spec, IommuDomain& domain, DmaMasterDriver& driver, Cpu& cpu,
                    GuestPages& pages, bool flush_by_hand = false, DmaMasterFaults faults = {});

  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;
  Time horizon() const override { return spec_.duration; }
  /// dma_master.txt: bytes moved, underruns, refused requests, frames, maps and unmaps beside the stream.
  std::vector<WorkloadOutput> outputs(Time now) const override;

  const DmaMasterDriver::Counts& counts() const { return counts_; }
  std::uint64_t flips() const { return flips_; }  ///< frames that took over

 private:
  using Frame = std::vector<Run>;

  bool turn(Cpu& cpu) override;
  void expired(Cpu& cpu) override;
  void begin(Cpu& cpu);
  void flip(Cpu& cpu);
  void churn(Cpu& cpu);
  void end(Cpu& cpu);
  void finish(Cpu& cpu);
  Frame allocate(GuestPages& pages) const;
  bool map(Cpu& cpu, Iova iova, const Frame& frame);
  Iova slot(std::size_t index) const { return spec_.iova + spec_.buffer * index; }
  void arm(Cpu& cpu, Time at) { cpu.arm_at(*this, std::min(at, ends_at_)); }

  const DmaMasterSpec& spec_;
  IommuDomain& domain_;
  DmaMasterDriver& driver_;
  Cpu& cpu_;
  const bool flush_by_hand_;
  const DmaMasterFaults faults_;
  std::vector<Frame> frames_;  // memory: of the slots, and of the frame to come
  Run churn_;
  std::function<void(Cpu&)> on_done_;
  enum class State { idle, streaming, over } state_ = State::idle;
  Time ends_at_;
  bool flipping_ = false;
  std::size_t next_slot_ = 1, next_frame_ = 1;
  std::array<bool, 2> mapped_{};
  int error_ = 0;  // of the latest map that failed
  std::uint64_t flips_ = 0, churned_ = 0;
  DmaMasterDriver::Counts counts_;
};

}  // namespace gnomon::guest
