// SPDX-License-Identifier: Apache-2.0
// Editing of a VT-d second-stage page table (VT-d specification rev 4.1, section 9.8) where hardware reads it: in
// memory. Knows nothing of caches: the owner invalidates what the outcomes say was changed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/memory/physical_memory.hpp"
#include "models/pgtable/mapping.hpp"

namespace gnomon::pgtable {

enum class MapStatus : std::uint8_t {
  done,
  misaligned,      ///< IOVA, HPA or length is no multiple of the smallest allowed size, or no size is allowed: no
                   ///< change
  out_of_range,    ///< the IOVA range leaves the table's width, or the HPA what an entry can hold: no change
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

/// One table. Tables grow on demand and shrink when an unmapped range covers all a table can map, as in Linux.
/// Where an allocation fails, std::bad_alloc leaves the table valid, with a prefix of the range mapped.
class SecondStageTable {
 public:
  /// `levels`: 3, 4 or 5 (39, 48, 57 bits of IOVA). Allocates the root. Throws std::invalid_argument,
  /// std::bad_alloc.
  SecondStageTable(PhysicalMemory& memory, PageAllocator& allocator, unsigned levels);

  Hpa root() const { return root_; }
  unsigned levels() const { return levels_; }

  /// Maps [iova, iova + bytes) to [hpa, hpa + bytes): at each step the largest of `sizes` that alignment and the
  /// rest of the range allow. A single size in `sizes` is that size throughout. Table pages that fall out of the
  /// table are appended to `unlinked`; their contents stay as they were, because hardware may still read them: free
  /// them after the invalidation (IH = 0).
  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, Permissions permissions, PageSizes sizes,
                 std::vector<Hpa>& unlinked);

  /// Clears every leaf that overlaps [iova, iova + bytes); holes are passed over. `unlinked` as in map().
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes, std::vector<Hpa>& unlinked);

  /// The software walk (iova_to_phys). Nothing where the address is not mapped or beyond the table's width.
  std::optional<Mapping> lookup(Iova iova) const;

  /// Returns every table page, the root included, to the allocator. The table must not be used afterwards, and
  /// hardware must no longer reach it.
  void release();

 private:
  struct MapRequest;
  bool map_in_table(Hpa table, unsigned level, MapRequest& request);
  bool make_leaf(std::byte* slot, unsigned level, MapRequest& request);
  Hpa next_table(std::byte* slot, MapRequest& request);
  void unmap_in_table(Hpa table, unsigned level, Iova iova, Iova last, UnmapOutcome& outcome,
                      std::vector<Hpa>& unlinked);
  void unlink(Hpa table, unsigned level, Iova base, UnmapOutcome& outcome, std::vector<Hpa>& unlinked);
  bool collect_if_empty(Hpa table, unsigned level, std::vector<Hpa>& unlinked) const;
  void release_table(Hpa table, unsigned level);
  bool in_range(Iova iova, std::uint64_t bytes) const;

  PhysicalMemory& memory_;
  PageAllocator& allocator_;
  unsigned levels_;
  Hpa root_;
};

}  // namespace gnomon::pgtable
