// SPDX-License-Identifier: Apache-2.0
// A domain of the s390 IOMMU driver: a table in the kernel's memory, and RPCIT to each of its functions. Behaviour
// of Linux's drivers/iommu/s390-iommu.c since 6.7; the table is edited without a lock (6.2).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "guest/iommu/driver.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "guest/s390_pci/function.hpp"
#include "models/pgtable/s390_dma_table.hpp"

namespace gnomon::guest {

/// Planted bugs, to prove that a checker sees them. All off in a correct driver.
struct S390DriverFaults {
  bool skip_map_refresh = false;    ///< iotlb_sync_map does nothing, tlb_refresh or not
  bool skip_unmap_refresh = false;  ///< iotlb_sync does nothing
  bool no_full_refresh = false;     ///< a map that meets exhaustion fails, before "handle s390's -ENOMEM" (6.7)
};

class S390Domain final : public IommuDriver {
 public:
  /// What is given outlives the domain. Throws std::bad_alloc.
  S390Domain(KernelMemory& memory, PciInstructionPort& instructions, std::uint32_t id, S390DriverFaults faults)
      : instructions_(instructions), id_(id), faults_(faults), table_(memory) {}

  /// Registers the function with the table. 0 or EIO.
  int attach(Cpu& cpu, const S390Function& function);
  /// The function translates nothing afterwards.
  void detach(Cpu& cpu, SourceId device);

  std::uint32_t domain() const override { return id_; }
  PageSizeBitmap page_sizes() const override { return page_sizes_4k; }
  /// EINVAL off 4 KiB or beyond the table's span, ENOMEM without memory for a table: nothing is mapped then.
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  /// All that is asked for, mapped or not: the driver does not look.
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  /// RPCIT of the range to each function, unless the gather was never added to.
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  /// RPCIT of the range to each function with tlb_refresh. One that is out of resources gets its whole aperture
  /// refreshed at once, which frees those of pages invalidated meanwhile; the result of that is the result.
  int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) override;
  /// RPCIT of the whole aperture to each function.
  void flush_iotlb_all(Cpu& cpu) override;
  std::optional<Gpa> iova_to_phys(Iova iova) const override;

  const S390RefreshCounts& refreshes() const { return counts_; }
  const pgtable::S390DmaTable<GpaSpace>& table() const { return table_; }

 private:
  void charge(Cpu& cpu, const pgtable::S390Outcome& work) const;

  PciInstructionPort& instructions_;
  std::uint32_t id_;
  S390DriverFaults faults_;
  pgtable::S390DmaTable<GpaSpace> table_;
  std::vector<S390Function> functions_;
  S390RefreshCounts counts_;
};

/// Time of the table's editing: what the walks and the writes cost, and filling new tables.
Time s390_table_time(const GuestCosts& costs, const pgtable::S390Outcome& work);

}  // namespace gnomon::guest
