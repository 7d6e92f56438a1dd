// SPDX-License-Identifier: Apache-2.0
// First-stage paging entries: the x86-64 format, 4 or 5 levels, leaves of 4 KiB, 2 MiB and 1 GiB.
// Source: Intel VT-d specification rev 4.1, section 9.7. Field names are the specification's.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"

namespace gnomon::vtd {

/// An entry of any level, 512 to a table page. Level 1 holds 4 KiB leaves. Memory types (PWT, PCD, PAT) and the
/// global bit are not modelled.
struct FirstStagePte {
  bool p = false;          ///< present, hence readable
  bool rw = false;         ///< writable
  bool us = false;         ///< user: requests of user privilege may pass
  bool a = false;          ///< accessed: set by hardware
  bool d = false;          ///< dirty: set by hardware; leaves only
  bool ps = false;         ///< page size: a leaf at level 2 (2 MiB) or 3 (1 GiB); at level 1 the bit is PAT
  bool ea = false;         ///< extended accessed: set by hardware where EAFE is 1
  bool xd = false;         ///< execute disable
  std::uint64_t addr = 0;  ///< page of the next table or of the leaf: guest-physical when nested
  constexpr bool operator==(const FirstStagePte&) const = default;
};

namespace first_stage {
inline constexpr std::uint64_t accessed = mask(5, 5);
inline constexpr std::uint64_t dirty = mask(6, 6);
inline constexpr std::uint64_t extended_accessed = mask(10, 10);
}  // namespace first_stage

constexpr FirstStagePte decode_first_stage_pte(std::uint64_t raw) {
  const auto bit = [&](unsigned n) { return field(raw, n, n) != 0; };
  return {bit(0), bit(1), bit(2), bit(5), bit(6), bit(7), bit(10), bit(63), raw & mask(51, 12)};
}
constexpr std::uint64_t encode(const FirstStagePte& e) {
  const auto at = [](bool value, unsigned n) { return std::uint64_t{value} << n; };
  return at(e.p, 0) | at(e.rw, 1) | at(e.us, 2) | at(e.a, 5) | at(e.d, 6) | at(e.ps, 7) | at(e.ea, 10) |
         at(e.xd, 63) | (e.addr & mask(51, 12));
}

/// Bits above the top level's must all equal its highest (section 3.6).
constexpr bool is_canonical(Iova iova, unsigned levels) {
  const unsigned top = 12 + 9 * levels - 1;  // 47 or 56
  const std::uint64_t upper = field(iova.value, 63, top);
  return upper == 0 || upper == mask(63 - top, 0);
}

}  // namespace gnomon::vtd
