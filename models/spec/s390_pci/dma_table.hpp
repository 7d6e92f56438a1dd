// SPDX-License-Identifier: Apache-2.0
// I/O translation tables of s390 PCI: region third table, segment tables, page tables, and the anchor that a
// function is registered with. Sources: Linux arch/s390/include/asm/pci_dma.h, QEMU
// include/hw/s390x/s390-pci-bus.h. Bits are numbered from 0, the least significant. In memory an entry is a
// big-endian doubleword.
#pragma once

#include <bit>
#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::s390_pci {

inline constexpr unsigned table_entries = 2048;  ///< of a region or segment table
inline constexpr unsigned page_table_entries = 256;
inline constexpr std::uint64_t table_bytes = 16384;      ///< and its alignment
inline constexpr std::uint64_t page_table_bytes = 2048;  ///< and its alignment

inline constexpr unsigned segment_shift = 20;  ///< a segment table's entry spans 1 MiB
inline constexpr unsigned region_shift = 31;   ///< a region table's entry spans 2 GiB
inline constexpr std::uint64_t segment_bytes = std::uint64_t{1} << segment_shift;
inline constexpr std::uint64_t region_bytes = std::uint64_t{1} << region_shift;
inline constexpr std::uint64_t table_span = std::uint64_t{1} << 42;  ///< of a region third table: 4 TiB

constexpr unsigned region_index(Iova iova) {
  return static_cast<unsigned>(iova.value >> region_shift) & (table_entries - 1);
}
constexpr unsigned segment_index(Iova iova) {
  return static_cast<unsigned>(iova.value >> segment_shift) & (table_entries - 1);
}
constexpr unsigned page_index(Iova iova) {
  return static_cast<unsigned>(iova.value >> page_shift) & (page_table_entries - 1);
}

// Bits that entries share.
inline constexpr std::uint64_t protected_bit = 0x200;  ///< of an entry of any level, and of the anchor: no writes
inline constexpr std::uint64_t invalid_bit = 0x20;     ///< of a region or segment table entry

// Region third table entry.
inline constexpr std::uint64_t region_type = 0x4;          ///< bits 3:2: a region third table's
inline constexpr std::uint64_t region_length = 0x3;        ///< bits 1:0: the segment table has all its 16 KiB
inline constexpr std::uint64_t region_offset_mask = 0xc0;  ///< bits 7:6: where it begins; 0 with that length
inline constexpr std::uint64_t region_origin_mask = ~std::uint64_t{0x3fff};

// Segment table entry.
inline constexpr std::uint64_t segment_frame_bit = 0x400;  ///< a frame of 1 MiB instead of a page table
inline constexpr std::uint64_t segment_origin_mask = ~std::uint64_t{0x7ff};
inline constexpr std::uint64_t segment_frame_mask = ~(segment_bytes - 1);

// Page table entry.
inline constexpr std::uint64_t page_invalid_bit = 0x400;
inline constexpr std::uint64_t page_frame_mask = ~std::uint64_t{0xfff};

/// What Linux fills new tables with. An entry of zero is no entry at all: an event of the function's.
inline constexpr std::uint64_t empty_directory_entry = invalid_bit;
inline constexpr std::uint64_t empty_page_entry = page_invalid_bit;

template <class Space>
constexpr std::uint64_t region_entry(Address<Space> segment_table) {
  return (segment_table.value & region_origin_mask) | region_type | region_length;
}
template <class Space>
constexpr std::uint64_t segment_entry(Address<Space> page_table) {
  return page_table.value & segment_origin_mask;
}
template <class Space>
constexpr std::uint64_t page_entry(Address<Space> frame, bool writable) {
  return (frame.value & page_frame_mask) | (writable ? 0 : protected_bit);
}

constexpr bool directory_valid(std::uint64_t entry) {
  return (entry & invalid_bit) == 0;
}
constexpr bool page_valid(std::uint64_t entry) {
  return (entry & page_invalid_bit) == 0;
}
constexpr bool writable(std::uint64_t entry) {
  return (entry & protected_bit) == 0;
}
/// Of a valid region entry: the segment table has its full length.
constexpr bool region_full_length(std::uint64_t entry) {
  return (entry & region_length) == region_length && (entry & region_offset_mask) == 0;
}

/// I/O translation anchor (IOTA), with key and frame size 0.
inline constexpr std::uint64_t anchor_translates = 0x800;  ///< bit 11: without it, relaxed translation
inline constexpr std::uint64_t anchor_region_third = 1;    ///< bits 4:2, the designation type
template <class Space>
constexpr std::uint64_t anchor(Address<Space> region_table) {
  return (region_table.value & region_origin_mask) | anchor_translates | anchor_region_third << 2;
}
constexpr std::uint64_t designation_type(std::uint64_t iota) {
  return iota >> 2 & 7;
}
constexpr std::uint64_t anchor_origin(std::uint64_t iota) {
  return iota & region_origin_mask;
}

/// A doubleword as it lies in memory, and back.
constexpr std::uint64_t big_endian(std::uint64_t v) {
  return std::endian::native == std::endian::big ? v : __builtin_bswap64(v);
}

}  // namespace gnomon::s390_pci
