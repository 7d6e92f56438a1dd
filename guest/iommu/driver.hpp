// SPDX-License-Identifier: Apache-2.0
// What the IOMMU core asks of a driver, for one domain (struct iommu_domain_ops).
#pragma once

#include <cstdint>
#include <optional>

#include "guest/iommu/gather.hpp"
#include "guest/iommu/page_size.hpp"
#include "guest/kernel/cpu.hpp"

namespace gnomon::guest {

/// What the device may do with a mapping.
struct DmaAccess {
  bool read = true;   ///< DMA_TO_DEVICE
  bool write = true;  ///< DMA_FROM_DEVICE

  constexpr bool operator==(const DmaAccess&) const = default;
};

/// Errors are positive errno values, 0 is success.
class IommuDriver {
 public:
  struct MapOutcome {
    int error = 0;
    std::uint64_t mapped = 0;  ///< bytes, also when there was an error
  };

  virtual ~IommuDriver() = default;
  virtual std::uint32_t domain() const = 0;  ///< as the event stream names it
  virtual PageSizeBitmap page_sizes() const = 0;
  virtual MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) = 0;
  /// Returns the bytes unmapped: fewer where there was a hole, more where a larger mapping lay there. A core before
  /// the split of 3.11 asks for all that is left as one page, of whatever length (DriverCalls::whole_range).
  virtual std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) = 0;
  /// Invalidates what was gathered and waits for it, non-leaf entries too when the gather carries page-table pages.
  /// Drivers that sync early call sync_gather instead.
  virtual void iotlb_sync(Cpu& cpu, IotlbGather& gather) = 0;
  /// Makes a finished map visible to the device. A driver without iotlb_sync_map does nothing here.
  virtual int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) = 0;
  virtual void flush_iotlb_all(Cpu& cpu) = 0;
  /// The software walk: where `iova` leads by the guest's own table. Costs nothing here; the caller charges it.
  virtual std::optional<Gpa> iova_to_phys(Iova iova) const = 0;
  /// Frees page-table pages that unmap_pages left in a gather, after the invalidation that covers them
  /// (iommu_put_pages_list). For drivers that put any there.
  virtual void free_tables(Cpu& /*cpu*/, FreelistHandle /*tables*/) {}

  /// iotlb_sync, then the gather's page-table pages are freed, then it is as new: its `queued` mark goes too.
  void sync_gather(Cpu& cpu, IotlbGather& gather) {
    const FreelistHandle tables = gather.freelist;
    iotlb_sync(cpu, gather);
    if (!tables.empty()) free_tables(cpu, tables);
    gather.reset();
  }
};

}  // namespace gnomon::guest
