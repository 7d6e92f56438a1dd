// SPDX-License-Identifier: Apache-2.0
// A DMA domain of the Intel IOMMU driver. Behaviour of Linux's drivers/iommu/intel/{iommu,cache,pasid}.c, 6.1
// to 7.2.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "guest/intel_iommu/page_table.hpp"
#include "guest/intel_iommu/table_freelists.hpp"
#include "guest/intel_iommu/unit.hpp"
#include "guest/iommu/driver.hpp"

namespace gnomon::guest {

class IntelDomain final : public IommuDriver {
 public:
  /// `id`, 1 to 65535, is also the domain id its cached entries are tagged with. `lock` is held over a flush where
  /// the kernel keeps cache tags. Throws std::bad_alloc.
  IntelDomain(const IntelUnit& unit, std::uint32_t id, bool first_level, unsigned levels, Lock lock);

  /// Points the device's context or PASID entry at the table. In caching mode the caches of entries that were not
  /// present are flushed: the context's, then, in scalable mode, the PASID's.
  void attach(Cpu& cpu, SourceId device);
  /// Takes the entry away and flushes what came of it.
  void detach(Cpu& cpu, SourceId device);

  std::uint32_t domain() const override { return id_; }
  /// What the hardware has; before 5.15 every power of two, and the driver chose leaves by itself.
  PageSizeBitmap page_sizes() const override;
  /// EINVAL: misaligned or no access; EFAULT: beyond the table's width; EEXIST: something is mapped there (Linux
  /// complains and overwrites it); ENOMEM.
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  /// Never less than asked, as in Linux: holes count. Page-table pages that fell out go to the gather's list.
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  /// Caching mode and second level: a page-selective flush. Else the write buffer of hardware that has one.
  int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) override;
  void flush_iotlb_all(Cpu& cpu) override;
  std::optional<Gpa> iova_to_phys(Iova iova) const override;
  void free_tables(Cpu& cpu, FreelistHandle tables) override;

  const IntelPageTable& table() const { return table_; }

 private:
  static constexpr unsigned most_batched = 16;  // QI_MAX_BATCHED_DESC_COUNT

  class Batch;
  struct Flush {
    trace::Sync kind = trace::Sync::unmap;
    bool hint = false;  ///< IH: no page-table page was freed
    bool device_tlbs = true;
  };

  DomainId tag() const { return DomainId{static_cast<std::uint16_t>(id_)}; }
  pgtable::PageSizes leaf_sizes() const;
  MapOutcome write_leaves(Cpu& cpu, Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access);
  std::uint64_t mapped_prefix(Iova iova, std::uint64_t bytes) const;
  void charge_entries(Cpu& cpu, Iova first, Iova last, std::uint64_t leaf_bytes, std::uint64_t tables) const;
  void tell_stores(Cpu& cpu);
  void gather_range(Cpu& cpu, Iova first, std::uint64_t bytes, IotlbGather& gather);
  void attach_legacy(Cpu& cpu, SourceId device);
  void attach_scalable(Cpu& cpu, SourceId device);
  void flush_write_buffer(Cpu& cpu);
  void submit(Cpu& cpu, const vtd::InvalidationDescriptor& descriptor, std::uint32_t domain);
  void flush_range(Cpu& cpu, Iova first, Iova last, const Flush& flush);
  template <class Fill>
  void flush(Cpu& cpu, trace::Sync kind, Fill fill);
  vtd::InvalidationDescriptor invalidation(const FlushBlock& block, bool hint) const;
  vtd::InvalidationDescriptor device_invalidation(SourceId device, const FlushBlock& block) const;

  IntelUnit unit_;
  std::uint32_t id_;
  Lock lock_;
  IntelPageTable table_;
  TableFreelists freelists_;
  std::vector<SourceId> devices_;
  std::vector<Gpa> unlinked_;       // scratch
  std::vector<Gpa> missing_links_;  // scratch
  std::vector<Gpa> stores_;         // scratch: entries stored to, not yet told of
};

}  // namespace gnomon::guest
