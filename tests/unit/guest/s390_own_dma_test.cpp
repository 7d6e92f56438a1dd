// SPDX-License-Identifier: Apache-2.0
// s390's own DMA code of 6.1: next-fit addresses, lazy frees, one full refresh a round.
#include <catch2/catch.hpp>

#include <cerrno>

#include "guest/s390_pci/own_dma.hpp"
#include "tests/support/s390_bench.hpp"

namespace gnomon::guest {
namespace {

using test::S390Machine;
using Rpcit = test::S390Instructions::Rpcit;

struct Bench : S390Machine {
  struct Options {
    std::uint64_t pages = 16;
    std::optional<std::uint32_t> slots = 65535;
    std::uint8_t group = s390_pci::group_refresh;
    bool strict = false;
    S390OwnDmaFaults faults;
  };
  explicit Bench(const Options& o)
      : S390Machine(o.slots, o.group),
        function{source, handle, s390_pci::tlb_refresh(o.group), {first, first + (o.pages * page_size - 1)}},
        dma(kernel, instructions, function, {bitmap_lock, table_lock}, {o.strict, 1, o.faults}) {
    REQUIRE(dma.enable(cpu) == 0);
    forget();
  }
  int try_map(DmaMapping& mapping, std::uint64_t count = 1) {
    const Run run{Gpa::from_page(0x700), count * page_size};
    return dma.map(cpu, {&run, 1}, {true, true}, mapping);
  }
  DmaMapping map(std::uint64_t count = 1) {
    DmaMapping mapping;
    REQUIRE(try_map(mapping, count) == 0);
    return mapping;
  }
  static std::uint64_t page_of(const DmaMapping& m) { return (m.segments.at(0).address - first) >> page_shift; }
  std::uint64_t full() const {
    std::uint64_t n = 0;
    for (const Rpcit& r : instructions.rpcits) n += r.bytes == function.aperture.bytes() ? 1 : 0;
    return n;
  }

  test::SoloProcessor processor;
  const GuestCosts costs;
  Cpu cpu{processor, costs, {}, tracer};
  Lock bitmap_lock = make_lock();
  Lock table_lock = make_lock();
  S390Function function;
  S390OwnDma dma;
};

TEST_CASE("addresses go up, and one full RPCIT at the wrap frees what was unmapped") {
  Bench b({});
  const DmaMapping kept = b.map();
  for (std::uint64_t n = 1; n < 16; ++n) {
    const DmaMapping m = b.map();
    CHECK(b.page_of(m) == n);
    b.dma.unmap(b.cpu, m);
  }
  CHECK(b.full() == 0);
  CHECK(b.shadow.pages.size() == 16);  // unmapped pages too
  CHECK(b.dma.iovas().lazy() == 15);
  b.forget();
  const DmaMapping next = b.map();
  CHECK(b.page_of(next) == 1);
  CHECK(b.full() == 1);
  CHECK(b.dma.wraps() == 1);
  CHECK(b.instructions.rpcits.size() == 2);
  CHECK(b.shadow.pages.size() == 2);
  CHECK(test::count_of<trace::FlushQueueFlushed>(b.recorder.events) == 1);
  b.dma.unmap(b.cpu, kept);
}

TEST_CASE("strict: an RPCIT each unmap, the address is free at once, a wrap refreshes nothing") {
  Bench::Options options;
  options.strict = true;
  Bench b(options);
  for (std::uint64_t n = 0; n < 40; ++n) {
    const DmaMapping m = b.map();
    CHECK(b.page_of(m) == n % 16);
    b.dma.unmap(b.cpu, m);
    CHECK(b.shadow.pages.empty());
  }
  CHECK(b.instructions.rpcits.size() == 80);
  CHECK(b.full() == 0);
  CHECK(b.dma.wraps() == 2);
}

TEST_CASE("in a logical partition the only RPCIT is that of the wrap") {
  Bench::Options options;
  options.group = 0;
  Bench b(options);
  for (std::uint64_t n = 0; n < 33; ++n) b.dma.unmap(b.cpu, b.map());
  CHECK(b.instructions.rpcits.size() == 2);
  CHECK(b.full() == 2);
}

TEST_CASE("out of resources in lazy mode: a full RPCIT, the lazily freed are free, the map succeeds") {
  Bench::Options options;
  options.pages = 64;
  options.slots = 8;
  Bench b(options);
  for (unsigned n = 0; n < 7; ++n) b.dma.unmap(b.cpu, b.map());
  b.forget();
  const DmaMapping m = b.map(2);
  REQUIRE(b.instructions.rpcits.size() == 2);
  CHECK(b.instructions.rpcits[0].result.condition_code == 1);
  CHECK(b.instructions.rpcits[1].result.condition_code == 0);
  CHECK(b.full() == 1);
  CHECK(b.shadow.pages.size() == 2);
  CHECK(b.dma.iovas().lazy() == 0);
  CHECK(b.dma.iovas().taken() == 2);
  CHECK(b.page_of(m) == 7);
  CHECK(b.dma.refreshes() == S390RefreshCounts{8, 0, 1, 1});
}

TEST_CASE("out of resources for good is ENOMEM, and nothing is lost once there are some again") {
  Bench::Options options;
  options.pages = 64;
  options.slots = 4;
  Bench b(options);
  const DmaMapping a = b.map(3);
  DmaMapping refused;
  CHECK(b.try_map(refused, 2) == ENOMEM);
  CHECK_FALSE(b.dma.iova_to_phys(b.first + 3 * page_size));
  CHECK(b.dma.iovas().taken() == 5);  // lazily freed
  b.dma.unmap(b.cpu, a);
  const DmaMapping later = b.map(2);
  CHECK(b.page_of(later) == 5);
  CHECK(b.shadow.pages.size() == 2);
  CHECK(b.device.free_slots(b.handle) == 2);
}

TEST_CASE("strict and out of resources: ENOMEM without a full RPCIT, and clean") {
  Bench::Options options;
  options.slots = 4;
  options.strict = true;
  Bench b(options);
  const DmaMapping a = b.map(3);
  DmaMapping refused;
  CHECK(b.try_map(refused, 1) == ENOMEM);
  CHECK(b.full() == 0);
  CHECK(b.shadow.pages.size() == 3);
  CHECK(b.dma.iovas().taken() == 3);
  b.dma.unmap(b.cpu, a);
  CHECK(b.device.free_slots(b.handle) == 4);
}

TEST_CASE("no room even after a wrap is ENOMEM") {
  Bench b({});
  b.map(10);
  DmaMapping mapping;
  CHECK(b.try_map(mapping, 7) == ENOMEM);
  CHECK(b.full() == 1);
  b.map(6);
}

TEST_CASE("the bitmap: allocations do not cross the boundary, and fill to the last page") {
  S390IovaBitmap bitmap(100, 60, 64);  // pages 60..159: boundaries at 64 and 128
  CHECK(bitmap.allocate_ahead(5).page == 4);
  CHECK(bitmap.allocate_wrapped(4).page == 0);
  CHECK_FALSE(bitmap.allocate_ahead(65).page);
  CHECK(bitmap.allocate_ahead(64).page == std::nullopt);
  CHECK(bitmap.allocate_ahead(32).page == 9);
  CHECK(bitmap.allocate_ahead(32).page == 68);
  CHECK_FALSE(bitmap.allocate_ahead(1).page);
  CHECK(bitmap.allocate_wrapped(27).page == 41);
  CHECK(bitmap.taken() == 100);
  bitmap.free_lazily(4, 5);
  CHECK_FALSE(bitmap.allocate_wrapped(5).page);
  CHECK(bitmap.release_lazy() == 5);
  CHECK(bitmap.allocate_wrapped(5).page == 4);
}

}  // namespace
}  // namespace gnomon::guest
