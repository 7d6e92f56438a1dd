// SPDX-License-Identifier: Apache-2.0
// The sanitizer event by event: every deadline from both sides, every verdict, and nothing twice.
#include "platform/observe/sanitizer.hpp"

#include "tests/support/recorder.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::observe {
namespace {

using trace::Verdict;

constexpr std::uint64_t iova = 0xfff'ff000;
constexpr std::uint64_t gpa = 0x40'0000;
constexpr std::uint64_t host = 0x8000'0000;  // guest memory starts there in host memory

/// Tells the sanitizer what happens, one nanosecond after another. Domain and container 1 unless said.
struct Bench {
  explicit Bench(bool shadowed = true) : sanitizer(options(shadowed), tracer) {
    tracer.add(sanitizer);
    tracer.add(recorder);
  }
  static SanitizerOptions options(bool shadowed) {
    SanitizerOptions o;
    o.shadowed = shadowed;
    o.to_hpa = [](Gpa g) { return Hpa{g.value + host}; };
    o.domain_of = [](SourceId source) { return static_cast<std::uint32_t>(source.value >> 8); };
    return o;
  }
  Time tell(const trace::Event& e) {
    now += Time::ns(1);
    tracer.emit(now, e);
    return now;
  }

  // The guest.
  void add(std::uint64_t at = iova, std::uint64_t to = gpa, std::uint32_t domain = 1) {
    tell(trace::MappingAdded{at, to, page_size, domain, 0, 1, 1});
    tell(trace::GuestRequest{at, page_size, to, domain, 0, trace::RequestType::map, 0});
  }
  Time remove(std::uint64_t at = iova, std::uint32_t domain = 1) {
    const Time removed = tell(trace::MappingRemoved{at, page_size, domain, 0});
    tell(trace::GuestRequest{at, page_size, 0, domain, 0, trace::RequestType::unmap, 0});
    return removed;
  }
  void map_returns(std::uint32_t status = 0) { tell(trace::MapReturned{iova, page_size, 0, 1, 0, 1, status}); }
  void unmap_returns(bool deferred, std::uint32_t domain = 1) {
    tell(trace::UnmapReturned{iova, page_size, 0, domain, 0, deferred, 0});
  }
  void flushed(Time began, std::uint32_t domain = 1) {
    tell(trace::FlushQueueFlushed{began.ps(), domain, 0, trace::FlushCause::timer, 0});
  }
  // The hypervisor.
  void shadow(std::uint64_t at = iova, std::uint64_t to = gpa, std::uint32_t domain = 1) {
    tell(trace::ShadowMapped{at, to, page_size, 0, domain, 0});
  }
  Time unshadow(std::uint32_t domain = 1) { return tell(trace::ShadowUnmapped{iova, page_size, 0, domain, 0}); }
  void served(trace::RequestType type, std::uint32_t status = 0, std::uint32_t domain = 1) {
    tell(trace::RequestServed{iova, page_size, domain, 0, type, status});
  }
  // The device.
  void burst(std::uint64_t hpa, Time ends = {}, std::uint64_t at = iova) {
    tell(trace::DmaBurst{at, hpa, 64, ends.ps(), 0x100, 1, 0, 1, 0, 0});
  }
  void fault() { tell(trace::DmaFault{iova, 0x100, 0, 6, 0}); }

  void map_whole() {
    add();
    shadow();
    served(trace::RequestType::map);
    map_returns();
  }
  /// "missing_invalidation 1 ..." of what was raised.
  std::string verdicts() const {
    std::string text;
    for (std::size_t i = 0; i < verdict_kinds; ++i) {
      const auto verdict = static_cast<Verdict>(i);
      if (sanitizer.count(verdict) == 0) continue;
      text += verdict_name(verdict);
      text += ' ';
      text += std::to_string(sanitizer.count(verdict));
      text += ' ';
    }
    return text;
  }

  trace::Tracer tracer;
  test::Recorder recorder;
  Sanitizer sanitizer;
  Time now;
};

TEST_CASE("a mapping that lives and dies as it should") {
  Bench b;
  for (int round = 0; round < 2; ++round) {
    b.map_whole();
    b.burst(gpa + host);
    b.remove();
    b.unshadow();
    b.served(trace::RequestType::unmap);
    b.unmap_returns(false);
    b.fault();  // nothing is mapped: the device's own mistake
  }
  CHECK(b.verdicts() == "");
}

TEST_CASE("what an invalidation did to the shadow is not held against a later request") {
  using trace::RequestType;
  for (const RequestType type : {RequestType::invalidate, RequestType::wait, RequestType::configure}) {
    Bench b;
    b.tell(trace::MappingAdded{iova, gpa, page_size, 1, 0, 1, 1});
    b.shadow();
    b.served(type);
    b.tell(trace::MappingRemoved{iova, page_size, 1, 0});  // its own invalidation is still to come
    b.add(iova - page_size);
    b.shadow(iova - page_size);
    b.tell(trace::RequestServed{iova - page_size, page_size, 1, 0, RequestType::map, 0});
    CHECK(b.verdicts() == "");
  }
}

TEST_CASE("strict: the shadow outlives the unmap's return") {
  Bench b;
  b.map_whole();
  b.remove();
  CHECK(b.verdicts() == "");
  b.unmap_returns(false);
  CHECK(b.verdicts() == "missing_invalidation 1 ");
  b.burst(gpa + host);  // what follows from it is not told again
  CHECK(b.verdicts() == "missing_invalidation 1 ");
  const Finding& finding = b.sanitizer.findings().at(0);
  CHECK(finding.iova == Iova{iova});
  CHECK(finding.bytes == page_size);
  CHECK(finding.at == b.now - Time::ns(1));
  CHECK_THAT(finding.explanation, Catch::Contains("strict unmap") && Catch::Contains("0xfffff000"));
  const auto raised = test::of_kind<trace::VerdictRaised>(b.recorder.events);
  REQUIRE(raised.size() == 1);
  CHECK(raised[0].second.verdict == Verdict::missing_invalidation);
}

TEST_CASE("strict: DMA before the unmap's return may still see it; a burst that lands after it is stale") {
  Bench b;
  b.map_whole();
  b.remove();
  b.burst(gpa + host, b.now + Time::us(1));
  b.unshadow();
  b.served(trace::RequestType::unmap);
  CHECK(b.verdicts() == "");
  b.unmap_returns(false);
  CHECK(b.verdicts() == "stale_dma 1 ");
}

TEST_CASE("a translation from before is used: told once for a page and its life") {
  Bench b;
  b.map_whole();
  b.remove();
  b.unshadow();
  b.served(trace::RequestType::unmap);
  b.unmap_returns(false);
  SECTION("while nothing is mapped") {
    b.burst(gpa + host);
    b.burst(gpa + host);
    CHECK(b.verdicts() == "stale_dma 1 ");
  }
  SECTION("while another buffer is, and again for the one after it") {
    for (int life = 1; life <= 2; ++life) {
      b.add(iova, gpa + 0x8000);
      b.shadow(iova, gpa + 0x8000);
      b.served(trace::RequestType::map);
      b.map_returns();
      b.burst(gpa + host);
      b.burst(gpa + host + 64);
      CHECK(b.sanitizer.count(Verdict::stale_dma) == static_cast<std::uint64_t>(life));
      b.remove();
      b.unshadow();
      b.served(trace::RequestType::unmap);
      b.unmap_returns(false);
    }
    CHECK(b.sanitizer.total() == 2);
  }
}

TEST_CASE("lazy: reachable until the shadow goes, and measured; DMA in the window is counted, not judged") {
  Bench b;
  b.map_whole();
  const Time removed = b.remove();
  b.unmap_returns(true);
  b.burst(gpa + host);
  b.burst(gpa + host);
  const Time gone = b.unshadow();
  b.served(trace::RequestType::unmap);
  b.flushed(b.now);
  CHECK(b.verdicts() == "");
  CHECK(b.sanitizer.exposure().longest == gone - removed);
  CHECK(b.sanitizer.exposure().byte_picoseconds == Wide{page_size} * (gone - removed).ps());
  CHECK(b.sanitizer.exposure().dma_beats == 2);
}

TEST_CASE("lazy: a flush that began after the unmap is its deadline, one that began before is not") {
  Bench b;
  b.map_whole();
  const Time before = b.now;
  b.remove();
  b.unmap_returns(true);
  b.flushed(before);
  CHECK(b.verdicts() == "");
  SECTION("the next one comes, and the shadow is still there") {
    b.flushed(b.now);
    CHECK(b.verdicts() == "missing_invalidation 1 ");
  }
  SECTION("the IOVA comes back before the next one") {
    b.add();
    CHECK(b.verdicts() == "early_reuse 1 ");
  }
  SECTION("it comes back after it") {
    b.unshadow();
    b.flushed(b.now);
    b.add();
    CHECK(b.verdicts() == "");
  }
}

TEST_CASE("lazy: another domain's flush settles nothing of this one's") {
  Bench b;
  b.map_whole();
  b.remove();
  b.unmap_returns(true);
  b.unshadow();
  b.flushed(b.now, 2);
  b.add();
  CHECK(b.verdicts() == "early_reuse 1 ");
}

TEST_CASE("a window that is open at the end ends there") {
  Bench b;
  b.map_whole();
  const Time removed = b.remove();
  b.unmap_returns(true);
  b.sanitizer.check_teardown(Time::us(5));
  CHECK(b.sanitizer.exposure().longest == Time::us(5) - removed);
}

TEST_CASE("a map returns and the device does not see it; the faults that follow are not told again") {
  Bench b;
  b.add();
  b.served(trace::RequestType::map, 8);
  b.map_returns();
  b.fault();
  CHECK(b.verdicts() == "map_invisible 1 ");
}

TEST_CASE("a map that fails owes its undoing by its return") {
  Bench b;
  b.add();
  const bool refused = GENERATE(true, false);
  if (refused) {
    b.served(trace::RequestType::map, 8);
  } else {
    b.shadow();
    b.served(trace::RequestType::map);
  }
  b.remove();
  b.map_returns(ENOMEM);
  CHECK(b.verdicts() == (refused ? "" : "missing_invalidation 1 "));
  b.add();  // the IOVA was never anybody's
  CHECK(b.sanitizer.count(Verdict::early_reuse) == 0);
}

TEST_CASE("shadow and guest may differ while a request is under way, and not once it is served") {
  Bench b;
  b.map_whole();
  b.remove();
  b.add(iova, gpa + 0x3000);  // both are queued
  b.unshadow();
  b.served(trace::RequestType::unmap);
  CHECK(b.verdicts() == "early_reuse 1 ");  // which it is: the unmap has not returned
  SECTION("the second does its work") {
    b.shadow(iova, gpa + 0x3000);
    b.served(trace::RequestType::map);
    CHECK(b.verdicts() == "early_reuse 1 ");
  }
  SECTION("the second maps the wrong page") {
    b.shadow(iova, gpa + 0x5000);
    b.served(trace::RequestType::map);
    CHECK(b.verdicts() == "shadow_divergence 1 early_reuse 1 ");
  }
}

TEST_CASE("an unmap of the shadow that goes too far") {
  Bench b;
  b.map_whole();
  b.add(iova - page_size);
  b.tell(trace::ShadowMapped{iova - page_size, gpa, page_size, 0, 1, 0});
  b.tell(trace::RequestServed{iova - page_size, page_size, 1, 0, trace::RequestType::map, 0});
  b.remove();
  b.tell(trace::ShadowUnmapped{iova - page_size, 2 * page_size, 0, 1, 0});
  b.served(trace::RequestType::unmap);
  CHECK(b.verdicts() == "shadow_divergence 1 ");
}

TEST_CASE("a fault on what the guest has mapped and the map has returned for") {
  Bench b;
  b.add();
  b.shadow();
  b.served(trace::RequestType::map);
  b.fault();  // not yet: the map has not returned
  CHECK(b.verdicts() == "");
  b.map_returns();
  b.fault();
  b.fault();
  CHECK(b.verdicts() == "spurious_fault 1 ");
}

TEST_CASE("two devices have two tables") {
  Bench b;
  b.map_whole();
  b.tell(trace::DmaFault{iova, 0x200, 0, 6, 0});
  b.tell(trace::DmaBurst{iova, gpa + host, 64, 0, 0x200, 2, 0, 1, 0, 0});
  CHECK(b.verdicts() == "stale_dma 1 ");
  CHECK(b.sanitizer.findings().at(0).domain == 2);
}

TEST_CASE("a device without a domain must land where guest memory is") {
  Bench b(false);
  b.tell(trace::DmaBurst{gpa + 8, gpa + host + 8, 64, 0, 0x10, 0, 0, 1, 0, 0});
  CHECK(b.verdicts() == "");
  b.tell(trace::DmaBurst{gpa + 8, gpa + host + page_size, 64, 0, 0x10, 0, 0, 1, 0, 0});
  CHECK(b.verdicts() == "stale_dma 1 ");
}

TEST_CASE("pins that nobody took back") {
  Bench b;
  b.tell(trace::PagesPinned{3, 3});
  b.tell(trace::PagesUnpinned{2, 1});
  b.sanitizer.check_teardown(b.now);
  CHECK(b.verdicts() == "pin_leak 1 ");
  CHECK(b.sanitizer.findings().at(0).bytes == page_size);
}

TEST_CASE("all are counted, the first are kept") {
  Bench b;
  for (std::uint64_t i = 0; i < 40; ++i) b.burst(gpa + host, {}, iova - i * page_size);
  CHECK(b.sanitizer.total() == 40);
  CHECK(b.sanitizer.findings().size() == 16);
}

}  // namespace
}  // namespace gnomon::observe
