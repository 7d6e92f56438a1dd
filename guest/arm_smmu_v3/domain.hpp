// SPDX-License-Identifier: Apache-2.0
// A domain of the SMMUv3 driver: an LPAE table in the kernel's memory, its context descriptor, and the commands
// that keep the unit in step. Behaviour of Linux's drivers/iommu/arm/arm-smmu-v3 and io-pgtable-arm.c, 6.1 to 7.2,
// and of 2015 where SmmuDriverBehaviour says so.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "guest/arm_smmu_v3/behaviour.hpp"
#include "guest/arm_smmu_v3/command_queue.hpp"
#include "guest/arm_smmu_v3/stream_table.hpp"
#include "guest/iommu/driver.hpp"
#include "models/pgtable/arm_lpae_table.hpp"
#include "models/spec/smmuv3/context_descriptor.hpp"

namespace gnomon::guest {

/// The unit a domain's devices are behind. What it refers to outlives it.
struct SmmuUnit {
  KernelMemory& memory;
  SmmuCommandQueue& commands;                     ///< the unit's own
  std::vector<SmmuCommandQueue*> virtual_queues;  ///< a CPU takes the one of its number, in turn; may be none
  SmmuStreamTable* streams = nullptr;             ///< from probe on
  bool range_commands = false;                    ///< unit and driver can
  SmmuDriverOptions options;

  /// For invalidations of a domain (arm_smmu_get_cmdq): stage 2's are no virtual queue's business.
  SmmuCommandQueue& for_invalidation(unsigned cpu) const {
    if (virtual_queues.empty() || options.stage == smmuv3::Stage::two) return commands;
    return *virtual_queues[cpu % virtual_queues.size()];
  }
};

class SmmuDomain final : public IommuDriver {
 public:
  static constexpr unsigned input_bits = 48;

  /// `id`, 1 to 65535, is the ASID of stage 1 and the VMID of stage 2. Throws std::bad_alloc.
  SmmuDomain(const SmmuUnit& unit, std::uint32_t id);

  /// Points the stream's entry at the table. The stream was prepared.
  void attach(Cpu& cpu, smmuv3::StreamId sid);
  /// The stream aborts afterwards.
  void detach(Cpu& cpu, smmuv3::StreamId sid);

  std::uint32_t domain() const override { return id_; }
  PageSizeBitmap page_sizes() const override { return page_sizes_4k_2m_1g; }
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  /// Nothing: an SMMU caches no entry that is invalid.
  int iotlb_sync_map(Cpu&, Iova, std::uint64_t) override { return 0; }
  void flush_iotlb_all(Cpu& cpu) override;
  std::optional<Gpa> iova_to_phys(Iova iova) const override;

  const pgtable::ArmLpaeTable<GpaSpace>& table() const { return table_; }
  Gpa context_table() const { return context_table_; }

 private:
  bool stage1() const { return unit_.options.stage == smmuv3::Stage::one; }
  std::uint16_t tag() const { return static_cast<std::uint16_t>(id_); }
  smmuv3::StreamTableEntry stream_entry() const;
  smmuv3::ContextDescriptor context_descriptor() const;
  smmuv3::Command by_address(const smmuv3::TlbiRange& range) const;
  smmuv3::Command by_domain() const;

  void unmapped_leaves(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather);
  void drop_tables(Cpu& cpu, Iova iova, std::uint64_t bytes, std::vector<Gpa>& tables);
  void flush_range(Cpu& cpu, Iova iova, std::uint64_t bytes, std::uint64_t granule, bool leaf);
  void invalidate(Cpu& cpu, SmmuCommandQueue& queue, SmmuBatch& batch, Iova iova, std::uint64_t bytes,
                  std::uint64_t granule, bool leaf);
  void flush_device_tlbs(Cpu& cpu, Iova iova, std::uint64_t bytes);
  void flush_gather(Cpu& cpu, const IotlbGather& gather, trace::Sync kind);

  SmmuUnit unit_;
  std::uint32_t id_;
  pgtable::ArmLpaeTable<GpaSpace> table_;
  Gpa context_table_{};
  std::vector<smmuv3::StreamId> streams_;
};

}  // namespace gnomon::guest
