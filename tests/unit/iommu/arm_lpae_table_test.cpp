// SPDX-License-Identifier: Apache-2.0
// The LPAE table: what a call reaches, blocks unmapped over tables and tables under blocks, blocks split.
#include <catch2/catch.hpp>
#include <cstring>

#include "models/pgtable/arm_lpae_table.hpp"

using namespace gnomon;
using namespace gnomon::pgtable;
using smmuv3::Stage;

namespace {

constexpr std::uint64_t kib4 = 4096;
constexpr std::uint64_t mib2 = 2 << 20;
constexpr std::uint64_t gib = 1 << 30;

struct Bench {
  explicit Bench(Stage stage = Stage::one, unsigned bits = 48) : table(pages, stage, bits) {}
  LpaeMapOutcome map(std::uint64_t iova, std::uint64_t hpa, std::uint64_t size, std::uint64_t count = 1,
                     Permissions p = read_write) {
    return table.map(Iova{iova}, Hpa{hpa}, size, count, p);
  }
  LpaeUnmapOutcome unmap(std::uint64_t iova, std::uint64_t size, std::uint64_t count = 1, bool split = true) {
    return table.unmap(Iova{iova}, size, count, split, unlinked);
  }
  std::uint64_t entry(Hpa at, unsigned index) { return memory.read<std::uint64_t>(at + index * 8); }

  PhysicalMemory memory{std::uint64_t{1} << 32};
  PageAllocator allocator{memory, Hpa{0x100'0000}, Hpa{0x200'0000}};
  HostTableMemory pages{memory, allocator};
  ArmLpaeTable<HpaSpace> table;
  std::vector<Hpa> unlinked;
};

}  // namespace

TEST_CASE("a page is three tables below the root, in real descriptors") {
  Bench b;
  const auto done = b.map(0xffff'f000, 0x1234'5000, kib4);
  CHECK(done.status == LpaeMapStatus::done);
  CHECK(done.bytes == kib4);
  CHECK(done.tables_allocated == 3);
  Hpa at = b.table.root();
  for (const unsigned index : {0u, 3u, 511u}) {
    const std::uint64_t raw = b.entry(at, index);
    CHECK((raw & 0xfff) == 3);
    at = Hpa{raw & 0xffff'ffff'f000};
  }
  CHECK(b.entry(at, 511) == 0x1234'5f47);
  const auto found = b.table.lookup(Iova{0xffff'f123});
  REQUIRE(found);
  CHECK(found->hpa == Hpa{0x1234'5123});
  CHECK(found->page_bytes == kib4);
}

TEST_CASE("a call ends at its table's edge, and a run of leaves at a hole") {
  Bench b;
  CHECK(ArmLpaeTable<HpaSpace>::entries_to_edge(Iova{mib2 - 3 * kib4}, kib4) == 3);
  CHECK(b.map(mib2 - 3 * kib4, 0x10'0000, kib4, 10).bytes == 3 * kib4);
  CHECK(b.map(mib2, 0x20'0000, kib4, 7).bytes == 7 * kib4);
  b.unmap(mib2 + 2 * kib4, kib4);
  const auto first = b.unmap(mib2 - 3 * kib4, kib4, 10);
  CHECK(first.kind == LpaeUnmapped::leaves);
  CHECK(first.entries == 3);
  CHECK(b.unmap(mib2, kib4, 7).entries == 2);
  CHECK(b.unmap(mib2 + 2 * kib4, kib4, 5).kind == LpaeUnmapped::nothing);
  CHECK(b.unmap(mib2 + 3 * kib4, kib4, 100).entries == 4);
  CHECK(b.unlinked.empty());  // pages unmapped leave their tables
}

TEST_CASE("refusals change nothing") {
  Bench b(Stage::one, 39);
  CHECK(b.table.levels() == 3);
  CHECK(b.map(0, 0, 8192).status == LpaeMapStatus::unsupported_size);
  CHECK(b.map(kib4, 0, mib2).status == LpaeMapStatus::misaligned);
  CHECK(b.map(0, 0x800, kib4).status == LpaeMapStatus::misaligned);
  CHECK(b.map(std::uint64_t{1} << 39, 0, kib4).status == LpaeMapStatus::out_of_range);
  CHECK(b.map((std::uint64_t{1} << 39) - kib4, 0, kib4, 2).status == LpaeMapStatus::out_of_range);
  CHECK(b.map(0, std::uint64_t{1} << 48, kib4).status == LpaeMapStatus::out_of_range);
  CHECK(b.map(0, 0, kib4, 1, {}).status == LpaeMapStatus::no_permission);
  CHECK(b.allocator.in_use() == 1);
  b.map(0, 0, kib4);
  CHECK(b.map(0, 0x5000, kib4).status == LpaeMapStatus::already_mapped);
  CHECK(b.table.lookup(Iova{0})->hpa == Hpa{0});
  CHECK_THROWS_AS(Bench(Stage::one, 49), std::invalid_argument);
}

TEST_CASE("stage 1 has no write-only, stage 2 has") {
  Bench one;
  one.map(0, 0, kib4, 1, write_only);
  CHECK(one.table.lookup(Iova{0})->permissions == read_write);
  Bench two(Stage::two);
  two.map(0, 0, kib4, 1, write_only);
  CHECK(two.table.lookup(Iova{0})->permissions == write_only);
}

TEST_CASE("a block unmapped over a table takes the table along") {
  Bench b;
  b.map(0, 0x40'0000, kib4, 512);
  CHECK(b.allocator.in_use() == 4);
  const auto done = b.unmap(0, mib2, 3);
  CHECK(done.kind == LpaeUnmapped::table);
  CHECK(done.bytes == mib2);
  CHECK(done.tables_unlinked == 1);
  REQUIRE(b.unlinked.size() == 1);
  CHECK(b.entry(b.unlinked[0], 7) == (0x40'7000 | 0xf47));  // contents stay: hardware may still walk them
  CHECK_FALSE(b.table.lookup(Iova{0x7000}));

  b.unlinked.clear();
  b.map(gib, 0, kib4);
  b.map(gib + mib2, 0, kib4);
  CHECK(b.unmap(gib, gib).tables_unlinked == 3);
}

TEST_CASE("a block over a table that is there stops until the table is gone") {
  Bench b;
  b.map(0, 0x40'0000, kib4, 2);
  b.unmap(0, kib4, 2);
  CHECK(b.map(0, 0x60'0000, mib2).status == LpaeMapStatus::table_in_the_way);
  CHECK(b.unmap(0, mib2).kind == LpaeUnmapped::table);
  CHECK(b.map(0, 0x60'0000, mib2).status == LpaeMapStatus::done);
  CHECK(b.table.lookup(Iova{0x1234})->hpa == Hpa{0x60'1234});
}

TEST_CASE("part of a block: split up to 6.12, refused since") {
  Bench b;
  b.map(0, 0x4000'0000, gib);
  CHECK(b.unmap(0x20'3000, kib4, 2, false).kind == LpaeUnmapped::refused);
  CHECK(b.unmap(0x20'3000, kib4, 2, false).bytes == 0);
  const auto done = b.unmap(0x20'3000, kib4, 2, true);
  CHECK(done.kind == LpaeUnmapped::split);
  CHECK(done.bytes == 2 * kib4);
  CHECK(done.tables_allocated == 2);
  CHECK_FALSE(b.table.lookup(Iova{0x20'3000}));
  CHECK_FALSE(b.table.lookup(Iova{0x20'4fff}));
  for (const std::uint64_t iova : {0x0ull, 0x20'2fffull, 0x20'5000ull, 0x3fff'ffffull}) {
    CHECK(b.table.lookup(Iova{iova})->hpa == Hpa{0x4000'0000 + iova});
  }
  CHECK(b.table.lookup(Iova{0})->page_bytes == mib2);
  CHECK(b.table.lookup(Iova{0x20'5000})->page_bytes == kib4);
}

TEST_CASE("everything is given back") {
  Bench b(Stage::two);
  b.map(0, 0, kib4);
  b.map(gib, 0, mib2);
  b.map(std::uint64_t{1} << 47, 0, gib);
  b.table.release();
  CHECK(b.allocator.in_use() == 0);
}
