// SPDX-License-Identifier: Apache-2.0
// Leaf sizes of an I/O page table and the IOMMU core's choice among them. The split of a range into aligned powers
// of two, which does not ask what a driver supports, is NaturalSplit in models/base. Behaviour of Linux 6.1 to 7.2
// (drivers/iommu/iommu.c).
#pragma once

#include <bit>
#include <cstdint>
#include <stdexcept>

#include "models/base/address.hpp"

namespace gnomon::guest {

/// The leaf sizes a driver accepts: bit n set means 2^n bytes.
struct PageSizeBitmap {
  std::uint64_t bits = 0;

  constexpr bool operator==(const PageSizeBitmap&) const = default;
  friend constexpr PageSizeBitmap operator&(PageSizeBitmap a, PageSizeBitmap b) { return {a.bits & b.bits}; }
  constexpr bool empty() const { return bits == 0; }
  constexpr std::uint64_t smallest() const { return bits & (~bits + 1); }  ///< the granule, bytes; 0 when empty
  constexpr bool contains(std::uint64_t bytes) const { return std::has_single_bit(bytes) && (bits & bytes) != 0; }
};

inline constexpr PageSizeBitmap page_sizes_4k{0x1000};                ///< Tegra SMMU, s390
inline constexpr PageSizeBitmap page_sizes_4k_2m_1g{0x4020'1000};     ///< VT-d with both superpages, AMD v2, LPAE
inline constexpr PageSizeBitmap page_sizes_powers_of_two{~0xfffULL};  ///< virtio default, VT-d in the past
inline constexpr PageSizeBitmap page_sizes_amd_v1{~0xfffULL & ~(1ULL << 39)};  ///< any power of two but 512 GiB

/// What one driver call maps or unmaps: `count` leaves of `page_size` bytes.
struct PageChoice {
  std::uint64_t page_size = 0;
  std::uint64_t count = 0;

  constexpr bool operator==(const PageChoice&) const = default;
  constexpr std::uint64_t bytes() const { return page_size * count; }
};

/// The next driver call of a map of `bytes` (> 0) at `iova` to `target`; an unmap passes its IOVA as the target.
/// Takes the largest size both addresses are aligned to, and stops at the boundary from which a larger one fits.
/// Throws std::invalid_argument when no size fits (an address off the granule), where the kernel panics.
constexpr PageChoice choose_page_size(PageSizeBitmap sizes, std::uint64_t iova, std::uint64_t target,
                                      std::uint64_t bytes) {
  const std::uint64_t addresses = iova | target;
  std::uint64_t fitting = bytes == 0 ? 0 : sizes.bits & (~0ULL >> std::countl_zero(bytes));
  if (addresses != 0) fitting &= addresses ^ (addresses - 1);  // sizes up to the lowest set bit
  if (fitting == 0) throw std::invalid_argument("choose_page_size: no leaf size fits the addresses");

  const std::uint64_t page = std::bit_floor(fitting);
  const std::uint64_t larger = sizes.bits & ~((page << 1) - 1);
  if (larger != 0) {
    const std::uint64_t next = larger & (~larger + 1);
    if (((iova ^ target) & (next - 1)) == 0) {  // same phase: both reach the boundary together
      const std::uint64_t to_boundary = next - (addresses & (next - 1));
      // Not `to_boundary + next <= bytes`: with a size of 2^63 in the bitmap the sum wraps.
      if (to_boundary <= bytes && next <= bytes - to_boundary) return {page, to_boundary / page};
    }
  }
  return {page, bytes / page};
}

template <class Space>
constexpr PageChoice choose_page_size(PageSizeBitmap sizes, Iova iova, Address<Space> target, std::uint64_t bytes) {
  return choose_page_size(sizes, iova.value, target.value, bytes);
}
constexpr PageChoice choose_unmap_size(PageSizeBitmap sizes, Iova iova, std::uint64_t bytes) {
  return choose_page_size(sizes, iova.value, iova.value, bytes);
}

}  // namespace gnomon::guest
