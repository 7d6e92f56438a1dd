// SPDX-License-Identifier: Apache-2.0
// The promise of invalidation: after it, no translation comes from what was unmapped before it. And its converse:
// each planted bug breaks the promise, so that the property is known to be able to fail.
#include <rapidcheck/catch.h>

#include "tests/unit/iommu/host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::Host;

namespace {

constexpr std::uint64_t window = 1024;  // pages: two leaf tables

std::uint64_t below(std::uint64_t bound) {
  return *rc::gen::inRange<std::uint64_t>(0, bound);
}

/// What the driver does (VT-d specification rev 4.1, section 6.5.2.3): the smallest aligned block around the range.
void invalidate(Host& h, std::uint64_t page, std::uint64_t pages, bool hint, std::uint64_t kind) {
  if (kind == 0) {
    h.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
  } else if (kind == 1) {
    h.run<IotlbInvalidated>(
        vtd::IotlbInvalidate{vtd::Granularity::domain, false, false, Host::domain, 0, false, {}});
  } else {
    std::uint8_t am = 0;
    while ((page ^ (page + pages - 1)) >> am != 0) ++am;
    h.invalidate_pages(page << 12, am, hint);
  }
}

/// Every page of the window translates as the tables say, or faults where they say nothing.
bool truthful(Host& h) {
  for (std::uint64_t page = 0; page < window; ++page) {
    const Translation t = h.read(page << 12);
    const auto now = h.core.resolve(Host::device, Iova::from_page(page), Access::read);
    if ((t.kind == Translation::Kind::translated) != now.has_value()) return false;
    if (now && t.hpa != now->hpa) return false;
  }
  return true;
}

void random_edit(Host& h) {
  const std::uint64_t page = below(2) == 0 ? below(2) * 512 : below(window);
  const std::uint64_t pages = below(3) == 0 ? window - page : 1 + below(std::min<std::uint64_t>(window - page, 64));
  const auto done = h.unmap(page << 12, pages << 12);
  if (!h.unlinked.empty()) {
    // Empty tables go too, wherever the range holds them, and may be cached: all of the range is invalidated.
    const std::uint64_t first = done.bytes == 0 ? page : std::min(page, done.first.page());
    const std::uint64_t end = std::max(page + pages, done.end.page());
    invalidate(h, first, end - first, false, below(6));
  } else if (done.bytes != 0) {
    invalidate(h, done.first.page(), done.end.page() - done.first.page(), true, below(6));
  }
  for (const Hpa table : h.unlinked) h.allocator.free(table);
  h.unlinked.clear();
  if (below(2) == 0) {
    const std::uint64_t hpa = (1 + below(4)) << 21;
    const auto sizes = below(2) == 0 ? pgtable::size_4k : pgtable::all_sizes;
    h.map(page << 12, hpa + ((page % 512) << 12), pages << 12, pgtable::read_write, sizes);
    // A table a large leaf replaced may be cached as a non-leaf entry.
    if (!h.unlinked.empty()) invalidate(h, page, pages, false, 2);
    for (const Hpa table : h.unlinked) h.allocator.free(table);
    h.unlinked.clear();
  }
}

/// Maps two leaf tables, warms every cache, then takes all away as `hint` and `kind` say, and maps other memory
/// there.
bool survives(const IommuFaults& faults, std::uint64_t kind) {
  IommuConfig config;
  config.faults = faults;
  Host h(config);
  h.map(0, 0x4000'0000, window << 12);
  for (std::uint64_t page = 0; page < window; ++page) h.read(page << 12);
  h.unmap(0, window << 12);
  invalidate(h, 0, window, false, kind);
  return truthful(h);
}

}  // namespace

TEST_CASE("after its invalidation no dropped mapping translates") {
  rc::prop("any edits, each invalidated as a driver would", [] {
    IommuConfig config;
    config.iotlb_sets = std::uint32_t{1} << below(8);
    config.iotlb_ways = 1 + static_cast<std::uint32_t>(below(8));
    Host h(config);
    for (std::uint64_t i = 0, n = 1 + below(10); i < n; ++i) {
      random_edit(h);
      RC_ASSERT(truthful(h));
    }
  });
}

TEST_CASE("each planted bug breaks that promise, none does without") {
  for (const std::uint64_t kind : {0u, 1u, 2u}) CHECK(survives({}, kind));
  CHECK_FALSE(survives({true, false, false}, 2));
  CHECK_FALSE(survives({false, true, false}, 1));
  CHECK_FALSE(survives({false, false, true}, 2));
}
