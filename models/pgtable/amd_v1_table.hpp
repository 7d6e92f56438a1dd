// SPDX-License-Identifier: Apache-2.0
// Editing of an AMD host (v1) page table in memory, as Linux's io_pgtable v1 does up to v6.12: leaves of any power
// of two, a root that grows, no level skipped. Format: AMD IOMMU specification 48882 rev 3, section 2.2.3.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "models/pgtable/mapping.hpp"
#include "models/pgtable/radix_table.hpp"
#include "models/pgtable/table_memory.hpp"

namespace gnomon::pgtable {

/// The sizes Linux gives the core for a v1 table: 4 KiB to 2^51 without 512 GiB, which hardware gets wrong.
inline constexpr PageSizes amd_v1_sizes = ((PageSizes{1} << 52) - page_size) & ~(PageSizes{1} << 39);

enum class AmdMapStatus : std::uint8_t {
  done,
  unsupported_size,  ///< not one of amd_v1_sizes: no change
  misaligned,        ///< IOVA or physical address is no multiple of the page size: no change
  out_of_range,      ///< the range leaves the 64 bits of IOVA or the 52 of physical address: no change
  no_permission,     ///< neither read nor write: no change
};

struct AmdMapOutcome {
  AmdMapStatus status = AmdMapStatus::done;
  std::uint64_t bytes = 0;            ///< mapped
  std::uint64_t leaves = 0;           ///< whatever number of entries one is made of
  std::uint64_t entries_written = 0;  ///< replicas, table pointers and entries cleared included
  std::uint64_t levels_walked = 0;    ///< entries read on the way down; every leaf is walked to from the root
  std::uint64_t tables_allocated = 0;
  std::uint64_t tables_unlinked = 0;  ///< appended to `unlinked`
  bool root_changed = false;  ///< the table grew: device table entries need root() and levels(), and a flush
  /// A table or a larger leaf that was present was replaced: caches may hold it, a full flush is due.
  bool updated = false;
};

struct AmdUnmapOutcome {
  std::uint64_t bytes = 0;  ///< whole leaves: may exceed what was asked, may fall short where an entry is absent
  std::uint64_t leaves = 0;
  Iova first{};  ///< [first, end) spans the cleared leaves; equal when nothing was cleared
  Iova end{};
  std::uint64_t entries_written = 0;
  std::uint64_t levels_walked = 0;
};

/// One table. `Space` is where its pages and what they map lie: HpaSpace for a host, GpaSpace for a guest kernel.
/// Unmapping frees no table pages, as in Linux up to v6.12. Where an allocation fails, std::bad_alloc leaves the
/// table valid, with a prefix of the range mapped.
template <class Space>
class AmdV1Table {
 public:
  using PhysicalAddress = Address<Space>;
  using Found = std::conditional_t<std::is_same_v<Space, HpaSpace>, Mapping, GuestMapping>;
  static constexpr unsigned first_levels = 3;

  /// Allocates a root of 3 levels. `memory` must outlive the object. Throws std::bad_alloc.
  explicit AmdV1Table(TableMemory<Space>& memory) : memory_(memory), root_(memory.allocate()) {}

  PhysicalAddress root() const { return root_; }
  unsigned levels() const { return levels_; }  ///< Mode of the device table entry: 3 to 6

  /// Maps `count` pages of `page_bytes` from `iova` to `address` on. A leaf in the way is overwritten without a
  /// word: the core does not map what is mapped. Table pages that fall out of the table are appended to `unlinked`
  /// with their contents, because hardware may still read them: free them after the invalidation.
  AmdMapOutcome map(Iova iova, PhysicalAddress address, std::uint64_t page_bytes, std::uint64_t count,
                    Permissions permissions, std::vector<PhysicalAddress>& unlinked);

  /// Clears leaf after leaf from the one that holds `iova`, until `bytes` are cleared or an entry is absent.
  AmdUnmapOutcome unmap(Iova iova, std::uint64_t bytes);

  /// The software walk (iova_to_phys). Nothing where the address is not mapped.
  std::optional<Found> lookup(Iova iova) const;

  /// Returns every table page, the root included. The table must not be used afterwards, and hardware must no
  /// longer reach it.
  void release();

 private:
  struct Slot;
  std::optional<Slot> find_leaf(Iova iova, std::uint64_t& levels_walked) const;
  void grow(AmdMapOutcome& outcome);
  std::byte* entry_for(Iova iova, unsigned level, AmdMapOutcome& outcome);
  void clear_for_leaf(std::byte* slot, unsigned level, AmdMapOutcome& outcome,
                      std::vector<PhysicalAddress>& unlinked);
  void collect(PhysicalAddress table, unsigned level, std::vector<PhysicalAddress>& tables) const;

  TableMemory<Space>& memory_;
  PhysicalAddress root_;
  unsigned levels_ = first_levels;
};

extern template class AmdV1Table<HpaSpace>;
extern template class AmdV1Table<GpaSpace>;

}  // namespace gnomon::pgtable
