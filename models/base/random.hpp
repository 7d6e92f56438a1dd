// SPDX-License-Identifier: Apache-2.0
// Seeded random streams. One stream a component, so that adding a component does not shift the others'.
// Integers only: the standard distributions differ between libraries, and floating point would decide by rounding.
#pragma once

#include <cstdint>
#include <string_view>

#include "models/base/wide.hpp"

namespace gnomon {

/// SplitMix64 (Steele, Lea, Flood 2014): a 64-bit state, passes BigCrush, two multiplications a draw.
class RandomStream {
 public:
  /// The stream called `name` under the run's master `seed`.
  RandomStream(std::uint64_t seed, std::string_view name) : state_(seed) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;  // FNV-1a
    next();
  }

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, bound), bound > 0. Lemire's multiply-shift; the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }

 private:
  std::uint64_t state_;
};

}  // namespace gnomon
