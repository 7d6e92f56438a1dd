// SPDX-License-Identifier: Apache-2.0
// Little-endian structures as they lie in memory: commands (128 bits), events (256), stream table entries and
// context descriptors (512).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::smmuv3 {

/// qw[n] is bits 64n+63:64n.
template <std::size_t Words>
struct Quadwords {
  std::array<std::uint64_t, Words> qw{};
  constexpr bool operator==(const Quadwords&) const = default;
};
using Bits128 = Quadwords<2>;
using Bits256 = Quadwords<4>;
using Bits512 = Quadwords<8>;
static_assert(sizeof(Bits128) == 16 && sizeof(Bits256) == 32 && sizeof(Bits512) == 64);

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

/// StreamID: of PCI the requester id, where nothing is put in front of it.
using StreamId = std::uint32_t;
constexpr StreamId stream_of(SourceId source) {
  return source.value;
}

}  // namespace gnomon::smmuv3
