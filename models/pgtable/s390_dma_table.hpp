// SPDX-License-Identifier: Apache-2.0
// Editing of an s390 PCI translation table in memory, as Linux does (drivers/iommu/s390-iommu.c; before 6.7
// arch/s390/pci/pci_dma.c): 4 KiB pages, three levels, tables that grow on demand and are never freed by an unmap.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "models/pgtable/mapping.hpp"
#include "models/pgtable/radix_table.hpp"
#include "models/pgtable/table_memory.hpp"

namespace gnomon::pgtable {

enum class S390MapStatus : std::uint8_t {
  done,
  misaligned,    ///< IOVA, address or length is no multiple of 4 KiB: no change
  out_of_range,  ///< beyond the 4 TiB a region third table spans: no change
  no_memory,     ///< for a table: no page of the range is valid
};

struct S390Outcome {
  S390MapStatus status = S390MapStatus::done;
  std::uint64_t bytes = 0;            ///< made valid, or invalid
  std::uint64_t entries_written = 0;  ///< of pages and pointers; not those a new table is filled with
  std::uint64_t levels_walked = 0;    ///< entries read on the way down: each page is walked to from the root
  std::uint64_t tables_allocated = 0;
};

/// One table. `Space` is where its pages and what they map lie. Entries are big endian, as the hardware's are.
template <class Space>
class S390DmaTable {
 public:
  using Physical = Address<Space>;
  using Found = std::conditional_t<std::is_same_v<Space, HpaSpace>, Mapping, GuestMapping>;

  /// Allocates the region third table. `memory` must outlive the object. Throws std::bad_alloc.
  explicit S390DmaTable(TableMemory<Space>& memory);
  S390DmaTable(const S390DmaTable&) = delete;
  S390DmaTable& operator=(const S390DmaTable&) = delete;

  Physical root() const { return root_; }  ///< 16 KiB, aligned to them: what the anchor holds

  /// Makes the pages of [iova, iova + bytes) valid, whatever they were before. A page can always be read by the
  /// device; `writable` is all there is to choose. Where memory for a table is not to be had, what was made valid
  /// is made invalid again; the tables stay.
  S390Outcome map(Iova iova, Physical address, std::uint64_t bytes, bool writable);
  /// Makes them invalid. Takes tables for what was never mapped, as Linux's walk does.
  S390Outcome unmap(Iova iova, std::uint64_t bytes);

  /// The software walk (iova_to_phys). Nothing where the address is not mapped.
  std::optional<Found> lookup(Iova iova) const;

  /// Returns every table. The table must not be used afterwards, and hardware must no longer reach it.
  void release();

 private:
  S390MapStatus check(std::uint64_t bits, Iova iova, std::uint64_t bytes) const;
  std::byte* slot(Physical table, unsigned index) const;
  Physical new_table();
  Physical new_page_table();
  std::byte* walk(Iova iova, S390Outcome& outcome);

  TableMemory<Space>& memory_;
  std::optional<Physical> spare_half_;  // page tables are half a page
  Physical root_;
};

extern template class S390DmaTable<HpaSpace>;
extern template class S390DmaTable<GpaSpace>;

}  // namespace gnomon::pgtable
