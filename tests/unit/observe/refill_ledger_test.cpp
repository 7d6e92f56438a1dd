// SPDX-License-Identifier: Apache-2.0
// Every walk has one reason: who had used the page before, and what evicted its entry.
#include "platform/observe/refill_ledger.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using namespace gnomon::trace;
using observe::RefillLedger;
using Reason = RefillLedger::Reason;

namespace {

struct Scene {
  RefillLedger ledger{[](SourceId source) { return std::uint32_t{source.value} >> 8; }};
  Scene() { tell(WindowOpened{1}); }
  void tell(const Event& event) { ledger.on_event(Time{}, event); }
  void dma(std::uint64_t iova, bool hit, std::uint32_t domain = 1) {
    tell(DmaBurst{iova, 0, 4096, 0, 0x100, domain, 0, hit, hit ? 0u : 4u, 0});
  }
  void invalidate(Granularity granularity, std::uint64_t iova = 0, std::uint64_t bytes = 4096,
                  std::uint32_t domain = 1) {
    tell(IotlbInvalidated{iova, bytes, domain, granularity, 1, 1});
  }
  std::array<std::uint64_t, 4> counts() const {
    return {ledger.count(Reason::cold), ledger.count(Reason::capacity), ledger.count(Reason::invalidated_modified),
            ledger.count(Reason::invalidated_unmodified)};
  }
};

using Counts = std::array<std::uint64_t, 4>;

}  // namespace

TEST_CASE("first touch, then capacity", "[refills]") {
  Scene s;
  s.dma(0x1000, false);
  s.dma(0x1000, true);
  s.dma(0x1000, false);
  CHECK(s.counts() == Counts{1, 1, 0, 0});
}

TEST_CASE("an invalidation of the page that changed is not over-invalidation, of its neighbour it is",
          "[refills]") {
  Scene s;
  s.dma(0x1000, false);
  s.dma(0x2000, false);
  s.tell(MappingRemoved{0x1000, 4096, 1, 0});
  s.invalidate(Granularity::range, 0x0, 0x4000);
  s.tell(MappingAdded{0x1000, 0, 4096, 1, 0, 1, 1});
  s.tell(MappingAdded{0x2000, 0, 4096, 1, 0, 1, 1});  // after the drop: not why
  s.dma(0x1000, false);
  s.dma(0x2000, false);
  CHECK(s.counts() == Counts{2, 0, 1, 1});
  CHECK(s.ledger.count(Granularity::range) == 2);
}

TEST_CASE("an invalidation of a domain drops what it held, once", "[refills]") {
  Scene s;
  for (const std::uint64_t page : {1, 2, 3}) s.dma(page << 12, false);
  s.dma(0x1000, false, 2);
  s.tell(MappingRemoved{0x3000, 4096, 1, 0});
  s.invalidate(Granularity::domain);
  for (const std::uint64_t page : {1, 2, 3}) s.dma(page << 12, false);
  s.dma(0x2000, false);
  s.dma(0x1000, false, 2);
  CHECK(s.counts() == Counts{4, 2, 1, 2});
  CHECK(s.ledger.count(Granularity::domain) == 3);
  s.invalidate(Granularity::global);
  s.dma(0x1000, false, 2);
  CHECK(s.ledger.count(Granularity::global) == 1);
  CHECK(s.counts() == Counts{4, 2, 1, 3});
}

TEST_CASE("the first of two invalidations is the one that evicted", "[refills]") {
  Scene s;
  s.dma(0x1000, false);
  s.invalidate(Granularity::page, 0x1000);
  s.invalidate(Granularity::domain);
  s.dma(0x1000, false);
  CHECK(s.ledger.count(Granularity::page) == 1);
  CHECK(s.ledger.count(Granularity::domain) == 0);
}

TEST_CASE("mappings of another guest domain change nothing, and a closed window counts nothing", "[refills]") {
  Scene s;
  s.dma(0x1000, false);
  s.tell(MappingRemoved{0x1000, 4096, 9, 0});
  s.invalidate(Granularity::page, 0x1000);
  s.dma(0x1000, false);
  CHECK(s.counts() == Counts{1, 0, 0, 1});
  s.tell(WindowClosed{1});
  s.dma(0x5000, false);
  CHECK(s.counts() == Counts{1, 0, 0, 1});
}

TEST_CASE("every walk of the window has one reason", "[refills]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    test::RandomEvents events(seed);
    RefillLedger ledger{[](SourceId source) { return std::uint32_t{source.value}; }};
    bool open = false;
    std::uint64_t misses = 0;
    events.run(5000, [&](Time at, const Event& event) {
      ledger.on_event(at, event);
      if (std::holds_alternative<WindowOpened>(event)) open = true;
      if (std::holds_alternative<WindowClosed>(event)) open = false;
      if (const auto* burst = std::get_if<DmaBurst>(&event)) misses += open && burst->iotlb_hit == 0;
    });
    double told = 0;
    for (const auto& [name, value] : ledger.values()) told += name.find("after") == std::string::npos ? value : 0;
    REQUIRE(misses > 0);
    CHECK(told == static_cast<double>(misses));
  }
}
