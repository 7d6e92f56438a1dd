// SPDX-License-Identifier: Apache-2.0
// Process address space ids, as caches are tagged with them.
#pragma once

#include <compare>
#include <cstdint>

namespace gnomon::iommu {

/// Process address space id. What is translated by a second stage alone, all there is in legacy mode, is tagged
/// no_pasid.
struct Pasid {
  std::uint32_t value = 0;  ///< 20 bits
  constexpr auto operator<=>(const Pasid&) const = default;
};
inline constexpr Pasid no_pasid{std::uint32_t{1} << 20};

}  // namespace gnomon::iommu
