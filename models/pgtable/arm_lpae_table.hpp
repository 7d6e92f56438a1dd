// SPDX-License-Identifier: Apache-2.0
// Editing of an AArch64 (LPAE, 4 KiB granule) translation table in memory, stage 1 or 2, as Linux's io-pgtable-arm
// does: a call stays within one table, whole tables go when a block is unmapped over them, and blocks are split
// where the kernel splits them. Format: DDI 0487, chapter D8.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "models/pgtable/mapping.hpp"
#include "models/pgtable/radix_table.hpp"
#include "models/pgtable/table_memory.hpp"
#include "models/spec/smmuv3/page_table.hpp"

namespace gnomon::pgtable {

enum class LpaeMapStatus : std::uint8_t {
  done,
  unsupported_size,  ///< not 4 KiB, 2 MiB or 1 GiB: no change
  misaligned,        ///< IOVA or address is no multiple of the page size: no change
  out_of_range,      ///< the IOVA range leaves the table's width, or the address 48 bits: no change
  no_permission,     ///< neither read nor write: no change
  already_mapped,    ///< stopped at a leaf in use
  /// Stopped at a table where a block is to be: the caller unmaps one entry of the block's size there, with its
  /// flush, and goes on.
  table_in_the_way,
};

struct LpaeMapOutcome {
  LpaeMapStatus status = LpaeMapStatus::done;
  std::uint64_t bytes = 0;  ///< mapped: fewer than asked at the edge of a table too, where the caller goes on
  std::uint64_t leaves = 0;
  std::uint64_t levels_walked = 0;  ///< entries read on the way down
  std::uint64_t tables_allocated = 0;
};

/// What an unmap found. A call clears a run of leaves, or one entry of another kind.
enum class LpaeUnmapped : std::uint8_t {
  nothing,  ///< the entry is invalid: a hole
  leaves,
  table,    ///< an entry of the asked size was a table: cached walks through it must go before its pages do
  split,    ///< a block became a table of smaller leaves without the asked ones
  refused,  ///< part of a block, and blocks are not split
};

struct LpaeUnmapOutcome {
  LpaeUnmapped kind = LpaeUnmapped::nothing;
  std::uint64_t bytes = 0;  ///< covered by the entries cleared
  std::uint64_t entries = 0;
  std::uint64_t levels_walked = 0;
  std::uint64_t entries_written = 0;  ///< a split writes a whole table
  std::uint64_t tables_allocated = 0;
  std::uint64_t tables_unlinked = 0;  ///< appended to `unlinked`
};

/// One table. `Space` is where its pages and what they map lie. Where an allocation fails, std::bad_alloc leaves
/// the table valid, with a prefix of the range mapped or nothing unmapped.
template <class Space>
class ArmLpaeTable {
 public:
  using PhysicalAddress = Address<Space>;
  using Found = std::conditional_t<std::is_same_v<Space, HpaSpace>, Mapping, GuestMapping>;

  /// Allocates the root, always one page: `input_bits` is 25 to 48, and roots of stage 2 are never concatenated.
  /// Throws std::invalid_argument, std::bad_alloc.
  ArmLpaeTable(TableMemory<Space>& memory, smmuv3::Stage stage, unsigned input_bits);

  PhysicalAddress root() const { return root_; }
  unsigned levels() const { return levels_; }
  unsigned input_bits() const { return input_bits_; }
  smmuv3::Stage stage() const { return stage_; }

  /// Maps up to `count` pages of `page_bytes`, as far as one table reaches. A stage-1 leaf that is writable is
  /// readable too: the format has no other.
  LpaeMapOutcome map(Iova iova, PhysicalAddress address, std::uint64_t page_bytes, std::uint64_t count,
                     Permissions permissions);

  /// Clears up to `count` entries of `page_bytes` from `iova` on, as far as one table reaches and the entries are
  /// of one kind; tables and split blocks one a call. `split_blocks`: Linux up to 6.12; false refuses (7.2). Pages
  /// of unlinked tables keep their contents: free them after the invalidation.
  LpaeUnmapOutcome unmap(Iova iova, std::uint64_t page_bytes, std::uint64_t count, bool split_blocks,
                         std::vector<PhysicalAddress>& unlinked);

  /// Entries of `page_bytes` from `iova` to the end of their table: more than that no call of map or unmap takes.
  static std::uint64_t entries_to_edge(Iova iova, std::uint64_t page_bytes);

  /// The software walk (iova_to_phys). Nothing where the address is not mapped.
  std::optional<Found> lookup(Iova iova) const;

  /// Returns every table page, the root included. The table must not be used afterwards, and hardware must no
  /// longer reach it.
  void release();

 private:
  struct Slot {
    std::byte* entry = nullptr;
    unsigned level = 0;
  };
  Slot descend(Iova iova, unsigned level, std::uint64_t& levels_walked) const;
  LpaeUnmapOutcome split(Slot block, Iova iova, unsigned level, std::uint64_t count);
  void collect(PhysicalAddress table, unsigned level, std::vector<PhysicalAddress>& tables) const;
  LpaeMapStatus check(Iova iova, std::uint64_t address, std::uint64_t page_bytes, std::uint64_t count,
                      Permissions permissions) const;

  TableMemory<Space>& memory_;
  smmuv3::Stage stage_;
  unsigned input_bits_;
  unsigned levels_;
  PhysicalAddress root_;
};

extern template class ArmLpaeTable<HpaSpace>;
extern template class ArmLpaeTable<GpaSpace>;

}  // namespace gnomon::pgtable
