// SPDX-License-Identifier: Apache-2.0
// Shape and keys of the block permutation.
#include "guest/fio/block_permutation.hpp"

namespace gnomon::fio {
namespace {

/// The least r with r * r >= n, n up to 2^62; bit by bit, integers only.
std::uint64_t square_root_up(std::uint64_t n) {
  std::uint64_t below = 0;  // the greatest r with r * r < n, or 0
  for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1) {
    const std::uint64_t candidate = below + bit;
    if (candidate < (std::uint64_t{1} << 31) && candidate * candidate < n) below = candidate;
  }
  return below + 1;
}

}  // namespace

BlockPermutation::BlockPermutation(std::uint64_t blocks)
    : blocks_(blocks), rows_(square_root_up(blocks)), columns_((blocks + rows_ - 1) / rows_) {}

void BlockPermutation::rekey(RandomStream& random) {
  for (std::uint64_t& key : keys_) key = random.next();
  row_ = 0;
  column_ = 0;
}

}  // namespace gnomon::fio
