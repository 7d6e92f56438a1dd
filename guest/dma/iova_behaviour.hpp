// SPDX-License-Identifier: Apache-2.0
// What differs between kernels in the allocation of IOVAs, as plain values.
#pragma once

#include <cstdint>

#include "models/base/time.hpp"

namespace gnomon::guest {

/// Where full magazines wait that no CPU has loaded.
enum class DepotKind : std::uint8_t {
  bounded_array,  ///< up to 6.1: at most depot_limit magazines; one too many is emptied into the tree
  trimmed_list,   ///< 6.12: unbounded; a delayed work drops one at a time while it holds more than there are CPUs
};

/// Ranges of 1, 2, 4, 8, 16 and 32 pages are cached; larger ones always go to the tree. The same in every kernel
/// here.
inline constexpr unsigned iova_size_classes = 6;
inline constexpr std::uint64_t iova_max_cached_pages = 32;

struct IovaBehaviour {
  unsigned magazine_size = 127;  ///< IOVAs a magazine holds: 128 before 6.0, so that the count fits the slab since
  DepotKind depot = DepotKind::trimmed_list;
  unsigned depot_limit = 32;               ///< magazines a size class, bounded_array only
  Time depot_trim_period = Time::ms(100);  ///< delay of the trimming work, trimmed_list only
  bool pci_32bit_workaround_sticky =
      true;  ///< 6.12: the first failure below 4 GiB ends the attempts for the device
};

inline constexpr IovaBehaviour iova_linux_5_15{128, DepotKind::bounded_array, 32, Time::ms(100), false};
inline constexpr IovaBehaviour iova_linux_6_1{127, DepotKind::bounded_array, 32, Time::ms(100), false};
inline constexpr IovaBehaviour iova_linux_6_12{127, DepotKind::trimmed_list, 32, Time::ms(100), true};
inline constexpr IovaBehaviour iova_linux_7_2 = iova_linux_6_12;

}  // namespace gnomon::guest
