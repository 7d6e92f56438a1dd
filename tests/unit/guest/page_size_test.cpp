// SPDX-License-Identifier: Apache-2.0
// The page size chooser, chunk by chunk, and the natural split.
#include "guest/iommu/page_size.hpp"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "models/base/natural_split.hpp"

namespace gnomon::guest {
namespace {

using Chunks = std::vector<std::pair<std::uint64_t, std::uint64_t>>;  // size and count, in pages of 4 KiB

constexpr PageSizeBitmap sparse = page_sizes_4k_2m_1g;
constexpr PageSizeBitmap dense = page_sizes_powers_of_two;

// All driver calls of one map, every argument in pages.
Chunks map_calls(PageSizeBitmap sizes, std::uint64_t iova, std::uint64_t target, std::uint64_t pages) {
  Chunks chunks;
  for (std::uint64_t done = 0; done < pages;) {
    const PageChoice choice = choose_page_size(sizes, Iova::from_page(iova + done), Gpa::from_page(target + done),
                                               (pages - done) * page_size);
    REQUIRE(choice.count > 0);
    chunks.emplace_back(choice.page_size / page_size, choice.count);
    done += choice.bytes() / page_size;
    REQUIRE(done <= pages);
  }
  return chunks;
}
Chunks unmap_calls(PageSizeBitmap sizes, std::uint64_t iova, std::uint64_t pages) {
  return map_calls(sizes, iova, iova, pages);
}

TEST_CASE("A 64 KiB buffer in two runs takes one call a run with sparse sizes", "[page_size]") {
  CHECK(map_calls(sparse, 0xfffe0, 0x1000, 10) == Chunks{{1, 10}});
  CHECK(map_calls(sparse, 0xfffea, 0x2003, 6) == Chunks{{1, 6}});
  CHECK(unmap_calls(sparse, 0xfffe0, 16) == Chunks{{1, 16}});
}

TEST_CASE("The same buffer splits by alignment when every power of two is a size", "[page_size]") {
  CHECK(map_calls(dense, 0xfffe0, 0x1000, 10) == Chunks{{8, 1}, {2, 1}});
  CHECK(map_calls(dense, 0xfffea, 0x2003, 6) == Chunks{{1, 6}});  // iova and target differ in bit 12
  CHECK(unmap_calls(dense, 0xfffe0, 16) == Chunks{{16, 1}});
}

TEST_CASE("The chooser climbs to larger pages and descends again", "[page_size]") {
  CHECK(map_calls(dense, 1, 1, 7) == Chunks{{1, 1}, {2, 1}, {4, 1}});
  CHECK(unmap_calls(dense, 0x200, 15) == Chunks{{8, 1}, {4, 1}, {2, 1}, {1, 1}});
  CHECK(unmap_calls(dense, 0x100, 9) == Chunks{{8, 1}, {1, 1}});
  CHECK(unmap_calls(sparse, 512, 528) == Chunks{{512, 1}, {1, 16}});
  CHECK(map_calls(sparse, 2, 2, 1022) == Chunks{{1, 510}, {512, 1}});
  CHECK(map_calls(sparse, 2, 515, 1022) == Chunks{{1, 1022}});  // never at a 2 MiB boundary together
  // Eight 2 MiB pages short of a 1 GiB boundary, then a whole 1 GiB page, then a rest of 4 KiB pages.
  CHECK(map_calls(sparse, 0x40000 - 8 * 512, 0xc0000 - 8 * 512, 8 * 512 + 0x40000 + 3) ==
        Chunks{{512, 8}, {0x40000, 1}, {1, 3}});
}

TEST_CASE("A boundary is only stopped at when the larger page beyond it fits whole", "[page_size]") {
  CHECK(map_calls(sparse, 2, 2, 1021) == Chunks{{1, 1021}});
  CHECK(map_calls(sparse, 2, 2, 1023) == Chunks{{1, 510}, {512, 1}, {1, 1}});
}

TEST_CASE("AMD v1 tables have every size but 512 GiB", "[page_size]") {
  constexpr std::uint64_t pages_512g = 1ULL << 27;
  CHECK(unmap_calls(page_sizes_amd_v1, pages_512g, pages_512g) == Chunks{{pages_512g / 2, 2}});
  CHECK(unmap_calls(dense, pages_512g, pages_512g) == Chunks{{pages_512g, 1}});
  CHECK_FALSE(page_sizes_amd_v1.contains(512ULL << 30));
  CHECK(page_sizes_amd_v1.contains(1024ULL << 30));
}

TEST_CASE("The chooser does not overflow at the end of the address space", "[page_size]") {
  constexpr std::uint64_t last_page = ~0xfffULL;
  CHECK(choose_page_size(sparse, last_page, last_page, 0x1000) == PageChoice{0x1000, 1});
  // Aligned to the larger size but shorter than it: the boundary beyond is a whole 2^63 away, and the sum is 2^64.
  CHECK(choose_page_size(dense, 0, 0, 1ULL << 62) == PageChoice{1ULL << 62, 1});
  CHECK(choose_page_size(dense, 0, 0, 0x3000) == PageChoice{0x2000, 1});
  constexpr PageSizeBitmap two{0x1000 | (1ULL << 63)};
  CHECK(choose_page_size(two, 0, 0, 0x5000) == PageChoice{0x1000, 5});
  CHECK(choose_page_size(two, 0x1000, 0x1000, ~0xfffULL) == PageChoice{0x1000, 0x7'ffff'ffff'ffff});
}

TEST_CASE("An address off the granule is refused, as the kernel panics", "[page_size]") {
  CHECK_THROWS_AS(choose_page_size(sparse, 0x800, 0x1000, 0x1000), std::invalid_argument);
  CHECK_THROWS_AS(choose_page_size(sparse, 0x1000, 0x1000, 0x800), std::invalid_argument);
  CHECK_THROWS_AS(choose_page_size(sparse, 0x1000, 0x1000, 0), std::invalid_argument);
  CHECK_THROWS_AS(choose_page_size(PageSizeBitmap{}, 0, 0, 0x1000), std::invalid_argument);
}

TEST_CASE("An IOMMU behind another offers only the sizes both accept", "[page_size]") {
  CHECK((dense & sparse) == sparse);
  CHECK(sparse.smallest() == 0x1000);
  CHECK((sparse & PageSizeBitmap{1 << 16}).empty());
}

TEST_CASE("Ranges that AMD-Vi splits under NpCache", "[page_size]") {
  const auto pieces = [](std::uint64_t first, std::uint64_t bytes) {
    std::vector<std::uint64_t> sizes;
    std::uint64_t next = first;
    for (const auto piece : NaturalSplit(first, first + bytes - 1)) {
      CHECK(piece.base == next);
      CHECK(piece.base % piece.size == 0);
      next += piece.size;
      sizes.push_back(piece.size >> 10);
    }
    CHECK(next == first + bytes);
    return sizes;
  };
  using Kib = std::vector<std::uint64_t>;
  CHECK(pieces(0xfffe0000, 20 << 10) == Kib{16, 4});
  CHECK(pieces(0x3000, 8 << 10) == Kib{4, 4});
  CHECK(pieces(0xff000, 8 << 10) == Kib{4, 4});
  CHECK(pieces(0xfffe0000, 64 << 10) == Kib{64});
  CHECK(pieces(0x1000, 16 << 12) == Kib{4, 8, 16, 32, 4});  // five commands for 16 pages at page 1
}

}  // namespace
}  // namespace gnomon::guest
