// SPDX-License-Identifier: Apache-2.0
// A 128-bit little-endian structure as it lies in memory: root and context entries, descriptors, fault records.
#pragma once

#include <cstdint>

namespace gnomon::vtd {

struct Bits128 {
  std::uint64_t lo = 0;  ///< bits 63:0
  std::uint64_t hi = 0;  ///< bits 127:64
  constexpr bool operator==(const Bits128&) const = default;
};
static_assert(sizeof(Bits128) == 16);

/// Bits [high:low] of `word`, right-aligned. Requires 63 >= high >= low.
constexpr std::uint64_t field(std::uint64_t word, unsigned high, unsigned low) {
  return (word >> low) & (~std::uint64_t{0} >> (63 - (high - low)));
}

/// A mask of bits [high:low]. Requires 63 >= high >= low.
constexpr std::uint64_t mask(unsigned high, unsigned low) {
  return (~std::uint64_t{0} >> (63 - (high - low))) << low;
}

/// The bits of `mask(63, 12)` above a host address width of `haw` bits: reserved wherever hardware takes an
/// address.
constexpr std::uint64_t above_haw(unsigned haw) {
  return haw >= 64 ? 0 : mask(63, haw);
}

}  // namespace gnomon::vtd
