// SPDX-License-Identifier: Apache-2.0
// Editing of a 512-way page table where hardware reads it: in memory, a host's or a guest's. The entry format is a
// parameter. Knows nothing of caches: the owner invalidates what the outcomes say was changed.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "models/pgtable/mapping.hpp"
#include "models/pgtable/table_memory.hpp"

namespace gnomon::pgtable {

enum class MapStatus : std::uint8_t {
  done,
  misaligned,    ///< IOVA, address or length is no multiple of the smallest allowed size, or no size is allowed: no
                 ///< change
  out_of_range,  ///< the IOVA range leaves the table's width, or the address what an entry can hold: no change
  no_permission,   ///< neither read nor write: such an entry would be not present. No change
  already_mapped,  ///< stopped at the first entry in use; `bytes` of the range are mapped
};

struct MapOutcome {
  MapStatus status = MapStatus::done;
  std::uint64_t bytes = 0;            ///< mapped, from the start of the range
  std::uint64_t leaves = 0;           ///< leaf entries written
  std::uint64_t entries_written = 0;  ///< leaf entries and table pointers
  std::uint64_t tables_visited = 0;   ///< table pages walked into, the root included
  std::uint64_t tables_allocated = 0;
  std::uint64_t tables_replaced = 0;  ///< empty tables a large leaf took the place of; appended to `unlinked`
};

struct UnmapOutcome {
  std::uint64_t bytes = 0;   ///< cleared: whole leaves, so it may exceed what was asked where a leaf is larger
  std::uint64_t leaves = 0;  ///< leaf entries that no longer translate
  Iova first{};              ///< [first, end) spans the cleared leaves; equal when nothing was cleared
  Iova end{};
  std::uint64_t entries_written = 0;  ///< an unlinked table costs one write, not one for each of its entries
  std::uint64_t tables_visited = 0;
  std::uint64_t tables_unlinked = 0;  ///< appended to `unlinked`; non-zero means that IH must be 0
};

/// One address translated by a guest's table.
struct GuestMapping {
  Gpa gpa{};                     ///< of the address asked for, not of its page
  std::uint64_t page_bytes = 0;  ///< size of the leaf
  Permissions permissions{};
  constexpr bool operator==(const GuestMapping&) const = default;
};

/// One table. `Space` is where its pages and what they map lie: HpaSpace for a host, GpaSpace for a guest kernel.
/// `Format` says what an entry is: see SecondStageEntries and FirstStageEntries.
/// Tables grow on demand and shrink when an unmapped range covers all a table can map, as in Linux. Where an
/// allocation fails, std::bad_alloc leaves the table valid, with a prefix of the range mapped.
template <class Format, class Space>
class RadixTable {
 public:
  using Physical = Address<Space>;
  using Found = std::conditional_t<std::is_same_v<Space, HpaSpace>, Mapping, GuestMapping>;

  /// Allocates the root. `memory` must outlive the object. Throws std::invalid_argument where the format has no
  /// tables of so many levels, std::bad_alloc.
  RadixTable(TableMemory<Space>& memory, unsigned levels);
  RadixTable(const RadixTable&) = delete;
  RadixTable& operator=(const RadixTable&) = delete;

  Physical root() const { return root_; }
  unsigned levels() const { return levels_; }

  /// Maps [iova, iova + bytes) to [address, address + bytes): at each step the largest of `sizes` that alignment
  /// and the rest of the range allow. A single size in `sizes` is that size throughout. Table pages that fall out
  /// of the table are appended to `unlinked`; their contents stay as they were, because hardware may still read
  /// them: free them after the invalidation (IH = 0).
  MapOutcome map(Iova iova, Physical address, std::uint64_t bytes, Permissions permissions, PageSizes sizes,
                 std::vector<Physical>& unlinked);

  /// Clears every leaf that overlaps [iova, iova + bytes); holes are passed over. `unlinked` as in map().
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes, std::vector<Physical>& unlinked);

  /// The software walk (iova_to_phys). Nothing where the address is not mapped or beyond the table's width.
  std::optional<Found> lookup(Iova iova) const;

  /// Returns every table page, the root included. The table must not be used afterwards, and hardware must no
  /// longer reach it.
  void release();

 private:
  struct MapRequest;
  bool map_in_table(Physical table, unsigned level, MapRequest& request);
  bool make_leaf(std::byte* slot, unsigned level, MapRequest& request);
  Physical next_table(std::byte* slot, MapRequest& request);
  void unmap_in_table(Physical table, unsigned level, Iova iova, Iova last, UnmapOutcome& outcome,
                      std::vector<Physical>& unlinked);
  void unlink(Physical table, unsigned level, Iova base, UnmapOutcome& outcome, std::vector<Physical>& unlinked);
  bool collect_if_empty(Physical table, unsigned level, std::vector<Physical>& unlinked) const;
  void release_table(Physical table, unsigned level);
  bool in_range(Iova iova, std::uint64_t bytes) const;

  TableMemory<Space>& memory_;
  unsigned levels_;
  Physical root_;
};

struct OwnTableMemory {
  HostTableMemory own;
};

/// A table of the host that brings its memory along.
template <class Format>
class HostRadixTable : private OwnTableMemory, public RadixTable<Format, HpaSpace> {
 public:
  HostRadixTable(PhysicalMemory& memory, PageAllocator& allocator, unsigned levels)
      : OwnTableMemory{{memory, allocator}}, RadixTable<Format, HpaSpace>(own, levels) {}
};

}  // namespace gnomon::pgtable
