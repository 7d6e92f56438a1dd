// SPDX-License-Identifier: Apache-2.0
// The promise of invalidation in scalable mode, of either stage: nothing of its range survives in any cache, and
// all else stays right. And its converse: each planted bug breaks it.
#include <rapidcheck/catch.h>
#include <cstring>
#include <iterator>

#include "tests/unit/iommu/scalable_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::ScalableHost;
using Pgtt = ScalableHost::Pgtt;

namespace {

constexpr std::uint64_t window = 1024;  // pages: two leaf tables
constexpr std::uint64_t memory_pages = 2048;

std::uint64_t below(std::uint64_t bound) {
  return *rc::gen::inRange<std::uint64_t>(0, bound);
}

std::uint8_t mask_around(std::uint64_t page, std::uint64_t pages) {
  std::uint8_t am = 0;
  while ((page ^ (page + pages - 1)) >> am != 0) ++am;
  return am;
}

bool truthful(ScalableHost& h) {
  for (std::uint64_t page = 0; page < window; ++page) {
    const Translation t = h.read(page << 12);
    const auto now = h.core.resolve(ScalableHost::device, Iova::from_page(page), Access::read);
    if ((t.kind == Translation::Kind::translated) != now.has_value()) return false;
    if (now && t.hpa != now->hpa) return false;
  }
  return true;
}

struct Nested : ScalableHost {
  explicit Nested(const IommuConfig& config) : ScalableHost(config) {
    second.map(Iova{0}, Hpa{0x4000'0000}, memory_pages << 12, pgtable::read_write,
               below(2) == 0 ? pgtable::size_4k : pgtable::all_sizes, unlinked);
    use(Pgtt::nested);
  }

  /// As the guest's driver does it: the smallest aligned block, or all of the PASID.
  void invalidate_first(std::uint64_t page, std::uint64_t count, bool hint, bool all) {
    if (all) {
      run<IotlbInvalidated>(
          vtd::PasidIotlbInvalidate{vtd::PasidGranularity::pasid, domain, pasid.value, 0, false, {}});
      none_left(0, window, true);
      RC_ASSERT(core.iotlb().size() == 0u);  // here every entry is of that PASID
    } else {
      invalidate_pages(page << 12, mask_around(page, count), hint);
      none_left(page, page + count, !hint);
    }
  }
  /// Neither the IOTLB nor, where they were to go too, the paging-structure caches know a page of [from, end).
  void none_left(std::uint64_t from, std::uint64_t end, bool tables_too) const {
    Iotlb iotlb = core.iotlb();
    WalkCache tables = core.scalable_mode().first_stage_cache();
    for (std::uint64_t page = from; page < end; ++page) {
      RC_ASSERT(!iotlb.lookup({domain, pasid}, Iova::from_page(page)));
      if (tables_too) RC_ASSERT(!tables.lookup({domain, pasid}, Iova::from_page(page), 4));
    }
  }
  void edit_first(bool all) {
    const std::uint64_t page = below(2) == 0 ? below(2) * 512 : below(window);
    const std::uint64_t count =
        below(3) == 0 ? window - page : 1 + below(std::min<std::uint64_t>(window - page, 64));
    const auto done = guest.unmap(Iova::from_page(page), count << 12, guest_unlinked);
    const std::uint64_t from = done.bytes == 0 ? page : std::min(page, done.first.page());
    const std::uint64_t end = std::max(page + count, done.end.page());
    invalidate_first(from, end - from, guest_unlinked.empty(), all);
    reuse_freed();
    if (below(4) == 0) return;
    const std::uint64_t target = below(memory_pages - count);
    const bool large = below(2) == 0 && page % 512 == 0;
    guest.map(Iova::from_page(page), Gpa::from_page(large ? target & ~std::uint64_t{511} : target), count << 12,
              pgtable::read_write, large ? pgtable::all_sizes : pgtable::size_4k, guest_unlinked);
    if (!guest_unlinked.empty()) invalidate_first(page, count, false, all);  // a table a large leaf replaced
    reuse_freed();
  }
  /// Table pages that were freed are used for something else at once.
  void reuse_freed() {
    for (const Gpa page : guest_unlinked) std::memset(this->page(page), 0x67, page_size);
    guest_unlinked.clear();
  }
  /// As the hypervisor does it when it moves guest memory, tables of the guest included.
  void edit_second() {
    const bool a_table = below(3) == 0;
    const auto table = std::next(pages.begin(), static_cast<std::ptrdiff_t>(below(pages.size())));
    const std::uint64_t gpa = a_table ? table->first : below(memory_pages) << 12;
    const auto done = second.unmap(Iova{gpa}, page_size, unlinked);
    if (a_table) {
      const Hpa moved = allocator.allocate();
      for (std::uint64_t at = 0; at < page_size; at += 8) {
        memory.write(moved + at, memory.read<std::uint64_t>(table->second + at));
        memory.write(table->second + at, std::uint64_t{0x2bad'0000'0067});  // who still reads here goes astray
      }
      table->second = moved;
      second.map(Iova{gpa}, moved, page_size, pgtable::read_write, pgtable::size_4k, unlinked);
    } else if (below(2) == 0) {
      second.map(Iova{gpa}, Hpa{(1 + below(1000)) << 24}, page_size, pgtable::read_write, pgtable::size_4k,
                 unlinked);
    }
    const std::uint64_t from = std::min(gpa >> 12, done.first.page());
    const std::uint64_t end = std::max((gpa >> 12) + 1, done.end.page());
    invalidate_second_stage(from << 12, mask_around(from, end - from), false);
    RC_ASSERT(core.iotlb().size() == 0u);  // every entry is nested: none may outlive it
    RC_ASSERT(core.scalable_mode().first_stage_cache().size() == 0u);
  }
};

enum class Way { first_pages, first_all, second };

/// Fills every cache, moves what the first or the second stage says, invalidates; true where nothing stale is left.
bool survives(const IommuFaults& faults, Way way) {
  IommuConfig config = test::scalable_config();
  config.faults = faults;
  ScalableHost h(config);
  h.second.map(Iova{0}, Hpa{0x4000'0000}, memory_pages << 12, pgtable::read_write, pgtable::size_4k, h.unlinked);
  // No guest-physical address is an IOVA in use: what drops one does not drop the other by chance.
  h.guest.map(Iova{0}, Gpa{window << 12}, window << 12, pgtable::read_write, pgtable::size_4k, h.guest_unlinked);
  h.use(Pgtt::nested);
  for (std::uint64_t page = 0; page < window; ++page) h.read(page << 12);
  if (way == Way::second) {
    h.second.unmap(Iova{window << 12}, window << 12, h.unlinked);
    h.invalidate_second_stage(window << 12, 10);
    return truthful(h);
  }
  h.guest.unmap(Iova{0}, window << 12, h.guest_unlinked);
  if (way == Way::first_pages) {
    h.invalidate_pages(0, 10);
  } else {
    h.run<IotlbInvalidated>(vtd::PasidIotlbInvalidate{
        vtd::PasidGranularity::pasid, ScalableHost::domain, ScalableHost::pasid.value, 0, false, {}});
  }
  return truthful(h);
}

}  // namespace

TEST_CASE("after its invalidation no dropped mapping of either stage translates") {
  rc::prop("any edits of both stages, each invalidated as guest and hypervisor would", [] {
    IommuConfig config = test::scalable_config();
    config.iotlb_sets = std::uint32_t{1} << below(8);
    config.iotlb_ways = 1 + static_cast<std::uint32_t>(below(8));
    Nested h(config);
    for (std::uint64_t i = 0, n = 1 + below(8); i < n; ++i) {
      if (below(3) == 0) {
        h.edit_second();
      } else {
        h.edit_first(below(4) == 0);
      }
      RC_ASSERT(truthful(h));
    }
  });
}

TEST_CASE("each planted bug of scalable mode breaks that promise, none does without") {
  for (const Way way : {Way::first_pages, Way::first_all, Way::second}) CHECK(survives({}, way));
  const auto with = [](auto plant, Way way) {
    IommuFaults faults;
    plant(faults);
    return survives(faults, way);
  };
  CHECK_FALSE(with([](auto& f) { f.ignore_psi_mask = true; }, Way::first_pages));
  CHECK_FALSE(with([](auto& f) { f.keep_walk_cache = true; }, Way::first_pages));
  CHECK_FALSE(with([](auto& f) { f.keep_nested_walk_cache = true; }, Way::first_pages));
  CHECK_FALSE(with([](auto& f) { f.ignore_pasid_invalidation = true; }, Way::first_all));
  CHECK_FALSE(with([](auto& f) { f.keep_nested_entries = true; }, Way::second));
}
