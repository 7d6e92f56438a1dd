// SPDX-License-Identifier: Apache-2.0
// A recorded workload given to the DMA API again: the same maps and unmaps by the same CPUs, whatever kernel, IOMMU
// and policy are underneath now.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/workload.hpp"
#include "guest/replay/placement.hpp"
#include "guest/replay/replay_device.hpp"
#include "guest/replay/script.hpp"

namespace gnomon::guest {

struct ReplaySpec {
  std::shared_ptr<const ReplayScript> script;
  ReplayPacing pacing = ReplayPacing::closed;
  std::uint64_t rate_ppm = 1'000'000;  ///< how much faster than recorded, parts per million
  bool accesses = true;                ///< a device uses what is mapped: each page once, when its map has returned
};

class ReplayWorkload final : public Workload {
 public:
  /// `dma` and `device` must outlive the workload; `device` is null where nothing uses the mappings. Throws
  /// std::invalid_argument where the script has more CPUs than the guest, or ordered steps for a device that is not
  /// translated.
  ReplayWorkload(const ReplaySpec& spec, DmaDevice& dma, ReplayDevice* device, std::vector<Cpu*> cpus,
                 GuestPages& pages);
  ~ReplayWorkload() override;

  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;
  Time horizon() const override { return Time::max(); }
  /// replay.txt: what was done, and what did not succeed.
  std::vector<WorkloadOutput> outputs(Time now) const override;

  const RecordedMemory& memory() const { return memory_; }

 private:
  class Lane;
  enum class State : std::uint8_t { to_come, allocated, mapped, failed };
  struct Mapping {
    DmaMapping dma;
    Iova iova;
    State state = State::to_come;
  };

  void perform(Cpu& cpu, const ReplayStep& step);
  void map(Cpu& cpu, Mapping& mapping, std::uint32_t number);
  void begin_window(Cpu& cpu);
  void lane_finished(Cpu& cpu);
  void next_in_order(Cpu& cpu);
  bool ready(const ReplayStep& step) const;
  Time scaled(Time recorded) const;

  const ReplaySpec spec_;
  const ReplayScript& script_;
  DmaDevice& dma_;
  ReplayDevice* const device_;
  TranslatedDma* const translated_;  // of what ordered steps ask more than map and unmap
  RecordedMemory memory_;
  std::vector<Run> placed_;  // as script_.runs
  std::vector<Mapping> mappings_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::function<void(Cpu&)> on_done_;
  std::size_t cursor_ = 0;  // of the prelude, and of ordered steps
  std::size_t running_ = 0;
  bool window_ = false;
  Time began_;
  std::uint64_t maps_ = 0, unmaps_ = 0, failed_maps_ = 0, skipped_unmaps_ = 0;
};

}  // namespace gnomon::guest
