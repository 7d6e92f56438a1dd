// SPDX-License-Identifier: Apache-2.0
// The DMA API over a virtio-iommu domain: strict and lazy, IOVAs, the flush queue and its timer.
#include "guest/dma/bounced_dma.hpp"

#include <cerrno>

#include <catch2/catch.hpp>

#include "tests/support/time_text.hpp"
#include "tests/support/viommu_bench.hpp"

namespace gnomon::guest {
namespace {

using test::of_kind;

struct Bench : test::ViommuBench {
  explicit Bench(const DmaDomainOptions& options = {}, const Options& viommu = {})
      : ViommuBench(viommu), dma(domain, options, {&cpu}, locks) {
    locks.emplace_back(1, LockKind::test_and_set, LockCosts{Time::ns(20), Time::ns(100)}, RandomStream(1, "fq"),
                       tracer);
    REQUIRE(attach() == 0);
    requests.clear();
    processor.stores.clear();
  }
  DmaMapping map(std::uint64_t gpa_page, std::uint64_t pages = 1) {
    const Run run{Gpa::from_page(gpa_page), pages * page_size};
    DmaMapping mapping;
    CHECK(dma.map(cpu, {&run, 1}, DmaAccess{true, true}, mapping) == 0);
    return mapping;
  }
  static std::uint64_t page_of(const DmaMapping& m) { return m.segments.at(0).address.page(); }
  /// Time passes, with whatever it brings.
  void pass(Time t) {
    cpu.work(t);
    cpu.sync();
  }

  std::vector<Lock> locks;
  TranslatedDma dma;
};

DmaDomainOptions lazy(unsigned slots = 256) {
  DmaDomainOptions options;
  options.deferred = true;
  options.flush_queue.slots = slots;
  return options;
}

TEST_CASE("direct: a segment a run, at its own address") {
  DirectDma dma;
  test::ViommuBench b({});
  const std::vector<Run> runs{{Gpa{0x5000}, 0x3000}, {Gpa{0x9000}, 0x1000}};
  DmaMapping mapping;
  REQUIRE(dma.map(b.cpu, runs, DmaAccess{}, mapping) == 0);
  REQUIRE(mapping.segments.size() == 2);
  CHECK(mapping.segments[0].address == Iova{0x5000});
  CHECK(mapping.segments[0].bytes == 0x3000);
  CHECK(mapping.segments[1].address == Iova{0x9000});
  dma.unmap(b.cpu, mapping);
  CHECK(b.kicks() == 0);
}

TEST_CASE("a fresh PCI domain: from the top of 32 bits, naturally aligned, freed ranges first") {
  Bench b;
  const DmaMapping one = b.map(100);
  const DmaMapping sixteen = b.map(200, 16);
  CHECK(b.page_of(one) == 0xfffff);
  CHECK(b.page_of(sixteen) == 0xfffe0);
  CHECK(sixteen.segments.size() == 1);
  CHECK(b.page_of(b.map(101)) == 0xfffdf);
  b.dma.unmap(b.cpu, one);
  CHECK(b.page_of(b.map(102)) == 0xfffff);  // from this CPU's magazine
}

TEST_CASE("what is reserved is never handed out") {
  Bench b;
  b.dma.reserve(0xfff00, 0xfffff);
  CHECK(b.page_of(b.map(100)) == 0xffeff);
}

TEST_CASE("several runs make one segment") {
  Bench b;
  const std::vector<Run> runs{{Gpa::from_page(100), 2 * page_size}, {Gpa::from_page(300), page_size}};
  DmaMapping mapping;
  REQUIRE(b.dma.map(b.cpu, runs, DmaAccess{true, false}, mapping) == 0);
  REQUIRE(mapping.segments.size() == 1);
  CHECK(mapping.segments[0].bytes == 3 * page_size);
  CHECK(b.shadow.pages.at(b.page_of(mapping) + 2) == 300);
}

TEST_CASE("a part of a page is mapped with the page, and unmapped with it") {
  Bench b;
  const Run run{Gpa::from_page(100), 512};
  DmaMapping mapping;
  REQUIRE(b.dma.map(b.cpu, {&run, 1}, DmaAccess{true, false}, mapping) == 0);
  CHECK(mapping.segments.at(0).bytes == 512);
  CHECK(b.shadow.pages.at(b.page_of(mapping)) == 100);
  b.dma.unmap(b.cpu, mapping);
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("the unmap of a single buffer looks up its physical address, that of a list does not") {
  Bench b;
  const auto unmap_time = [&](const std::vector<Run>& runs) {
    DmaMapping mapping;
    REQUIRE(b.dma.map(b.cpu, runs, DmaAccess{true, false}, mapping) == 0);
    const Time began = b.cpu.now();
    b.dma.unmap(b.cpu, mapping);
    return b.cpu.now() - began;
  };
  const Time list = unmap_time({{Gpa::from_page(100), page_size}, {Gpa::from_page(101), page_size}});
  const Time single = unmap_time({{Gpa::from_page(100), 2 * page_size}});
  CHECK(single - list == Time::ns(30) + Time::ns(2) * 4);
}

TEST_CASE("swiotlb: page-aligned runs of slots, none across a segment, first fit from the last one on") {
  Swiotlb pool(Gpa{0x1000'0000}, 2 * Swiotlb::most_bytes);
  CHECK(pool.allocate(512).start == Gpa{0x1000'0000});
  CHECK(pool.allocate(4096).start == Gpa{0x1000'1000});  // the odd slot of the first page stays free
  CHECK(pool.slots_used() == 3);
  CHECK(pool.allocate(Swiotlb::most_bytes).start == Gpa{0x1000'0000 + Swiotlb::most_bytes});
  CHECK_FALSE(pool.allocate(Swiotlb::most_bytes).start);
  CHECK_FALSE(pool.allocate(Swiotlb::most_bytes + 1).start);
  pool.free(Gpa{0x1000'0000}, 512);
  CHECK(pool.allocate(Swiotlb::most_bytes - 0x2000).start == Gpa{0x1000'2000});
  CHECK(pool.allocate(page_size).start == Gpa{0x1000'0000});  // around the pool
  const Swiotlb::Slot full = pool.allocate(page_size);
  CHECK_FALSE(full.start);
  CHECK(full.slots_searched == 128);
}

TEST_CASE("a device that is not trusted: parts of pages bounce, each element has its own IOVA and sync") {
  Bench b;
  Swiotlb pool(Gpa::from_page(0x4000), Swiotlb::most_bytes);
  BouncedDma dma(b.dma, pool, BouncedDma::What::parts_of_pages);
  const std::vector<Run> runs{{Gpa::from_page(100), page_size}, {Gpa::from_page(300), 512}};
  DmaMapping mapping;
  const auto kicks = b.kicks();
  REQUIRE(dma.map(b.cpu, runs, DmaAccess{false, true}, mapping) == 0);
  CHECK(b.kicks() == kicks + 2);
  REQUIRE(mapping.segments.size() == 2);
  CHECK(mapping.segments[1].bytes == 512);
  CHECK(b.shadow.pages.at(mapping.segments[0].address.page()) == 100);
  CHECK(b.shadow.pages.at(mapping.segments[1].address.page()) == 0x4000);
  CHECK(dma.bounces() == 1);
  CHECK(pool.slots_used() == 2);  // whole pages: what else lies in one would be seen
  dma.unmap(b.cpu, mapping);
  CHECK(b.shadow.pages.empty());
  CHECK(pool.slots_used() == 0);
}

TEST_CASE("a full pool of bounce buffers is ENOMEM, and what was mapped is undone") {
  Bench b;
  Swiotlb pool(Gpa::from_page(0x4000), Swiotlb::most_bytes);
  BouncedDma dma(b.dma, pool, BouncedDma::What::parts_of_pages);
  REQUIRE(pool.allocate(Swiotlb::most_bytes - page_size).start);
  const std::vector<Run> runs{{Gpa::from_page(100), 512}, {Gpa::from_page(300), 512}};
  DmaMapping mapping;
  CHECK(dma.map(b.cpu, runs, DmaAccess{true, false}, mapping) == ENOMEM);
  CHECK(b.shadow.pages.empty());
  CHECK(pool.slots_used() == Swiotlb::segment_slots - 2);
}

TEST_CASE("copies go the way the data goes: out on map, back on unmap, and the padding is zeroed") {
  Bench b;
  Swiotlb pool(Gpa::from_page(0x4000), Swiotlb::most_bytes);
  BouncedDma dma(b.dma, pool, BouncedDma::What::parts_of_pages);
  const auto times = [&](std::uint64_t bytes, DmaAccess access) {
    const Run run{Gpa::from_page(300), bytes};
    DmaMapping mapping;
    const Time began = b.cpu.now();
    REQUIRE(dma.map(b.cpu, {&run, 1}, access, mapping) == 0);
    const Time mapped = b.cpu.now();
    dma.unmap(b.cpu, mapping);
    return std::pair{mapped - began, b.cpu.now() - mapped};
  };
  times(512, {true, true});  // the first IOVA is the tree's
  const auto whole = times(page_size, {true, false});
  const auto out = times(1024, {true, false});
  const auto back = times(1024, {false, true});
  CHECK(out.first - whole.first > Time::ns(60));          // a page's worth: 1 KiB copied, 3 KiB zeroed
  CHECK(out.first - back.first == Time::ns(15));          // 1 KiB of them was the copy
  CHECK(out.second == whole.second);
  CHECK(back.second - whole.second == Time::ns(15));
}

TEST_CASE("no IOVA left is ENOMEM, and the device hears nothing") {
  DmaDomainOptions options;
  options.limits.aperture_end = 16 * page_size - 1;  // pages 1 to 15
  Bench b(options);
  const DmaMapping eight = b.map(100, 8);
  const Run run{Gpa::from_page(300), 8 * page_size};
  DmaMapping mapping;
  CHECK(b.dma.map(b.cpu, {&run, 1}, DmaAccess{}, mapping) == ENOMEM);
  CHECK(b.requests.size() == 1);
  b.dma.unmap(b.cpu, eight);
  CHECK(b.dma.map(b.cpu, {&run, 1}, DmaAccess{}, mapping) == 0);
}

TEST_CASE("a failed map gives its IOVA back") {
  test::ViommuBench::Options viommu;
  viommu.driver.sync_map = false;
  Bench b({}, viommu);
  b.shadow.refuse_after = 0;
  const Run run{Gpa::from_page(100), page_size};
  DmaMapping mapping;
  CHECK(b.dma.map(b.cpu, {&run, 1}, DmaAccess{}, mapping) == ENOMEM);
  CHECK(b.page_of(b.map(101)) == 0xfffff);
}

TEST_CASE("strict: unmapped is gone, and its IOVA is free at once") {
  Bench b;
  const DmaMapping mapping = b.map(100, 4);
  b.dma.unmap(b.cpu, mapping);
  CHECK(b.shadow.pages.empty());
  CHECK(b.kicks() == 2);
  CHECK(of_kind<trace::UnmapReturned>(b.recorder.events).at(0).second.deferred == 0);
  CHECK(b.page_of(b.map(200, 4)) == b.page_of(mapping));
}

TEST_CASE("lazy: no kick at the unmap, the UNMAP rides on the next map's, the IOVA waits for a flush") {
  Bench b(lazy());
  const DmaMapping first = b.map(100);
  b.dma.unmap(b.cpu, first);
  CHECK(b.kicks() == 1);
  CHECK(b.shadow.pages.size() == 1);
  CHECK(of_kind<trace::UnmapReturned>(b.recorder.events).at(0).second.deferred == 1);
  const DmaMapping second = b.map(200);
  CHECK(b.kicks() == 2);
  CHECK(b.page_of(second) != b.page_of(first));
  CHECK(b.shadow.pages == std::map<std::uint64_t, std::uint64_t>{{b.page_of(second), 200}});
}

TEST_CASE("lazy: the timer flushes and frees, 12 to 16 ms after the first unmap") {
  Bench b(lazy());
  b.pass(Time::ms(2));
  const DmaMapping first = b.map(100);
  b.dma.unmap(b.cpu, first);
  const DmaMapping second = b.map(200);
  b.dma.unmap(b.cpu, second);
  const std::size_t kicks = b.kicks();
  b.pass(Time::us(13'900));  // to just before tick 4
  CHECK(b.kicks() == kicks);
  b.pass(Time::us(200));
  CHECK(b.kicks() == kicks + 1);
  CHECK(b.shadow.pages.empty());
  const auto flushed = of_kind<trace::FlushQueueFlushed>(b.recorder.events);
  REQUIRE(flushed.size() == 1);
  CHECK(flushed[0].second.cause == trace::FlushCause::timer);
  CHECK(b.page_of(b.map(300)) == b.page_of(second));  // last freed, first used
  CHECK(b.page_of(b.map(301)) == b.page_of(first));
  b.pass(Time::ms(100));
  CHECK(of_kind<trace::FlushQueueFlushed>(b.recorder.events).size() == 1);  // nothing queued, no timer
}

TEST_CASE("lazy: after the timer has fired, the next unmap starts it again") {
  Bench b(lazy());
  for (int round = 1; round <= 3; ++round) {
    b.dma.unmap(b.cpu, b.map(100));
    b.pass(Time::ms(20));
    CHECK(of_kind<trace::FlushQueueFlushed>(b.recorder.events).size() == static_cast<std::size_t>(round));
  }
}

TEST_CASE("lazy: a full queue is flushed on the spot, and its IOVAs are free then") {
  Bench b(lazy(4));
  std::vector<std::uint64_t> pages;
  for (int i = 0; i < 3; ++i) {
    const DmaMapping mapping = b.map(100);
    pages.push_back(b.page_of(mapping));
    b.dma.unmap(b.cpu, mapping);
  }
  CHECK(of_kind<trace::FlushQueueFlushed>(b.recorder.events).empty());
  b.dma.unmap(b.cpu, b.map(100));
  const auto flushed = of_kind<trace::FlushQueueFlushed>(b.recorder.events);
  REQUIRE(flushed.size() == 1);
  CHECK(flushed[0].second.cause == trace::FlushCause::full);
  CHECK(b.shadow.pages.empty());
  CHECK(b.page_of(b.map(100)) == pages.back());
}

TEST_CASE("the planted bug: IOVAs are free before their flush") {
  DmaDomainOptions options = lazy();
  options.faults.reap_without_flush = true;
  Bench b(options);
  const DmaMapping first = b.map(100);
  b.dma.unmap(b.cpu, first);
  b.dma.unmap(b.cpu, b.map(101));  // reaps the first
  CHECK(b.page_of(b.map(102)) == b.page_of(first));
  CHECK(of_kind<trace::FlushQueueFlushed>(b.recorder.events).empty());
}

}  // namespace
}  // namespace gnomon::guest
