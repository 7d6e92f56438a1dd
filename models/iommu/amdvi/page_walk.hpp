// SPDX-License-Identifier: Apache-2.0
// The page walker of the host (v1) format: a function of how an entry is read. It neither caches nor spends time.
// AMD IOMMU specification 48882 rev 3, section 2.2.3.
#pragma once

#include <cstdint>
#include <optional>

#include "models/iommu/core/access.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/pgtable/mapping.hpp"
#include "models/spec/amdvi/page_table.hpp"

namespace gnomon::iommu {

struct AmdviWalk {
  enum class End : std::uint8_t {
    leaf,
    not_present,
    not_permitted,
    reserved_set,
    invalid_level,  ///< next level not below the entry's own, or a leaf size its level does not have
    inaccessible,   ///< memory did not answer
  };
  End end = End::not_present;
  pgtable::Mapping mapping{};  ///< of a leaf; permissions are the AND over the levels
  Hpa entry{};                 ///< the last entry read
  unsigned reads = 0;
};

/// A leaf this large is more than any entry can address.
inline constexpr std::uint64_t largest_amdvi_leaf = std::uint64_t{1} << 52;

/// The size of a leaf, or 0 where `level` has no such leaf.
constexpr std::uint64_t valid_leaf_bytes(const amdvi::PageTableEntry& e, unsigned level) {
  const std::uint64_t bytes = amdvi::leaf_bytes(e, level);
  const bool larger_than_level = amdvi::leaf_replicas(bytes) > 1;
  const bool valid = bytes <= largest_amdvi_leaf && amdvi::level_of_leaf(bytes) == level &&
                     larger_than_level == (e.next_level == amdvi::leaf_of_any_size);
  return valid ? bytes : 0;
}

/// Walks from `start` down to the leaf of `iova`. `read(Hpa)` gives an entry, or nothing where memory does not
/// answer; `on_table(WalkStart)` is told of every table the walk passes into.
template <class Read, class OnTable>
AmdviWalk walk_amdvi(WalkStart start, Iova iova, Access access, Read&& read, OnTable&& on_table) {
  using End = AmdviWalk::End;
  AmdviWalk result;
  const auto ended = [&](End end) {
    result.end = end;
    return result;
  };
  for (;;) {
    result.entry = start.table + amdvi::table_index(iova, start.level) * sizeof(std::uint64_t);
    ++result.reads;
    const std::optional<std::uint64_t> raw = read(result.entry);
    if (!raw) return ended(End::inaccessible);
    const amdvi::PageTableEntry entry = amdvi::decode_page_table_entry(*raw);
    if (!entry.pr) return ended(End::not_present);
    if (amdvi::page_table_entry_reserved_set(*raw)) return ended(End::reserved_set);
    const std::uint64_t leaf = entry.leaf() ? valid_leaf_bytes(entry, start.level) : 0;
    if (entry.leaf() ? leaf == 0 : entry.next_level >= start.level) return ended(End::invalid_level);
    start.permissions = start.permissions & pgtable::Permissions{entry.ir, entry.iw};
    if (!allows(start.permissions, access)) return ended(End::not_permitted);
    if (entry.leaf()) {
      const Hpa base{entry.addr.value & ~(leaf - 1)};
      result.mapping = {base + (iova.value & (leaf - 1)), leaf, start.permissions};
      return ended(End::leaf);
    }
    // Address bits of skipped levels must be zero (section 2.2.3): nothing is mapped elsewhere.
    const std::uint64_t below = iova.value & (amdvi::level_bytes(start.level) - 1);
    if (!amdvi::in_span(Iova{below}, entry.next_level)) return ended(End::not_present);
    start.level = entry.next_level;
    start.table = entry.addr;
    on_table(start);
  }
}

}  // namespace gnomon::iommu
