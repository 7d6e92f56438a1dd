// SPDX-License-Identifier: Apache-2.0
// The s390 IOMMU driver since 6.7 against QEMU's device: which RPCITs, and what becomes of exhaustion.
#include <catch2/catch.hpp>

#include <cerrno>

#include "guest/dma/dma_device.hpp"
#include "tests/support/s390_bench.hpp"

namespace gnomon::guest {
namespace {

using test::S390Bench;
using Result = PciInstructionPort::Result;
using Rpcit = test::S390Instructions::Rpcit;

constexpr Result ok{};
constexpr Result exhausted{1, s390_pci::status::insufficient_resources};
constexpr std::uint64_t aperture = std::uint64_t{4} << 30;

Rpcit range(std::uint64_t page, std::uint64_t count, Result result = ok) {
  return {S390Bench::page(page).value, count << page_shift, result};
}
Rpcit whole(Result result = ok) {
  return {S390Bench::first.value, aperture, result};
}

TEST_CASE("the aperture is the least of memory times its factor, the tables' span and the window") {
  constexpr s390_pci::DmaWindow window = s390_pci::qemu_dma_window;
  constexpr std::uint64_t gib = std::uint64_t{1} << 30;
  CHECK(s390_aperture(4 * gib, 1, window) == S390Aperture{Iova{4 * gib}, Iova{8 * gib - 1}});
  CHECK(s390_aperture(4 * gib, 3, window).bytes() == 12 * gib);
  CHECK(s390_aperture(4 * gib, 0, window).bytes() == 4092 * gib);
  CHECK(s390_aperture(8192 * gib, 1, window).bytes() == 4092 * gib);
  CHECK(s390_aperture(4 * gib, 1, {Iova{4 * gib}, Iova{6 * gib - 1}}).bytes() == 2 * gib);
}

TEST_CASE("with tlb_refresh a map is one RPCIT of its range, however many runs; an unmap likewise") {
  S390Bench bench;
  const std::vector<Run> runs{{Gpa::from_page(0x1000), 10 * page_size}, {Gpa::from_page(0x2003), 6 * page_size}};
  CHECK(bench.domain.map_sg(bench.cpu, bench.page(0x7ffe0), runs, {true, true}).error == 0);
  CHECK(bench.instructions.rpcits == std::vector{range(0x7ffe0, 16)});
  CHECK(bench.shadow.calls.size() == 16);
  bench.forget();
  CHECK(bench.unmap(0x7ffe0, 16) == 16);
  CHECK(bench.instructions.rpcits == std::vector{range(0x7ffe0, 16)});
  CHECK(bench.shadow.calls.size() == 1);
  CHECK(test::count_of<trace::GuestRequest>(bench.recorder.events) == 1);
}

TEST_CASE("in a logical partition a map needs nothing, an unmap RPCIT") {
  S390Bench::Options options;
  options.group = 0;
  S390Bench bench(options);
  CHECK(bench.map(5, 0x100) == 0);
  CHECK(bench.instructions.rpcits.empty());
  CHECK(bench.unmap(5) == 1);
  CHECK(bench.instructions.rpcits == std::vector{range(5, 1)});
}

TEST_CASE("a gather that was never added to is not flushed; all is the whole aperture") {
  S390Bench bench;
  IotlbGather nothing;
  bench.driver->iotlb_sync(bench.cpu, nothing);
  CHECK(bench.instructions.rpcits.empty());
  bench.driver->flush_iotlb_all(bench.cpu);
  CHECK(bench.instructions.rpcits == std::vector{whole()});
}

TEST_CASE("a busy unit is asked again every microsecond") {
  S390Bench bench;
  bench.instructions.answers = {{2, 0}, {2, 0}, {2, 0}};
  const Time began = bench.cpu.now();
  CHECK(s390_refresh(bench.cpu, bench.instructions, bench.function(), bench.page(0), page_size, 1,
                     trace::RefreshCause::map) == 0);
  CHECK(bench.instructions.rpcits.size() == 4);
  CHECK(bench.cpu.now() - began == Time::us(3));
}

TEST_CASE("condition and status codes become errno values") {
  S390Bench bench;
  const auto errno_of = [&](Result result) {
    bench.instructions.answers = {result};
    return s390_refresh(bench.cpu, bench.instructions, bench.function(), bench.page(0), page_size, 1,
                        trace::RefreshCause::map);
  };
  CHECK(errno_of({0, 0}) == 0);
  CHECK(errno_of({1, 4}) == ENOMEM);
  CHECK(errno_of({1, 16}) == ENOMEM);
  CHECK(errno_of({1, 8}) == EIO);
  CHECK(errno_of({3, 0}) == EIO);
}

TEST_CASE("a table cannot forbid reads, and the event stream says so") {
  S390Bench bench;
  bench.domain.map(bench.cpu, bench.page(1), Gpa{0x5000}, page_size, {true, false});
  bench.domain.map(bench.cpu, bench.page(2), Gpa{0x6000}, page_size, {false, true});
  const auto added = test::of_kind<trace::MappingAdded>(bench.recorder.events);
  CHECK(added[0].second.writable == 0);
  CHECK(added[1].second.readable == 1);
  CHECK(bench.driver->iova_to_phys(bench.page(2) + 7) == Gpa{0x6007});
}

// 65,535 slots, lazy: live and unmapped pages that were not refreshed take them all.
TEST_CASE("exhaustion: the map's RPCIT fails, the full refresh frees what was unmapped, the map succeeds") {
  S390Bench bench;
  constexpr std::uint64_t limit = 65535;
  for (std::uint64_t n = 0; n + 1 < limit; ++n) {
    REQUIRE(bench.map(n, 0x1000 + n) == 0);
    if (n >= 64) bench.unmap_lazily(n);
  }
  CHECK(bench.device.free_slots(S390Bench::handle) == 1);
  bench.forget();

  CHECK(bench.map(limit - 1, 0x800) == 0);  // takes the last slot: out of resources, though it is mapped
  CHECK(bench.instructions.rpcits == std::vector{range(limit - 1, 1, exhausted), whole()});
  CHECK(bench.device.free_slots(S390Bench::handle) == limit - 65);
  CHECK(bench.shadow.pages.size() == 65);
  CHECK(bench.s390().refreshes() == S390RefreshCounts{limit, 0, 1, 1});

  bench.forget();
  bench.driver->flush_iotlb_all(bench.cpu);  // the flush queue's own flush, later: nothing left to forget
  CHECK(bench.instructions.served.back().maps == 0);
  CHECK(bench.device.mapped_pages(S390Bench::handle) == 65);
  for (std::uint64_t n = 0; n < 64; ++n) CHECK(bench.shadow.pages.at(bench.page(n).page()) == 0x1000 + n);
}

TEST_CASE("a map that no full refresh can save fails clean: nothing of it is left, and later ones succeed") {
  S390Bench::Options options;
  options.slots = 8;
  S390Bench bench(options);
  CHECK(bench.map(0, 0x100, 7) == 0);
  bench.forget();
  CHECK(bench.map(16, 0x200, 2) == ENOMEM);
  CHECK(bench.instructions.rpcits ==
        std::vector{range(16, 2, exhausted), whole(exhausted), range(16, 2)});  // the last is the undoing's
  CHECK_FALSE(bench.driver->iova_to_phys(bench.page(16)));
  CHECK(bench.shadow.pages.size() == 7);
  CHECK(bench.device.free_slots(S390Bench::handle) == 1);
  CHECK(bench.unmap(0, 4) == 4);
  CHECK(bench.map(16, 0x200, 2) == 0);
  CHECK(bench.shadow.pages.size() == 5);
}

TEST_CASE("a kernel that ignores iotlb_sync_map's error loses the exhaustion") {
  S390Bench::Options options;
  options.slots = 2;
  options.faults.no_full_refresh = true;
  options.core.sync_map_can_fail = false;
  S390Bench bench(options);
  CHECK(bench.map(0, 0x100, 4) == 0);
  CHECK(bench.shadow.pages.size() == 2);  // and the device would fault on the others
}

TEST_CASE("attach moves a function between domains; an unknown one is not there") {
  S390Bench bench;
  bench.map(3, 0x300);
  const auto other = bench.instance.make_domain(bench.cpu, 2);
  CHECK(bench.instance.attach(bench.cpu, *other, S390Bench::source) == 0);
  CHECK(bench.shadow.pages.empty());
  CHECK(bench.instance.attach(bench.cpu, *other, SourceId{0x77}) == ENODEV);
  bench.forget();
  bench.map(4, 0x400);  // nobody is in the first domain any more
  CHECK(bench.instructions.rpcits.empty());
}

TEST_CASE("the single flush queue: one full RPCIT for all that was unmapped since the last") {
  S390Bench bench;
  DmaDomainOptions options;
  options.deferred = true;
  options.flush_queue = {false, 8, Time::s(1)};
  options.limits.aperture_end = bench.function().aperture.last.value;
  std::vector<Lock> locks{bench.make_lock()};
  TranslatedDma dma(bench.domain, options, {&bench.cpu}, locks);
  dma.reserve(0, bench.first.page() - 1);  // as the driver reports it: nothing below the window
  const Run run{Gpa::from_page(0x500), page_size};
  for (unsigned n = 0; n < 8; ++n) {
    DmaMapping mapping;
    REQUIRE(dma.map(bench.cpu, {&run, 1}, {true, true}, mapping) == 0);
    dma.unmap(bench.cpu, mapping);
  }
  std::uint64_t full = 0;
  for (const Rpcit& r : bench.instructions.rpcits) full += r == whole() ? 1 : 0;
  CHECK(full == 1);  // seven fit; the eighth flushes
  CHECK(bench.instructions.rpcits.size() == 9);
}

}  // namespace
}  // namespace gnomon::guest
