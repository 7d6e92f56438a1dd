// SPDX-License-Identifier: Apache-2.0
// Translation table descriptors of VMSAv8-64 with a 4 KiB granule, both stages. Source: Arm Architecture Reference
// Manual (DDI 0487), chapter D8; IHI 0070, section 3.4. Levels count as in the rest of this repository: 1 holds
// 4 KiB pages (the architecture's level 3), 4 is the root of a 48-bit table (its level 0).
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/smmuv3/bits.hpp"

namespace gnomon::smmuv3 {

enum class Stage : std::uint8_t { one, two };

inline constexpr unsigned table_entries = 512;
inline constexpr unsigned deepest_root = 4;
inline constexpr unsigned largest_leaf_level = 3;  ///< 1 GiB blocks
inline constexpr std::uint64_t descriptor_address_mask = mask(47, 12);

constexpr unsigned level_shift(unsigned level) {
  return 12 + 9 * (level - 1);
}
constexpr std::uint64_t level_bytes(unsigned level) {
  return std::uint64_t{1} << level_shift(level);
}
constexpr unsigned table_index(std::uint64_t address, unsigned level) {
  return static_cast<unsigned>(address >> level_shift(level)) & (table_entries - 1);
}
/// Levels a table of so many input bits has, 25 to 48.
constexpr unsigned levels_of(unsigned input_bits) {
  return (input_bits - 12 + 8) / 9;
}

/// What a descriptor is, by bits 1:0 and its level.
enum class DescriptorKind : std::uint8_t { invalid, table, leaf };
constexpr DescriptorKind kind_of(std::uint64_t raw, unsigned level) {
  const std::uint64_t type = raw & 3;
  if (type == 3) return level == 1 ? DescriptorKind::leaf : DescriptorKind::table;
  if (type == 1 && level > 1 && level <= largest_leaf_level) return DescriptorKind::leaf;
  return DescriptorKind::invalid;  // 01 at the last level and at level 0 is reserved: as invalid
}

namespace descriptor {
inline constexpr std::uint64_t block = 1;
inline constexpr std::uint64_t table = 3;
inline constexpr std::uint64_t page = 3;
// Leaves of stage 1: AttrIndx 4:2, AP[2:1] 7:6, SH 9:8.
inline constexpr std::uint64_t ap_unprivileged = std::uint64_t{1} << 6;  ///< AP[1]
inline constexpr std::uint64_t ap_read_only = std::uint64_t{1} << 7;     ///< AP[2]
inline constexpr std::uint64_t not_global = std::uint64_t{1} << 11;      ///< nG
constexpr std::uint64_t attr_index(unsigned index) {
  return placed(index, 4, 2);
}
inline constexpr unsigned attr_write_back = 1;  ///< Linux's MAIR index for coherent memory
// Leaves of stage 2: MemAttr 5:2, S2AP 7:6, SH 9:8.
inline constexpr std::uint64_t s2ap_read = std::uint64_t{1} << 6;
inline constexpr std::uint64_t s2ap_write = std::uint64_t{1} << 7;
inline constexpr std::uint64_t mem_attr_write_back = placed(0xf, 5, 2);
// Both.
inline constexpr std::uint64_t inner_shareable = std::uint64_t{3} << 8;
inline constexpr std::uint64_t access_flag = std::uint64_t{1} << 10;
// Table descriptors of stage 1: APTable 62:61, hierarchical.
inline constexpr std::uint64_t ap_table_no_unprivileged = std::uint64_t{1} << 61;
inline constexpr std::uint64_t ap_table_read_only = std::uint64_t{1} << 62;
}  // namespace descriptor

/// What a leaf lets an unprivileged device do. Stage 1 has no write-only.
struct LeafAccess {
  bool read = false;
  bool write = false;
  constexpr bool operator==(const LeafAccess&) const = default;
};
constexpr LeafAccess access_of_leaf(std::uint64_t raw, Stage stage) {
  if (stage == Stage::two) return {(raw & descriptor::s2ap_read) != 0, (raw & descriptor::s2ap_write) != 0};
  const bool any = (raw & descriptor::ap_unprivileged) != 0;
  return {any, any && (raw & descriptor::ap_read_only) == 0};
}
/// A leaf as Linux writes it for coherent memory (io-pgtable-arm.c). `page`: of the level's size and alignment.
constexpr std::uint64_t make_leaf(std::uint64_t page, unsigned level, Stage stage, LeafAccess access) {
  std::uint64_t raw = (page & descriptor_address_mask) | descriptor::access_flag | descriptor::inner_shareable |
                      (level == 1 ? descriptor::page : descriptor::block);
  if (stage == Stage::two) {
    return raw | descriptor::mem_attr_write_back | (access.read ? descriptor::s2ap_read : 0) |
           (access.write ? descriptor::s2ap_write : 0);
  }
  raw |= descriptor::not_global | descriptor::ap_unprivileged | descriptor::attr_index(descriptor::attr_write_back);
  return access.write ? raw : raw | descriptor::ap_read_only;
}
constexpr std::uint64_t make_table(std::uint64_t address) {
  return (address & descriptor_address_mask) | descriptor::table;
}
constexpr std::uint64_t address_of(std::uint64_t raw) {
  return raw & descriptor_address_mask;
}

}  // namespace gnomon::smmuv3
