// SPDX-License-Identifier: Apache-2.0
// Which runs are one mapping.
#include <catch2/catch.hpp>

#include "tests/unit/trace_import/import_fixture.hpp"

using namespace gnomon;
using namespace gnomon::trace_import::test;
using gtrace::Event;
using gtrace::EventKind;

namespace {

std::vector<std::size_t> run_counts(const Imported& t) {
  REQUIRE(t.findings.empty());
  std::vector<std::size_t> out;
  for (const Event& e : t.events)
    if (e.kind == EventKind::map) out.push_back(e.runs.size());
  return out;
}
using Counts = std::vector<std::size_t>;

}  // namespace

TEST_CASE("runs that follow each other and are aligned as one allocation are joined, and it is said") {
  const Imported t = import_text(map_line(1, 0x10000, 0x3000, 0x500000) + map_line(2, 0x13000, 0x1000, 0x900000));
  CHECK(run_counts(t) == Counts{2});
  CHECK(t.events[0].bytes == 0x4000);
  CHECK(t.events[0].span_ns == 1000);
  CHECK(t.events[0].time_ns == 1'000'001'000);
  CHECK(t.note("runs joined to the one before") == 1);
}

TEST_CASE("runs that no single allocation could hold are not joined") {
  CHECK(run_counts(import_text(map_line(1, 0x11000, 0x1000, 0x500000) + map_line(2, 0x12000, 0x1000, 0x900000))) ==
        Counts{1, 1});
}

TEST_CASE("another CPU, another context, another task or a gap ends a mapping") {
  const std::string first = map_line(1, 0x10000, 0x1000, 0x500000);
  CHECK(run_counts(import_text(first + map_line(2, 0x11000, 0x1000, 0x900000, 1))) == Counts{1, 1});
  CHECK(run_counts(import_text(first + map_line(2, 0x11000, 0x1000, 0x900000, 0, "..s1."))) == Counts{1, 1});
  CHECK(run_counts(import_text(first + map_line(2, 0x12000, 0x1000, 0x900000))) == Counts{1, 1});
  std::string other = map_line(2, 0x11000, 0x1000, 0x900000);
  other.replace(other.find("fio-7"), 5, "dd -8");
  CHECK(run_counts(import_text(first + other)) == Counts{1, 1});
}

TEST_CASE("a new request ends the mapping before it") {
  const std::string request = ftrace_line(".....", 2,
                                          "nvme_setup_cmd: nvme0: disk=nvme0n1, qid=1, cmdid=3, nsid=1, flags=0x0, "
                                          "meta=0x0, cmd=(nvme_cmd_read slba=0, len=0)");
  CHECK(run_counts(import_text(map_line(1, 0x10000, 0x1000, 0x500000) + request +
                               map_line(3, 0x11000, 0x1000, 0x900000))) == Counts{1, 1});
}

TEST_CASE("an interrupt between two runs leaves them together, in the order recorded") {
  const Imported t = import_text(map_line(1, 0x10000, 0x1000, 0x500000) + unmap_line(2, 0x80000, 0x1000) +
                                 map_line(3, 0x11000, 0x1000, 0x900000));
  CHECK(run_counts(t) == Counts{2});
  CHECK(t.events[0].kind == EventKind::map);
  CHECK(t.events[1].kind == EventKind::unmap);
}

TEST_CASE("unmaps prove where mappings begin, and a second pass goes by them") {
  // Two mappings at rising addresses look like one, until each is unmapped alone.
  const std::string maps = map_line(1, 0x10000, 0x1000, 0x500000) + map_line(2, 0x11000, 0x1000, 0x900000);
  const Imported two = import_text(maps + unmap_line(5, 0x11000, 0x1000) + unmap_line(6, 0x10000, 0x1000));
  CHECK(two.again);
  CHECK(run_counts(two) == Counts{1, 1});
  CHECK(two.note("unmaps of another size") == 0);
  const Imported one = import_text(maps + unmap_line(5, 0x10000, 0x2000));
  CHECK_FALSE(one.again);
  CHECK(run_counts(one) == Counts{2});
  CHECK(one.note("runs joined to the one before") == 0);
}

TEST_CASE("an unmap of several runs proves them one mapping even where no alignment says so") {
  const Imported t = import_text(map_line(1, 0x11000, 0x1000, 0x500000) + map_line(2, 0x12000, 0x1000, 0x900000) +
                                 unmap_line(3, 0x11000, 0x2000));
  CHECK(t.again);
  CHECK(run_counts(t) == Counts{2});
  CHECK(t.note("runs joined to the one before") == 0);
}

TEST_CASE("the DMA API's event names the device of the mapping before it") {
  const Imported t = import_text(
      map_line(1, 0x10000, 0x2000, 0x500000) +
      ftrace_line(".....", 2,
                  "dma_map_page: 0000:00:03.0 dir=FROM_DEVICE dma_addr=10200 size=4096 phys_addr=500200 attrs=") +
      unmap_line(3, 0x10000, 0x2000) +
      ftrace_line("d.h1.", 4, "dma_unmap_page: 0000:00:03.0 dir=FROM_DEVICE dma_addr=10200 size=4096 attrs="));
  REQUIRE(t.findings.empty());
  REQUIRE(t.events.size() == 2);
  for (const Event& e : t.events) {
    CHECK(t.string(e.device) == "0000:00:03.0");
    CHECK(e.direction == gtrace::Direction::from_device);
    CHECK(e.address == 0x10000);
    CHECK(e.bytes == 0x2000);
    CHECK(e.flags == 3);
  }
}

TEST_CASE("coherent memory is traced before it is unmapped, and without an IOMMU there is only the DMA API") {
  const std::string free =
      ftrace_line(".....", 1, "dma_free: 0000:00:03.0 dma_addr=10000 size=8192 virt_addr=0 attrs=");
  const Imported both = import_text(free + unmap_line(2, 0x10000, 0x2000, 0, "....."));
  REQUIRE(both.events.size() == 1);
  CHECK(both.events[0].flags == (gtrace::seen_by_iommu | gtrace::seen_by_dma | gtrace::coherent));
  const Imported alone = import_text(free);
  REQUIRE(alone.events.size() == 1);
  CHECK(alone.events[0].flags == (gtrace::seen_by_dma | gtrace::coherent));
  const Imported lost =
      import_text(ftrace_line(".....", 1, "dma_unmap_sg: 0000:00:03.0 dir=TO_DEVICE phys_addrs={0x1} attrs="));
  CHECK(lost.events.empty());
  CHECK(lost.note("dma:dma_unmap_sg whose address") == 1);
}

TEST_CASE("a list without the IOMMU's events has runs only where each has its segment") {
  const auto sg = [](const char* fields) {
    return import_text(ftrace_line(".....", 1, std::string{"dma_map_sg: 0000:00:03.0 dir=TO_DEVICE "} + fields));
  };
  const Imported told =
      sg("nents=2/2 ents=2/2 dma_addrs={0x1000,0x9000} sizes={0x800,0x1000} phys_addrs={0x1000,0x9000} attrs=");
  REQUIRE(told.events.size() == 1);
  CHECK(told.events[0].runs == std::vector<gtrace::Run>{{0x1000, 0x800}, {0x9000, 0x1000}});
  CHECK(told.events[0].bytes == 0x1800);
  const Imported merged =
      sg("nents=2/2 ents=1/1 dma_addrs={0x1000} sizes={0x2000} phys_addrs={0x1000,0x9000} attrs=");
  REQUIRE(merged.events.size() == 1);
  CHECK(merged.events[0].runs.empty());
  CHECK((merged.events[0].flags & gtrace::runs_unknown) != 0);
  CHECK(merged.note("mappings whose physical runs") == 1);
}

TEST_CASE("a mapping left open does not hold up the rest for ever") {
  std::string text = map_line(1, 0x10000, 0x1000, 0x500000, 1);
  for (unsigned i = 0; i < 20'000; ++i) text += unmap_line(10 + i, 0x800000 + i * 0x1000, 0x1000);
  const Imported t = import_text(text);
  REQUIRE(t.findings.empty());
  CHECK(t.events.size() == 20'001);
  CHECK(t.events[0].kind == EventKind::map);
  CHECK(t.note("mappings and unmaps that waited") == 1);
}
