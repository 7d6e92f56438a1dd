// SPDX-License-Identifier: Apache-2.0
// A physical VT-d remapping unit in legacy and scalable mode, without time: every call returns what happened and
// how many reads it took. Source: Intel VT-d specification rev 4.1, chapters 3, 6, 7 and 11.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "models/iommu/core/config.hpp"
#include "models/iommu/core/invalidation_step.hpp"
#include "models/iommu/core/iotlb.hpp"
#include "models/iommu/core/remapping_unit.hpp"
#include "models/iommu/core/translation.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/iommu/vtd/context_cache.hpp"
#include "models/iommu/vtd/fault_log.hpp"
#include "models/iommu/vtd/page_walk.hpp"
#include "models/iommu/vtd/scalable_mode.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/vtd/invalidation.hpp"

namespace gnomon::iommu {

/// `memory` must outlive the object; tables and queue are read there at the moment hardware would read them, and
/// accessed and dirty bits of first-stage entries are set there.
class VtdUnit final : public RemappingUnit {
 public:
  /// Throws std::invalid_argument where the configuration is out of range.
  VtdUnit(const IommuConfig& config, PhysicalMemory& memory);
  VtdUnit(const VtdUnit&) = delete;
  VtdUnit& operator=(const VtdUnit&) = delete;

  Translation translate(SourceId sid, Iova iova, Access access) override;
  std::optional<pgtable::Mapping> resolve(SourceId sid, Iova iova, Access access) const override;

  /// The queue is enabled, holds descriptors, and no error stops it.
  bool queue_pending() const;
  /// Executes the descriptor at the head of the queue.
  InvalidationStep step() override;
  /// At least 1 where the queue is pending: a tail beyond the ring costs a look.
  std::uint64_t queued() const override;
  /// A device did not answer a device-TLB invalidation: FSTS.ITE. True where the fault event is to be sent.
  bool device_tlb_timed_out(SourceId sid);

  /// The halves of a 64-bit register work alone.
  std::uint64_t read(std::uint32_t offset, unsigned bytes) const override {
    return bytes == 8 ? read64(offset) : read32(offset);
  }
  RegisterWrite write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override {
    return bytes == 8 ? write64(offset, value) : write32(offset, static_cast<std::uint32_t>(value));
  }
  std::uint32_t read32(std::uint32_t offset) const;
  std::uint64_t read64(std::uint32_t offset) const;
  RegisterWrite write32(std::uint32_t offset, std::uint32_t value);
  RegisterWrite write64(std::uint32_t offset, std::uint64_t value);
  static constexpr std::uint32_t register_bytes = 0x2000;
  static constexpr std::uint8_t max_index_mask = 15;  ///< ECAP.MHMV

  EventMessage fault_message() const { return {fault_address_, fault_data_}; }
  EventMessage completion_message() const { return {completion_address_, completion_data_}; }
  const IommuConfig& config() const { return config_; }
  const Iotlb& iotlb() const { return iotlb_; }
  const WalkCache& walk_cache() const { return walk_cache_; }
  const ContextCache& context_cache() const { return context_cache_; }
  const ScalableMode& scalable_mode() const { return scalable_; }

 private:
  struct ContextFetch {
    std::optional<vtd::FaultReason> fault;
    vtd::ContextEntry entry{};
    std::uint8_t reads = 0;
  };
  bool scalable() const;
  Hpa root_table() const { return Hpa{root_ & vtd::mask(63, 12)}; }
  ContextFetch fetch_context(SourceId sid) const;
  std::optional<vtd::FaultReason> check_context(const vtd::ContextEntry& entry) const;
  unsigned input_bits(const vtd::ContextEntry& entry) const;
  std::optional<vtd::FaultReason> walk_and_fill(const vtd::ContextEntry& context, Iova iova, Access access,
                                                bool use_walk_cache, Translation& t);
  Translation& fault(Translation& t, vtd::FaultReason reason, SourceId sid, Iova iova, Access access, bool fpd);

  std::uint64_t descriptor_width() const;
  InvalidationStep run_descriptor(Hpa address);
  QueueError queue_error(vtd::QueueErrorInfo info);
  void invalidate_pages(const vtd::IotlbInvalidate& d, IotlbInvalidated& done);
  InvalidationStep execute(const vtd::ContextCacheInvalidate& d);
  InvalidationStep execute(const vtd::IotlbInvalidate& d);
  InvalidationStep execute(const vtd::DeviceTlbInvalidate& d);
  InvalidationStep execute(const vtd::InterruptEntryCacheInvalidate& d);
  InvalidationStep execute(const vtd::InvalidationWait& d);
  InvalidationStep execute(const vtd::PasidIotlbInvalidate& d);
  InvalidationStep execute(const vtd::PasidCacheInvalidate& d);
  InvalidationStep execute(const vtd::PasidDeviceTlbInvalidate& d);
  InvalidationStep execute(const vtd::IllegalDescriptor& d);

  std::uint64_t read_register(std::uint32_t offset) const;
  RegisterWrite write_register(std::uint32_t offset, std::uint64_t value);
  void command(std::uint32_t value);

  IommuConfig config_;
  PhysicalMemory& memory_;
  SecondStageFormat format_;
  Iotlb iotlb_;
  WalkCache walk_cache_;
  ContextCache context_cache_;
  ScalableMode scalable_;
  FaultLog faults_;

  std::uint32_t status_ = 0;  // GSTS
  std::uint64_t rtaddr_ = 0;  // as written
  std::uint64_t root_ = 0;    // RTADDR as latched by SRTP
  std::uint64_t irta_ = 0;
  std::uint64_t queue_ = 0;        // IQA
  std::uint64_t head_ = 0;         // IQH
  std::uint64_t tail_ = 0;         // IQT
  std::uint64_t queue_error_ = 0;  // IQERCD
  bool wait_complete_ = false;     // ICS.IWC
  std::uint32_t completion_control_ = vtd::event_control::im;
  std::uint64_t fault_address_ = 0;
  std::uint64_t completion_address_ = 0;
  std::uint32_t fault_data_ = 0;
  std::uint32_t completion_data_ = 0;
};

}  // namespace gnomon::iommu
