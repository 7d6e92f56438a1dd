// SPDX-License-Identifier: Apache-2.0
#include "models/base/natural_split.hpp"

#include <catch2/catch.hpp>
#include <vector>

using gnomon::NaturalSplit;

namespace {

std::vector<std::uint64_t> sizes(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> result;
  for (const auto piece : NaturalSplit(first, last)) result.push_back(piece.size);
  return result;
}

}  // namespace

TEST_CASE("an aligned range is cut into one piece a set bit of its length, largest first") {
  CHECK(sizes(0x100, 0x10f) == std::vector<std::uint64_t>{16});
  CHECK(sizes(0x100, 0x10e) == std::vector<std::uint64_t>{8, 4, 2, 1});
  CHECK(sizes(0x100, 0x108) == std::vector<std::uint64_t>{8, 1});
}

TEST_CASE("an unaligned range climbs, then descends") {
  CHECK(sizes(1, 16) == std::vector<std::uint64_t>{1, 2, 4, 8, 1});
  CHECK(sizes(0xfffe0, 0xfffe9) == std::vector<std::uint64_t>{8, 2});
  CHECK(sizes(0xfffea, 0xfffef) == std::vector<std::uint64_t>{2, 4});
}

TEST_CASE("the ends of the address space need no wrapped arithmetic") {
  const std::uint64_t end = ~std::uint64_t{0};
  const std::uint64_t half = std::uint64_t{1} << 63;
  CHECK(sizes(0, end) == std::vector<std::uint64_t>{half, half});
  CHECK(sizes(end, end) == std::vector<std::uint64_t>{1});
  CHECK(sizes(0, 0) == std::vector<std::uint64_t>{1});
  CHECK(sizes(half, end) == std::vector<std::uint64_t>{half});
  CHECK(NaturalSplit(1, end - 1).count() == 126);
}

TEST_CASE("pieces are aligned to their size and cover the range without gap") {
  for (std::uint64_t first = 0; first < 70; ++first) {
    for (std::uint64_t last = first; last < 140; ++last) {
      std::uint64_t next = first;
      for (const auto [base, size] : NaturalSplit(first, last)) {
        REQUIRE(base == next);
        REQUIRE(base % size == 0);
        next += size;
      }
      REQUIRE(next == last + 1);
    }
  }
}
