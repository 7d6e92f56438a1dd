// SPDX-License-Identifier: Apache-2.0
// A physical AMD-Vi unit with host (v1) tables, without time: every call returns what happened and how many reads
// it took. Source: AMD IOMMU specification 48882 rev 3, chapters 2 and 3. Not modelled: guest translation, PPR,
// interrupt remapping, the exclusion range, device table segments. NpCache is 0, as in all hardware.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "models/iommu/amdvi/config.hpp"
#include "models/iommu/amdvi/device_table_cache.hpp"
#include "models/iommu/amdvi/event_log.hpp"
#include "models/iommu/amdvi/page_walk.hpp"
#include "models/iommu/core/config.hpp"
#include "models/iommu/core/invalidation_step.hpp"
#include "models/iommu/core/iotlb.hpp"
#include "models/iommu/core/remapping_unit.hpp"
#include "models/iommu/core/translation.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/amdvi/command.hpp"

namespace gnomon::iommu {

/// `memory` must outlive the object; tables and commands are read there at the moment hardware would read them, and
/// events are written there. UnitCodes are amdvi::EventCode.
class AmdviUnit final : public RemappingUnit {
 public:
  /// Throws std::invalid_argument where the configuration is out of range.
  AmdviUnit(const IommuConfig& config, PhysicalMemory& memory, const AmdviConfig& amdvi = {});

  Translation translate(SourceId device, Iova iova, Access access) override;
  std::optional<pgtable::Mapping> resolve(SourceId device, Iova iova, Access access) const override;

  std::uint64_t queued() const override;
  /// A COMPLETION_WAIT's store is the caller's to make. INVALIDATE_IOMMU_ALL is an IotlbInvalidated of global
  /// granularity, though device table entries go too.
  InvalidationStep step() override;

  /// All registers are of 64 bits, and their halves work alone.
  std::uint64_t read(std::uint32_t offset, unsigned bytes) const override;
  RegisterWrite write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override;

  /// First word of the PCI capability block.
  amdvi::Capability capability() const;
  const IommuConfig& config() const { return config_; }
  const Iotlb& iotlb() const { return iotlb_; }
  const WalkCache& walk_cache() const { return walk_cache_; }
  const DeviceTableCache& device_table_cache() const { return device_table_cache_; }

 private:
  struct DteFetch {
    std::optional<amdvi::Event> fault;
    amdvi::DeviceTableEntry entry{};
    std::uint8_t reads = 0;
  };
  template <class T>
  std::optional<T> read_memory(Hpa address) const {
    if (address.value > memory_.size() - sizeof(T)) return std::nullopt;
    return memory_.read<T>(address);
  }
  DteFetch fetch_dte(SourceId device, Iova iova, Access access) const;
  unsigned most_levels() const { return 4 + static_cast<unsigned>(amdvi_.hats); }
  std::optional<AmdviWalk> walk_and_fill(const amdvi::DeviceTableEntry& dte, Iova iova, Access access,
                                         bool use_walk_cache, Translation& t);
  Translation& fault(Translation& t, const amdvi::Event& event, bool logged = true);
  Translation& page_fault(Translation& t, const DeviceTableCache::Entry& entry, const amdvi::IoPageFault& event);
  Translation& walk_fault(Translation& t, const DeviceTableCache::Entry& entry, const AmdviWalk& walk,
                          amdvi::IoPageFault event);

  InvalidationStep queue_error(const amdvi::Event& event);
  InvalidationStep illegal();
  InvalidationStep execute(const amdvi::CompletionWait& c);
  InvalidationStep execute(const amdvi::InvalidateDevtabEntry& c);
  InvalidationStep execute(const amdvi::InvalidateIommuPages& c);
  InvalidationStep execute(const amdvi::InvalidateIotlbPages& c);
  InvalidationStep execute(const amdvi::InvalidateInterruptTable& c);
  InvalidationStep execute(const amdvi::CompletePprRequest& c);
  InvalidationStep execute(const amdvi::InvalidateIommuAll& c);
  InvalidationStep execute(const amdvi::IllegalCommand& c);

  std::uint64_t read_register(std::uint32_t offset) const;
  RegisterWrite write_register(std::uint32_t offset, std::uint64_t value);
  void write_control(std::uint64_t value, RegisterWrite& w);
  bool commands_enabled() const;
  Hpa command_address() const;

  IommuConfig config_;
  AmdviConfig amdvi_;
  PhysicalMemory& memory_;
  Iotlb iotlb_;
  WalkCache walk_cache_;
  DeviceTableCache device_table_cache_;
  EventLog log_;

  std::uint64_t device_table_ = 0;
  std::uint64_t command_buffer_ = 0;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t control_ = 0;
  bool commands_run_ = false;          // CmdBufRun
  bool completion_interrupt_ = false;  // ComWaitInt
};

}  // namespace gnomon::iommu
