// SPDX-License-Identifier: Apache-2.0
// The second-stage table against a flat map of 4 KiB pages.
#include <rapidcheck/catch.h>
#include <map>

#include "models/pgtable/second_stage_table.hpp"

using namespace gnomon;
using namespace gnomon::pgtable;

namespace {

constexpr std::uint64_t pages_per_2m = 512;
constexpr std::uint64_t window = 4 * pages_per_2m;  // pages, around a 1 GiB boundary
constexpr std::uint64_t first_page = (std::uint64_t{1} << 18) - 2 * pages_per_2m;

std::uint64_t below(std::uint64_t bound) {
  return *rc::gen::inRange<std::uint64_t>(0, bound);
}

struct Leaf {
  std::uint64_t hpa_page;
  Permissions permissions;
  std::uint64_t leaf_first;  // IOVA page the leaf starts at
  std::uint64_t leaf_pages;
};

struct Pair {
  PhysicalMemory memory{std::uint64_t{32} << 20};
  PageAllocator allocator{memory, Hpa{0x1000}, Hpa{std::uint64_t{32} << 20}};
  SecondStageTable table{memory, allocator, 4};
  std::map<std::uint64_t, Leaf> flat;
  std::vector<Hpa> unlinked;

  void map(std::uint64_t page, std::uint64_t hpa_page, std::uint64_t pages, Permissions p, PageSizes sizes) {
    const MapOutcome m =
        table.map(Iova::from_page(page), Hpa::from_page(hpa_page), pages << 12, p, sizes, unlinked);
    std::uint64_t done = 0;
    std::uint64_t leaves = 0;
    bool stopped = false;
    while (done < pages && !stopped) {
      const bool large = (sizes & size_2m) != 0 && ((page + done) | (hpa_page + done)) % pages_per_2m == 0 &&
                         pages - done >= pages_per_2m;
      const std::uint64_t n = large ? pages_per_2m : 1;
      const auto hit = flat.lower_bound(page + done);
      stopped = hit != flat.end() && hit->first < page + done + n;
      if (stopped) break;
      for (std::uint64_t i = 0; i < n; ++i) flat[page + done + i] = {hpa_page + done + i, p, page + done, n};
      done += n;
      ++leaves;
    }
    RC_ASSERT(m.status == (stopped ? MapStatus::already_mapped : MapStatus::done));
    RC_ASSERT(m.bytes == done << 12);
    RC_ASSERT(m.leaves == leaves);
    RC_ASSERT(m.entries_written == leaves + m.tables_allocated);
    free_unlinked(m.tables_replaced);
  }

  void unmap(std::uint64_t page, std::uint64_t pages) {
    const UnmapOutcome u = table.unmap(Iova::from_page(page), pages << 12, unlinked);
    std::uint64_t cleared = 0;
    std::uint64_t leaves = 0;
    for (auto it = flat.lower_bound(page); it != flat.end() && it->first < page + pages;
         it = flat.lower_bound(page)) {
      const Leaf leaf = it->second;
      const auto begin = flat.find(leaf.leaf_first);
      flat.erase(begin, flat.lower_bound(leaf.leaf_first + leaf.leaf_pages));
      if (leaves++ == 0) RC_ASSERT(u.first == Iova::from_page(leaf.leaf_first));
      RC_ASSERT(u.end >= Iova::from_page(leaf.leaf_first + leaf.leaf_pages));
      cleared += leaf.leaf_pages;
    }
    RC_ASSERT(u.bytes == cleared << 12);
    RC_ASSERT(u.leaves == leaves);
    free_unlinked(u.tables_unlinked);
  }

  void free_unlinked(std::uint64_t expected) {
    RC_ASSERT(unlinked.size() == expected);
    for (const Hpa page : unlinked) allocator.free(page);
    unlinked.clear();
  }

  void same() const {
    for (std::uint64_t page = first_page; page < first_page + window; ++page) {
      const auto got = table.lookup(Iova::from_page(page) + 5);
      const auto it = flat.find(page);
      RC_ASSERT(got.has_value() == (it != flat.end()));
      if (!got) continue;
      const Mapping expected{Hpa::from_page(it->second.hpa_page) + 5, it->second.leaf_pages << 12,
                             it->second.permissions};
      RC_ASSERT(*got == expected);
    }
  }
};

}  // namespace

TEST_CASE("second-stage table against a flat map") {
  rc::prop("any sequence of maps and unmaps", [] {
    Pair pair;
    for (std::uint64_t i = 0, n = 1 + below(24); i < n; ++i) {
      const bool aligned = below(2) == 0;
      const std::uint64_t page = first_page + (aligned ? below(4) * pages_per_2m : below(window));
      const std::uint64_t most = first_page + window - page;
      const std::uint64_t pages = 1 + (below(2) == 0 ? below(most) : below(std::min<std::uint64_t>(most, 20)));
      if (below(5) < 3) {
        const std::uint64_t hpa_page = aligned ? (1 + below(8)) * pages_per_2m : 1 + below(5000);
        const Permissions p = below(3) == 0 ? read_only : read_write;
        pair.map(page, hpa_page, pages, p, below(2) == 0 ? size_4k : size_4k | size_2m);
      } else {
        pair.unmap(page, pages);
      }
    }
    pair.same();
    pair.unmap(first_page, window);
    RC_ASSERT(pair.flat.empty());
    pair.same();
    pair.table.release();
    RC_ASSERT(pair.allocator.in_use() == 0u);
  });
}
