// SPDX-License-Identifier: Apache-2.0
// A random order of n blocks, each exactly once, in constant memory: fio's random map without the map.
// A generalised Feistel network (Black and Rogaway 2002) over rows x columns >= n with fewer than `rows` places to
// spare, walked in order: places beyond n are stepped over, which happens about once in sqrt(n) blocks.
#pragma once

#include <cstdint>

#include "models/base/random.hpp"

namespace gnomon::fio {

class BlockPermutation {
 public:
  BlockPermutation() = default;
  /// Of 0..blocks-1, blocks in 1..2^62. rekey() before the first next().
  explicit BlockPermutation(std::uint64_t blocks);

  /// Draws another order and starts it.
  void rekey(RandomStream& random);

  /// The next block; `blocks` times after a rekey().
  std::uint64_t next() {
    std::uint64_t block = 0;
    do {
      block = scramble(row_, column_);
      if (++column_ == columns_) column_ = 0, ++row_;
    } while (block >= blocks_);
    return block;
  }

 private:
  static constexpr unsigned rounds = 3;  // Luby and Rackoff: enough for a pseudo-random permutation

  std::uint64_t scramble(std::uint64_t row, std::uint64_t column) const {
    row = shifted(row, hash(column ^ keys_[0]), rows_);
    column = shifted(column, hash(row ^ keys_[1]), columns_);
    row = shifted(row, hash(column ^ keys_[2]), rows_);
    return row * columns_ + column;
  }
  /// 32 bits.
  static std::uint64_t hash(std::uint64_t x) {
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 32;
    return (x * 0x94d049bb133111ebu) >> 32;
  }
  /// (x + a number below `modulus` taken from the hash) mod modulus, without a branch.
  static std::uint64_t shifted(std::uint64_t x, std::uint64_t hash, std::uint64_t modulus) {
    const std::uint64_t sum = x + ((hash * modulus) >> 32);
    return sum >= modulus ? sum - modulus : sum;
  }

  std::uint64_t blocks_ = 1;
  std::uint64_t rows_ = 1;     ///< at most 2^31
  std::uint64_t columns_ = 1;  ///< at most 2^31
  std::uint64_t row_ = 0;
  std::uint64_t column_ = 0;
  std::uint64_t keys_[rounds] = {};
};

}  // namespace gnomon::fio
