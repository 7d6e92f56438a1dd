// SPDX-License-Identifier: Apache-2.0
// What a page table says of an address, whatever its format.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::pgtable {

struct Permissions {
  bool read = false;
  bool write = false;
  constexpr bool operator==(const Permissions&) const = default;
  friend constexpr Permissions operator&(Permissions a, Permissions b) {
    return {a.read && b.read, a.write && b.write};
  }
};
inline constexpr Permissions read_write{true, true};
inline constexpr Permissions read_only{true, false};
inline constexpr Permissions write_only{false, true};

/// One address translated.
struct Mapping {
  Hpa hpa{};                     ///< of the address asked for, not of its page
  std::uint64_t page_bytes = 0;  ///< size of the leaf
  Permissions permissions{};
  constexpr bool operator==(const Mapping&) const = default;
};

/// A set of page sizes, one bit a size, as in struct iommu_ops::pgsize_bitmap.
using PageSizes = std::uint64_t;
inline constexpr PageSizes size_4k = std::uint64_t{1} << 12;
inline constexpr PageSizes size_2m = std::uint64_t{1} << 21;
inline constexpr PageSizes size_1g = std::uint64_t{1} << 30;
inline constexpr PageSizes all_sizes = size_4k | size_2m | size_1g;

}  // namespace gnomon::pgtable
