// SPDX-License-Identifier: Apache-2.0
// The host's SMMUv3 driver and a unit against a map of pages: after each flush no DMA sees anything but the table,
// with and without TLBI by range.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/smmu_host_bench.hpp"

using namespace gnomon;
using gnomon::test::SmmuHostBench;

namespace {

constexpr std::uint64_t mib2 = 2 << 20;
constexpr std::uint64_t window = 16 * mib2;  // of IOVA space, in part
constexpr std::uint64_t memory_at = std::uint64_t{128} << 20;

using Pages = std::map<std::uint64_t, std::uint64_t>;  // IOVA page to host page

bool free_range(const Pages& pages, std::uint64_t first, std::uint64_t count) {
  const auto at = pages.lower_bound(first);
  return at == pages.end() || at->first >= first + count;
}

void agree(SmmuHostBench& b, const Pages& pages, std::uint64_t page) {
  const iommu::Translation t = b.translate(page << page_shift);
  const auto expected = pages.find(page);
  if (expected == pages.end()) {
    RC_ASSERT(t.kind == iommu::Translation::Kind::fault);
  } else {
    RC_ASSERT(t.kind == iommu::Translation::Kind::translated);
    RC_ASSERT(t.hpa.page() == expected->second);
  }
}

void play(bool ranges) {
  SmmuHostBench b(ranges);
  Pages pages;
  const auto steps = *rc::gen::inRange(1, 40);
  for (int i = 0; i != steps; ++i) {
    const bool large = *rc::gen::inRange(0, 4) == 0;
    const std::uint64_t leaf = large ? mib2 : page_size;
    const std::uint64_t leaf_pages = leaf >> page_shift;
    const std::uint64_t first = *rc::gen::inRange<std::uint64_t>(0, window / leaf) * leaf_pages;
    const std::uint64_t count = *rc::gen::inRange<std::uint64_t>(1, large ? 3 : 1200) * leaf_pages;
    if (free_range(pages, first, count)) {
      const std::uint64_t hpa = memory_at + *rc::gen::inRange<std::uint64_t>(0, 8) * mib2;
      RC_ASSERT(b.map(first << page_shift, hpa, count << page_shift, leaf));
      if (b.table->map_needs_flush()) b.invalidate(first << page_shift, count << page_shift);
      for (std::uint64_t p = 0; p != count; ++p) pages[first + p] = (hpa >> page_shift) + p;
    } else {
      // What VFIO unmaps is a run that is mapped: blocks are not cut.
      const auto from = pages.lower_bound(first);
      std::uint64_t at = from->first & ~std::uint64_t{511};
      if (!pages.contains(at)) at = from->first;
      std::uint64_t end = at;
      while (pages.contains(end) && end - at < count) ++end;
      while (pages.contains(end) && (end & 511) != 0) ++end;
      b.table->unmap(Iova{at << page_shift}, (end - at) << page_shift);
      b.invalidate(at << page_shift, (end - at) << page_shift);
      for (std::uint64_t p = at; p != end; ++p) pages.erase(p);
      agree(b, pages, at);
      agree(b, pages, end - 1);
    }
    for (int looks = 0; looks != 8; ++looks)
      agree(b, pages, *rc::gen::inRange<std::uint64_t>(0, 2 * window >> page_shift));
    for (const auto& near : {first, first + count - 1, first + count}) agree(b, pages, near);
  }
  RC_ASSERT(b.errors == 0u);
}

}  // namespace

TEST_CASE("host SMMUv3: a flush leaves nothing stale, by range") {
  CHECK(rc::check([] { play(true); }));
}
TEST_CASE("host SMMUv3: a flush leaves nothing stale, a leaf at a time") {
  CHECK(rc::check([] { play(false); }));
}
