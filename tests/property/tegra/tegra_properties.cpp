// SPDX-License-Identifier: Apache-2.0
// Any maps, unmaps and accesses, under any SoC and way to flush: the device sees what a flat map says, at every
// return.
#include <rapidcheck.h>
#include <catch2/catch.hpp>
#include <map>

#include "tests/support/tegra_bench.hpp"

namespace gnomon::guest {
namespace {

using Bench = test::TegraBench;

constexpr std::array flushes{TegraFlush::before,
                             TegraFlush::range,
                             TegraFlush::one_callback,
                             TegraFlush::walk_in_flush,
                             TegraFlush::map_sync_unmap_sync,
                             TegraFlush::unsynchronised,
                             TegraFlush::coherent};
// Around section edges, so that tables come and go; few enough pages to meet again.
constexpr std::array<std::uint64_t, 4> regions{0x3f0, 0x7f8, 0x8000, 0xfff80};
constexpr std::uint64_t region_pages = 64;

struct Step {
  enum Kind { map, unmap, access } kind;
  std::uint64_t region, page, count, frame;
};
void showValue(const Step& s, std::ostream& os) {
  os << (s.kind == Step::map     ? "map"
         : s.kind == Step::unmap ? "unmap"
                                 : "access")
     << " " << s.region + s.page << "+" << s.count << " -> " << s.frame;
}

rc::Gen<Step> step() {
  return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, 3), rc::gen::inRange(0, 4), rc::gen::inRange(0, 60),
                                     rc::gen::inRange(1, 24), rc::gen::inRange(0x1000, 0x2000)),
                      [](const auto& t) {
                        const auto [kind, region, page, count, frame] = t;
                        const auto first = static_cast<std::uint64_t>(page);
                        return Step{static_cast<Step::Kind>(kind), regions[static_cast<std::size_t>(region)], first,
                                    std::min(static_cast<std::uint64_t>(count), region_pages - first),
                                    static_cast<std::uint64_t>(frame)};
                      });
}

/// Does the step in the bench and in the reference. The device touches pages in between, so that its caches fill.
void carry_out(Bench& b, std::map<std::uint64_t, std::uint64_t>& flat, const Step& s) {
  const std::uint64_t first = s.region + s.page;
  switch (s.kind) {
    case Step::map:
      for (std::uint64_t i = 0; i < s.count; ++i) {
        if (flat.contains(first + i)) return;  // the core does not map what is mapped
      }
      RC_ASSERT(b.map(first, s.frame, s.count) == 0);
      for (std::uint64_t i = 0; i < s.count; ++i) flat[first + i] = s.frame + i;
      break;
    case Step::unmap: {
      std::uint64_t expected = 0;
      while (expected < s.count && flat.erase(first + expected) != 0) ++expected;
      RC_ASSERT(b.unmap(first, s.count) == expected);
      break;
    }
    case Step::access: b.lands(first); break;
  }
}

bool agrees(Bench& b, const std::map<std::uint64_t, std::uint64_t>& flat) {
  for (const std::uint64_t region : regions) {
    for (std::uint64_t page = region; page < region + region_pages; ++page) {
      const auto it = flat.find(page);
      const auto expected = it == flat.end() ? std::nullopt : std::optional(it->second);
      if (b.lands(page) != expected) return false;
    }
  }
  return true;
}

TEST_CASE("at every return the device sees the flat map") {
  const auto ok = rc::check([] {
    const TegraFlush flush = *rc::gen::elementOf(flushes);
    Bench b{flush, **rc::gen::elementOf(tegra::socs)};
    b.boot();
    std::map<std::uint64_t, std::uint64_t> flat;
    for (const Step& s : *rc::gen::container<std::vector<Step>>(step())) {
      carry_out(b, flat, s);
      if (flush == TegraFlush::unsynchronised) b.domain.flush_all(b.cpu);
      RC_ASSERT(agrees(b, flat));
    }
    for (const auto& [page, frame] : std::map(flat)) RC_ASSERT(b.unmap(page, 1) == 1);
    if (flush == TegraFlush::unsynchronised) b.domain.flush_all(b.cpu);
    RC_ASSERT(agrees(b, {}));
    RC_ASSERT(b.unit.tlb().size() == 0u);
    for (const std::uint64_t region : regions) RC_ASSERT(b.tegra().table_of(Iova::from_page(region)) == nullptr);
  });
  CHECK(ok);
}

TEST_CASE("unsynchronised: one flush by hand makes any number of maps and unmaps visible") {
  const auto ok = rc::check([] {
    Bench b{TegraFlush::unsynchronised, **rc::gen::elementOf(tegra::socs)};
    b.boot();
    std::map<std::uint64_t, std::uint64_t> flat;
    for (const Step& s : *rc::gen::container<std::vector<Step>>(step())) carry_out(b, flat, s);
    b.domain.flush_all(b.cpu);
    RC_ASSERT(agrees(b, flat));
  });
  CHECK(ok);
}

// What was mapped, seen, and unmapped again: with one of the flushes left out the device must see something else.
TEST_CASE("a flush left out is seen") {
  const auto ok = rc::check([] {
    const TegraFlush flush =
        *rc::gen::element(TegraFlush::before, TegraFlush::range, TegraFlush::map_sync_unmap_sync);
    TegraDriverFaults faults;
    const int which = *rc::gen::inRange(0, 3);
    (which == 0 ? faults.skip_clean : which == 1 ? faults.skip_ptc_flush : faults.skip_tlb_flush) = true;
    Bench b{flush, **rc::gen::elementOf(tegra::socs), faults};
    b.boot();
    const Step s = *step();
    std::map<std::uint64_t, std::uint64_t> flat;
    for (const std::uint64_t keep : {s.region + region_pages, s.region - 1}) {  // its tables stay
      RC_ASSERT(b.map(keep, 0x3000, 1) == 0);
    }
    agrees(b, flat);
    carry_out(b, flat, {Step::map, s.region, s.page, s.count, s.frame});
    bool seen = !agrees(b, flat);
    carry_out(b, flat, {Step::unmap, s.region, s.page, s.count, 0});
    seen = seen || !agrees(b, flat);
    RC_ASSERT(seen);
  });
  CHECK(ok);
}

// The parts of a call's time are the whole of it.
TEST_CASE("maintenance and the rest sum to the time a call took") {
  const auto ok = rc::check([] {
    const TegraFlush flush = *rc::gen::elementOf(flushes);
    Bench b{flush};
    b.boot();
    REQUIRE(b.map(0x7000, 0x3000, 1) == 0);  // a table that stays
    b.forget();
    const auto count = static_cast<std::uint64_t>(*rc::gen::inRange(1, 512));
    const TegraSmmuCosts costs;
    RC_ASSERT(b.map(0x7001, 0x4000, count) == 0);
    const auto took = test::of_kind<trace::MapReturned>(b.recorder.events).at(0).second.took_ps;
    const auto sum = b.maintained();
    Time rest = (b.costs.iommu_call + costs.page + costs.entry_store) * count + b.costs.scatter_element;
    const std::uint64_t parts = sum.tlb_ps + sum.cache_ps + sum.barrier_ps + sum.read_back_ps;
    if (flush == TegraFlush::walk_in_flush) rest += costs.entry_load * count;
    RC_ASSERT(took == parts + rest.ps());
  });
  CHECK(ok);
}

}  // namespace
}  // namespace gnomon::guest
