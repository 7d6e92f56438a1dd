// SPDX-License-Identifier: Apache-2.0
// Little-endian structures as they lie in memory: commands and events (128 bits), device table entries (256 bits).
#pragma once

#include <array>
#include <cstdint>

namespace gnomon::amdvi {

struct Bits128 {
  std::uint64_t lo = 0;  ///< bits 63:0
  std::uint64_t hi = 0;  ///< bits 127:64
  constexpr bool operator==(const Bits128&) const = default;
};
static_assert(sizeof(Bits128) == 16);

struct Bits256 {
  std::array<std::uint64_t, 4> qw{};  ///< qw[n] is bits 64n+63:64n
  constexpr bool operator==(const Bits256&) const = default;
};
static_assert(sizeof(Bits256) == 32);

/// Bits [high:low] of `word`, right-aligned. Requires 63 >= high >= low.
constexpr std::uint64_t field(std::uint64_t word, unsigned high, unsigned low) {
  return (word >> low) & (~std::uint64_t{0} >> (63 - (high - low)));
}
constexpr bool bit(std::uint64_t word, unsigned n) {
  return ((word >> n) & 1) != 0;
}
/// A mask of bits [high:low]. Requires 63 >= high >= low.
constexpr std::uint64_t mask(unsigned high, unsigned low) {
  return (~std::uint64_t{0} >> (63 - (high - low))) << low;
}
constexpr std::uint64_t at(bool value, unsigned n) {
  return std::uint64_t{value} << n;
}
/// `value` in bits [high:low]; what does not fit is cut off.
constexpr std::uint64_t placed(std::uint64_t value, unsigned high, unsigned low) {
  return (value << low) & mask(high, low);
}

/// Where every structure has the address of a page: 51:12.
inline constexpr std::uint64_t page_address_mask = mask(51, 12);

}  // namespace gnomon::amdvi
