// SPDX-License-Identifier: Apache-2.0
// A VFIO container's I/O page table in the format of the physical IOMMU: VT-d second stage.
#pragma once

#include <vector>

#include "models/hypervisor/core/io_page_table.hpp"
#include "models/pgtable/second_stage_table.hpp"

namespace gnomon::hypervisor {

class HostPageTable final : public IoPageTable {
 public:
  static constexpr unsigned levels = 4;

  HostPageTable(PhysicalMemory& memory, PageAllocator& pages, pgtable::PageSizes sizes)
      : pages_(pages), table_(memory, pages, levels), sizes_(sizes) {}

  Hpa root() const { return table_.root(); }
  /// Table pages an unmap took out: the hardware may still walk them, so the next invalidation is not leaf-only.
  bool tables_unlinked() const { return !unlinked_.empty(); }
  /// After that invalidation.
  void free_unlinked() {
    for (const Hpa page : unlinked_) pages_.free(page);
    unlinked_.clear();
  }

  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t leaf_bytes, DmaAccess access) override {
    const pgtable::Permissions permissions{permits(access, DmaAccess::read), permits(access, DmaAccess::write)};
    const auto done = table_.map(iova, hpa, bytes, permissions, leaf_bytes, unlinked_);
    return {done.status == pgtable::MapStatus::done, done.bytes, static_cast<std::uint32_t>(done.entries_written),
            static_cast<std::uint32_t>(done.tables_allocated)};
  }
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    const auto done = table_.unmap(iova, bytes, unlinked_);
    return {done.bytes, static_cast<std::uint32_t>(done.entries_written),
            static_cast<std::uint32_t>(done.tables_unlinked)};
  }
  std::optional<Hpa> iova_to_phys(Iova iova) override {
    const auto mapping = table_.lookup(iova);
    return mapping ? std::optional(mapping->hpa) : std::nullopt;
  }
  std::uint64_t page_sizes() const override { return sizes_; }

 private:
  PageAllocator& pages_;
  pgtable::SecondStageTable table_;
  pgtable::PageSizes sizes_;
  std::vector<Hpa> unlinked_;
};

}  // namespace gnomon::hypervisor
