// SPDX-License-Identifier: Apache-2.0
// A physical SMMUv3, Non-secure, without time: every call returns what happened and how many reads it took. Stage
// 1, stage 2 and nested, 4 KiB granule. Source: IHI 0070 and DDI 0487. Not modelled: substreams, PRI, stall, EL2
// regimes, global (nG = 0) translations, hardware update of flags.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "models/iommu/core/config.hpp"
#include "models/iommu/core/iotlb.hpp"
#include "models/iommu/core/remapping_unit.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/iommu/smmuv3/config.hpp"
#include "models/iommu/smmuv3/event_queue.hpp"
#include "models/iommu/smmuv3/page_walk.hpp"
#include "models/iommu/smmuv3/stream_cache.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/smmuv3/command_queue.hpp"
#include "models/spec/smmuv3/virtual_queue.hpp"

namespace gnomon::iommu {

/// `memory` must outlive the object; tables and commands are read there at the moment hardware would read them, and
/// events are written there. UnitCodes are smmuv3::EventCode, of a QueueError smmuv3::CommandError. The domain told
/// is the ASID under VMID 0, which Linux gives to domains of stage 1 alone, and else the VMID. Interrupt messages
/// are known by the platform's address range before translation; the doorbell page that Linux maps for them is not
/// looked at.
class Smmuv3Unit final : public RemappingUnit {
 public:
  /// Throws std::invalid_argument where the configuration is out of range.
  Smmuv3Unit(const IommuConfig& config, PhysicalMemory& memory, const Smmuv3Config& smmu = {});

  Translation translate(SourceId source, Iova iova, Access access) override;
  std::optional<pgtable::Mapping> resolve(SourceId source, Iova iova, Access access) const override;

  /// Of all command queues together; step() takes them in turn.
  std::uint64_t queued() const override;
  /// CMD_SYNC is a WaitReached, with a status write where it signals by MSI: the caller's to make.
  InvalidationStep step() override;
  /// The unit's own queue is number 0, virtual ones follow.
  unsigned queues() const override { return static_cast<unsigned>(queues_.size()); }
  /// Up to and with the next CMD_SYNC, which is not consumed before all that precedes it is complete.
  Pending pending(unsigned queue) const override;
  InvalidationStep step_queue(unsigned queue) override;

  std::uint64_t read(std::uint32_t offset, unsigned bytes) const override;
  RegisterWrite write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override;

  const IommuConfig& config() const { return config_; }
  const Iotlb& iotlb() const { return iotlb_; }
  const WalkCache& walk_cache() const { return walk_cache_; }
  std::uint32_t cached_streams() const { return streams_.size(); }
  std::uint32_t cached_contexts() const { return contexts_.size(); }

 private:
  template <class Self>
  struct Path;
  template <class T>
  std::optional<T> read_memory(Hpa address) const {
    if (address.value > memory_.size() - sizeof(T)) return std::nullopt;
    return memory_.read<T>(address);
  }
  Translation& record(Translation& t, const smmuv3::Event& event, bool wanted);

  InvalidationStep failed(smmuv3::CommandQueue& queue, smmuv3::CommandError error);
  InvalidationStep execute(smmuv3::CommandQueue& queue, const smmuv3::Command& command);
  InvalidationStep drop_streams(std::uint64_t first, std::uint64_t last, bool entries_too);
  InvalidationStep drop_asid(std::uint16_t vmid, std::uint16_t asid);
  InvalidationStep drop_vmid(std::uint16_t vmid, bool second_stage);
  InvalidationStep drop_range(CacheTag tag, const smmuv3::TlbiRange& range);
  InvalidationStep drop_address(std::uint16_t vmid, const smmuv3::TlbiRange& range);
  InvalidationStep drop_everything();
  std::optional<smmuv3::Command> for_guest(smmuv3::Command command) const;
  smmuv3::TlbiRange understood(smmuv3::TlbiRange range) const;

  std::uint32_t read_word(std::uint32_t offset) const;
  void write_word(std::uint32_t offset, std::uint32_t value, RegisterWrite& w);
  std::uint32_t read_virtual(std::uint32_t offset) const;
  void write_virtual(std::uint32_t offset, std::uint32_t value);
  void write_cr0(std::uint32_t value);

  IommuConfig config_;
  Smmuv3Config smmu_;
  PhysicalMemory& memory_;
  Iotlb iotlb_;
  WalkCache walk_cache_;
  StreamCache<smmuv3::StreamTableEntry> streams_;
  StreamCache<smmuv3::ContextDescriptor> contexts_;
  EventQueue events_;

  std::array<smmuv3::CommandQueue, 1 + smmuv3::virtual_queue::queues>
      queues_{};  // the SMMU's own, then virtual ones
  unsigned next_queue_ = 0;
  std::uint32_t cr0_ = 0;
  std::uint32_t cr1_ = 0;
  std::uint32_t cr2_ = 0;
  std::uint32_t gbpa_ = 0;
  std::uint32_t irq_ctrl_ = 0;
  std::uint32_t event_error_ = 0;  // GERROR beside the command queue's bit
  std::uint32_t event_errorn_ = 0;
  std::uint64_t stream_table_ = 0;
  std::uint32_t stream_table_config_ = 0;
  std::uint32_t interface_config_ = 0;
  std::array<std::uint32_t, smmuv3::virtual_queue::streams> sid_match_{};
  std::array<std::uint32_t, smmuv3::virtual_queue::streams> sid_replace_{};
};

}  // namespace gnomon::iommu
