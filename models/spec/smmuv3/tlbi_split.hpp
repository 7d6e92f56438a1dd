// SPDX-License-Identifier: Apache-2.0
// How Linux says a range in TLBI commands (__arm_smmu_tlb_inv_range, 5.7 to 7.2). Used by the guest's driver and by
// the host's.
#pragma once

#include <bit>
#include <cstdint>

#include "models/spec/smmuv3/command.hpp"

namespace gnomon::smmuv3 {

inline constexpr std::uint64_t most_granules = 32;  ///< of one range command, at its scale

/// TTL of leaves of `leaf_bytes`, 4 KiB granule: the architecture's level.
constexpr std::uint8_t level_hint(std::uint64_t leaf_bytes) {
  return static_cast<std::uint8_t>(4 - (std::countr_zero(leaf_bytes) - 3) / 9);
}

/// With range invalidation: five bits of the page count at a time, from its lowest set bit on. `ttl` of 0: the
/// leaves' level is not known, or table descriptors go too; one granule at scale 0 is reserved then, and two are
/// said instead.
template <class Add>
void split_by_range(std::uint64_t address, std::uint64_t bytes, bool leaf, std::uint8_t ttl, Add&& add) {
  TlbiRange range;
  range.leaf = leaf;
  range.tg = 1;
  range.ttl = ttl;
  range.address = address;
  std::uint64_t pages = bytes >> page_shift;
  if (ttl == 0 && pages % most_granules == 1) ++pages;
  while (pages != 0) {
    const auto scale = static_cast<unsigned>(std::countr_zero(pages));
    const std::uint64_t count = (pages >> scale) % most_granules;
    range.scale = static_cast<std::uint8_t>(scale);
    range.num = static_cast<std::uint8_t>(count - 1);
    add(range);
    range.address += count << scale << page_shift;
    pages -= count << scale;
  }
}

/// Without: a command a leaf.
template <class Add>
void split_by_leaf(std::uint64_t address, std::uint64_t bytes, std::uint64_t leaf_bytes, bool leaf, Add&& add) {
  TlbiRange range;
  range.leaf = leaf;
  for (std::uint64_t done = 0; done < bytes; done += leaf_bytes) {
    range.address = address + done;
    add(range);
  }
}

}  // namespace gnomon::smmuv3
