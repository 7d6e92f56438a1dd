// SPDX-License-Identifier: Apache-2.0
// Entries of the host (v1) page table: directory entries, leaves, and leaves of any power of two by next level 7.
// Source: AMD IOMMU specification 48882 rev 3, section 2.2.3.
#pragma once

#include <bit>
#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/amdvi/bits.hpp"

namespace gnomon::amdvi {

/// Next level 0: a leaf of the entry's own level. 7: a leaf whose size is in its address, with one equal entry for
/// each part of the level's own size. Else: the table of that level, which may skip levels.
inline constexpr std::uint8_t leaf_of_level = 0;
inline constexpr std::uint8_t leaf_of_any_size = 7;

struct PageTableEntry {
  bool pr = false;              ///< 0: present
  std::uint8_t next_level = 0;  ///< 11:9
  Hpa addr{};                   ///< 51:12: the next table, the page, or page and size where next level is 7
  bool fc = false;              ///< 60: force coherent; leaves only
  bool ir = false;              ///< 61: reads permitted
  bool iw = false;              ///< 62: writes permitted
  constexpr bool operator==(const PageTableEntry&) const = default;
  constexpr bool leaf() const { return next_level == leaf_of_level || next_level == leaf_of_any_size; }
};

constexpr std::uint64_t encode(const PageTableEntry& e) {
  return at(e.pr, 0) | placed(e.next_level, 11, 9) | (e.addr.value & page_address_mask) | at(e.fc, 60) |
         at(e.ir, 61) | at(e.iw, 62);
}
constexpr PageTableEntry decode_page_table_entry(std::uint64_t raw) {
  return {bit(raw, 0),
          static_cast<std::uint8_t>(field(raw, 11, 9)),
          Hpa{raw & page_address_mask},
          bit(raw, 60),
          bit(raw, 61),
          bit(raw, 62)};
}
/// 58:52 are reserved in every entry, 60:59 (FC, U) in those that point to a table.
constexpr bool page_table_entry_reserved_set(std::uint64_t raw) {
  return (raw & mask(58, 52)) != 0 || (!decode_page_table_entry(raw).leaf() && (raw & mask(60, 59)) != 0);
}

inline constexpr unsigned table_entries = 512;

/// Address bits below those an entry of `level`, 1 to 6, resolves: 12, 21, 30, 39, 48, 57.
constexpr unsigned level_shift(unsigned level) {
  return 12 + 9 * (level - 1);
}
/// What one entry of `level`, 1 to 6, spans.
constexpr std::uint64_t level_bytes(unsigned level) {
  return std::uint64_t{1} << level_shift(level);
}
/// Bits of address a table of `levels`, 1 to 6, takes; of 6 levels all 64.
constexpr unsigned input_bits(unsigned levels) {
  return levels >= 6 ? 64 : level_shift(levels + 1);
}
constexpr bool in_span(Iova iova, unsigned levels) {
  return levels >= 6 || (iova.value >> input_bits(levels)) == 0;
}
constexpr unsigned table_index(Iova iova, unsigned level) {
  return static_cast<unsigned>(iova.value >> level_shift(level)) & (table_entries - 1);
}

/// Size of the leaf `e` is, found in a table of `level`. The size of a next-level-7 leaf is twice the lowest zero
/// of its address from bit 12 up; 2^53 stands for an address of ones.
constexpr std::uint64_t leaf_bytes(const PageTableEntry& e, unsigned level) {
  if (e.next_level == leaf_of_level) return level_bytes(level);
  return std::uint64_t{2} << std::countr_one(e.addr.value | (page_size - 1));
}
/// First byte of the leaf.
constexpr Hpa leaf_base(const PageTableEntry& e, unsigned level) {
  return {e.addr.value & ~(leaf_bytes(e, level) - 1)};
}

/// The level that holds leaves of `bytes`, a power of two from 4 KiB to 2^63: the highest whose entries fit in one.
constexpr unsigned level_of_leaf(std::uint64_t bytes) {
  return (static_cast<unsigned>(std::countr_zero(bytes)) - 12) / 9 + 1;
}
/// How many equal entries make a leaf of `bytes`: 1 to 256.
constexpr unsigned leaf_replicas(std::uint64_t bytes) {
  return 1u << (static_cast<unsigned>(std::countr_zero(bytes)) - 12) % 9;
}
/// A leaf of `bytes` (as above) at `page`, aligned to it. Sizes of a level have next level 0, the others 7.
constexpr PageTableEntry make_leaf(Hpa page, std::uint64_t bytes, bool ir, bool iw, bool fc = true) {
  if (leaf_replicas(bytes) == 1) return {true, leaf_of_level, page, fc, ir, iw};
  return {true, leaf_of_any_size, Hpa{(page.value | ((bytes >> 1) - 1)) & page_address_mask}, fc, ir, iw};
}

}  // namespace gnomon::amdvi
