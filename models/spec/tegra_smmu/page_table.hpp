// SPDX-License-Identifier: Apache-2.0
// The two levels of a Tegra SMMU's table: 1024 directory entries of 4 MiB, 1024 entries of 4 KiB, each of 32 bits.
// Source: Tegra X1 technical reference manual, chapter 18; Linux 6.1, drivers/iommu/tegra-smmu.c.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/tegra_smmu/registers.hpp"

namespace gnomon::tegra {

inline constexpr unsigned table_entries = 1024;
inline constexpr std::uint64_t aperture_bytes = std::uint64_t{1} << 32;

/// Directory entries only: the frame is that of a table. Without it the entry would map 4 MiB, which no software
/// here does.
inline constexpr std::uint32_t next_table = 1u << 28;

constexpr unsigned directory_index(Iova iova) {
  return static_cast<unsigned>(iova.value >> 22) & 1023u;
}
constexpr unsigned table_index(Iova iova) {
  return static_cast<unsigned>(iova.value >> 12) & 1023u;
}

/// An entry of either level; PTB_DATA too.
struct Entry {
  bool readable = false;
  bool writable = false;
  bool nonsecure = false;
  bool next = false;  ///< a directory entry that points to a table
  std::uint32_t pfn = 0;
  constexpr bool operator==(const Entry&) const = default;
  /// What is readable or writable is there.
  constexpr bool present() const { return readable || writable; }
  constexpr std::uint64_t address() const { return std::uint64_t{pfn} << page_shift; }
};

constexpr std::uint32_t encode(const Entry& e) {
  return (e.readable ? readable : 0) | (e.writable ? writable : 0) | (e.nonsecure ? nonsecure : 0) |
         (e.next ? next_table : 0) | e.pfn;
}
constexpr Entry decode_entry(std::uint32_t raw, const Soc& soc) {
  return {(raw & readable) != 0, (raw & writable) != 0, (raw & nonsecure) != 0, (raw & next_table) != 0,
          raw & soc.pfn_mask()};
}
/// The table or directory at `page`, for everybody.
constexpr Entry table_pointer(std::uint64_t page, bool next) {
  return {true, true, true, next, static_cast<std::uint32_t>(page >> page_shift)};
}

/// True where an entry can hold the address.
constexpr bool addressable(std::uint64_t address, const Soc& soc) {
  return address >> page_shift <= soc.pfn_mask();
}

}  // namespace gnomon::tegra
