// SPDX-License-Identifier: Apache-2.0
// The VFIO container against a reference with one cell a page: statuses, translations, pins.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>

#include "models/hypervisor/core/vfio_container.hpp"
#include "tests/support/flat_io_page_table.hpp"

using namespace gnomon;
using hypervisor::DmaAccess;
using hypervisor::VfioConfig;
using hypervisor::VfioContainer;
using hypervisor::VfioStatus;

namespace {

constexpr std::uint64_t iova_pages = 4096;
constexpr std::uint64_t guest_pages = 8192;

// Which pages an invalidation has covered since it was last asked.
struct Covered final : hypervisor::IotlbSync {
  void sync(const hypervisor::IotlbSyncRange& range) override {
    for (std::uint64_t p = range.first.page(); p <= range.last.page(); ++p) pages.insert(p);
  }
  std::set<std::uint64_t> pages;
};

struct Reference {
  struct Cell {
    std::uint64_t first, last, gpa_page;
  };
  std::map<std::uint64_t, Cell> cells;  // by IOVA page

  bool free(std::uint64_t first, std::uint64_t last) const {
    const auto at = cells.lower_bound(first);
    return at == cells.end() || at->first > last;
  }
  bool bisects(std::uint64_t first, std::uint64_t last) const {
    const auto a = cells.find(first);
    const auto b = cells.find(last);
    return (a != cells.end() && a->second.first < first) || (b != cells.end() && b->second.last > last);
  }
};

}  // namespace

TEST_CASE("any program of ioctls gives the reference's answers, translations and pins") {
  PhysicalMemory memory(256 << 20);
  const bool ok = rc::check([&] {
    const auto backing = *rc::gen::element(Backing::pages_4k, Backing::thp_2m);
    const GuestRam ram(memory, Hpa{32 << 20}, guest_pages << page_shift, backing, 7);
    test::FlatIoPageTable table;
    table.sizes = *rc::gen::element<std::uint64_t>(0x1000, 0x201000, ~std::uint64_t{0xfff});
    hypervisor::PinCounts pins(memory.size());
    VfioConfig config;
    config.disable_hugepages = *rc::gen::arbitrary<bool>();
    config.fine_grained_superpages = *rc::gen::arbitrary<bool>();
    VfioContainer container(table, ram, pins, config);
    Covered covered;
    Reference reference;
    for (int step = 0; step < 40; ++step) {
      const auto first = *rc::gen::inRange<std::uint64_t>(0, iova_pages);
      const auto length = *rc::gen::inRange<std::uint64_t>(1, *rc::gen::element<std::uint64_t>(20, 1200));
      const auto last = std::min(first + length, iova_pages) - 1;
      const std::uint64_t bytes = (last - first + 1) << page_shift;
      covered.pages.clear();
      if (*rc::gen::inRange(0, 3) != 0) {
        const auto gpa_page = *rc::gen::inRange<std::uint64_t>(0, guest_pages - 1200);
        const bool refuse = *rc::gen::inRange(0, 8) == 0;
        table.leaves_left = refuse ? *rc::gen::inRange<std::uint64_t>(0, 30) : ~std::uint64_t{0};
        const auto outcome =
            container.map(Iova::from_page(first), Gpa::from_page(gpa_page), bytes, DmaAccess::read, covered);
        if (!reference.free(first, last)) {
          RC_ASSERT(outcome.status == VfioStatus::eexist);
        } else if (outcome.status == VfioStatus::ok) {
          RC_ASSERT(outcome.pages_pinned == last - first + 1);
          RC_ASSERT(covered.pages.empty());
          for (std::uint64_t p = first; p <= last; ++p) reference.cells[p] = {first, last, gpa_page + (p - first)};
        } else {
          RC_ASSERT(refuse);
          RC_ASSERT(outcome.status == VfioStatus::enomem);
          RC_ASSERT(outcome.undone.pages_unpinned == outcome.pages_pinned);
        }
      } else {
        const auto outcome = container.unmap(Iova::from_page(first), bytes, covered);
        if (reference.bisects(first, last)) {
          RC_ASSERT(outcome.status == VfioStatus::einval);
          RC_ASSERT(covered.pages.empty());
        } else {
          RC_ASSERT(outcome.status == VfioStatus::ok);
          const auto begin = reference.cells.lower_bound(first);
          const auto end = reference.cells.upper_bound(last);
          RC_ASSERT(outcome.bytes == static_cast<std::uint64_t>(std::distance(begin, end)) << page_shift);
          for (auto at = begin; at != end; ++at) RC_ASSERT(covered.pages.count(at->first) == 1);
          reference.cells.erase(begin, end);
        }
      }
      RC_ASSERT(pins.pins() == reference.cells.size());
      RC_ASSERT(container.mapped_bytes() == reference.cells.size() << page_shift);
      for (int probe = 0; probe < 20; ++probe) {
        const auto p = *rc::gen::inRange<std::uint64_t>(0, iova_pages);
        const auto cell = reference.cells.find(p);
        const auto translated = table.iova_to_phys(Iova::from_page(p));
        RC_ASSERT(translated.has_value() == (cell != reference.cells.end()));
        if (translated) RC_ASSERT(*translated == ram.to_hpa(Gpa::from_page(cell->second.gpa_page)));
      }
    }
    container.unmap_all(covered);
    RC_ASSERT(pins.pins() == 0u);
    RC_ASSERT(pins.pinned_pages() == 0u);
    RC_ASSERT(container.free_slots() == 65535u);
    RC_ASSERT(table.leaves.empty());
  });
  CHECK(ok);
}
