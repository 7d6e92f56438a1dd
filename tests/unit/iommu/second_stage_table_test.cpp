// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "models/pgtable/second_stage_table.hpp"

using namespace gnomon;
using namespace gnomon::pgtable;

namespace {

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t gib = 1 << 30;

struct Fixture {
  PhysicalMemory memory{64 * mib};
  PageAllocator allocator{memory, Hpa{0x1000}, Hpa{64 * mib}};
  SecondStageTable table{memory, allocator, 4};
  std::vector<Hpa> unlinked;

  MapOutcome map(std::uint64_t iova, std::uint64_t hpa, std::uint64_t bytes, PageSizes sizes = size_4k,
                 Permissions p = read_write) {
    return table.map(Iova{iova}, Hpa{hpa}, bytes, p, sizes, unlinked);
  }
  UnmapOutcome unmap(std::uint64_t iova, std::uint64_t bytes) { return table.unmap(Iova{iova}, bytes, unlinked); }
  std::optional<Mapping> at(std::uint64_t iova) const { return table.lookup(Iova{iova}); }
  std::uint64_t entry(Hpa page, unsigned index) const { return memory.read<std::uint64_t>(page + index * 8u); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "one page: the entries are in memory as hardware reads them") {
  const MapOutcome m = map(0x0000'8080'6040'5000, 0xabc'd000, 0x1000, size_4k, read_only);
  CHECK(m.status == MapStatus::done);
  CHECK(m.leaves == 1);
  CHECK(m.tables_allocated == 3);
  CHECK(m.entries_written == 4);
  CHECK(m.tables_visited == 4);
  Hpa page = table.root();
  for (const unsigned index : {0x101u, 0x001u, 0x102u}) {
    const std::uint64_t raw = entry(page, index);
    CHECK((raw & 0xfff) == 0x3);  // upper levels grant everything, no PS
    page = Hpa{raw & ~std::uint64_t{0xfff}};
  }
  CHECK(entry(page, 5) == 0xabc'd001);
  CHECK(at(0x0000'8080'6040'5123) == Mapping{Hpa{0xabc'd123}, 0x1000, read_only});
  CHECK_FALSE(at(0x0000'8080'6040'4000));
}

TEST_CASE_METHOD(Fixture, "a contiguous range walks down once") {
  const MapOutcome m = map(0x10'0000, 0x80'0000, 0x1'0000);
  CHECK(m.leaves == 16);
  CHECK(m.entries_written == 19);
  CHECK(m.tables_visited == 4);
  const UnmapOutcome u = unmap(0x10'0000, 0x1'0000);
  CHECK(u.leaves == 16);
  CHECK(u.bytes == 0x1'0000);
  CHECK(u.entries_written == 16);
  CHECK(u.tables_visited == 4);
  CHECK(u.first == Iova{0x10'0000});
  CHECK(u.end == Iova{0x11'0000});
  CHECK(u.tables_unlinked == 0);
  CHECK_FALSE(at(0x10'0000));
}

TEST_CASE_METHOD(Fixture, "the largest size alignment allows is taken") {
  const MapOutcome m = map(gib - 4096, 5 * gib - 4096, gib + 2 * mib + 2 * 4096, all_sizes);
  CHECK(m.status == MapStatus::done);
  CHECK(m.leaves == 4);  // 4K, 1G, 2M, 4K
  CHECK(at(gib - 1)->page_bytes == size_4k);
  CHECK(at(gib + 0x1234'567) == Mapping{Hpa{5 * gib + 0x1234'567}, size_1g, read_write});
  CHECK(at(2 * gib + 5)->page_bytes == size_2m);
  CHECK(at(2 * gib + 2 * mib)->page_bytes == size_4k);
  CHECK_FALSE(at(2 * gib + 2 * mib + 4096));
  // Aligned IOVA over an unaligned HPA leaves only small pages.
  CHECK(map(8 * gib, 4096, 2 * mib, all_sizes).leaves == 512);
}

TEST_CASE_METHOD(Fixture, "requests that cannot be are refused whole") {
  const std::uint64_t in_use = allocator.in_use();
  CHECK(map(0x1000, 0x1000, 0x800).status == MapStatus::misaligned);
  CHECK(map(0x1000, 0x20'0000, 0x20'0000, size_2m).status == MapStatus::misaligned);
  CHECK(map(0x1000, 0x1000, 0x1000, std::uint64_t{1} << 16).status == MapStatus::misaligned);
  CHECK(map(std::uint64_t{1} << 48, 0, 0x1000).status == MapStatus::out_of_range);
  CHECK(map((std::uint64_t{1} << 48) - 0x1000, 0, 0x2000).status == MapStatus::out_of_range);
  CHECK(map(0, std::uint64_t{1} << 52, 0x1000).status == MapStatus::out_of_range);
  CHECK(map(0, 0, 0x1000, size_4k, {}).status == MapStatus::no_permission);
  CHECK(allocator.in_use() == in_use);
  CHECK(map((std::uint64_t{1} << 48) - 0x1000, 0, 0x1000).status == MapStatus::done);
  CHECK(unmap(std::uint64_t{1} << 48, 0x1000).bytes == 0);
  CHECK_THROWS_AS(SecondStageTable(memory, allocator, 2), std::invalid_argument);
}

TEST_CASE_METHOD(Fixture, "mapping over a mapping stops there") {
  map(0x3000, 0x8000, 0x1000);
  const MapOutcome m = map(0x1000, 0x10'0000, 0x4000);
  CHECK(m.status == MapStatus::already_mapped);
  CHECK(m.bytes == 0x2000);
  CHECK(at(0x3000)->hpa == Hpa{0x8000});
  CHECK(map(0, 0, 2 * mib, size_2m).status == MapStatus::already_mapped);
  CHECK(unlinked.empty());
  map(4 * mib, 0, 2 * mib, size_2m);
  CHECK(map(4 * mib + 0x1000, 0, 0x1000).status == MapStatus::already_mapped);
}

TEST_CASE_METHOD(Fixture, "tables go only when the range covers all they can map") {
  map(0, 0, 4 * mib);
  UnmapOutcome u = unmap(0, 2 * mib - 0x1000);
  CHECK(u.tables_unlinked == 0);
  CHECK(u.leaves == 511);
  u = unmap(2 * mib, 2 * mib);
  CHECK(u.tables_unlinked == 1);
  CHECK(u.leaves == 512);
  CHECK(u.bytes == 2 * mib);
  CHECK(u.entries_written == 1);
  REQUIRE(unlinked.size() == 1);
  CHECK((entry(unlinked[0], 0) & 3) == 3);  // the page is as hardware may still see it
  const std::uint64_t in_use = allocator.in_use();
  allocator.free(unlinked[0]);
  CHECK(allocator.in_use() == in_use - 1);
}

TEST_CASE_METHOD(Fixture, "a whole-gigabyte unmap hands over the tree below") {
  map(gib + 4 * mib, 0, 2 * mib);
  map(gib + 8 * mib, 16 * mib, 2 * mib, size_2m);
  const UnmapOutcome u = unmap(gib, gib);
  CHECK(u.leaves == 513);
  CHECK(u.bytes == 4 * mib);
  CHECK(u.first == Iova{gib + 4 * mib});
  CHECK(u.end == Iova{gib + 10 * mib});
  CHECK(u.tables_unlinked == 2);
  CHECK(unlinked.size() == 2);
}

TEST_CASE_METHOD(Fixture, "unmapping part of a large leaf clears the leaf") {
  map(2 * mib, 0, 2 * mib, size_2m);
  const UnmapOutcome u = unmap(2 * mib + 0x5000, 0x1000);
  CHECK(u.bytes == 2 * mib);
  CHECK(u.first == Iova{2 * mib});
  CHECK(u.end == Iova{4 * mib});
  CHECK_FALSE(at(2 * mib));
}

TEST_CASE_METHOD(Fixture, "a large leaf takes the place of an empty table") {
  map(0x1000, 0, 0x1000);
  unmap(0x1000, 0x1000);
  const MapOutcome m = map(0, 2 * mib, 2 * mib, all_sizes);
  CHECK(m.status == MapStatus::done);
  CHECK(m.tables_replaced == 1);
  CHECK(unlinked.size() == 1);
  CHECK(at(0x1000) == Mapping{Hpa{2 * mib + 0x1000}, size_2m, read_write});
}

TEST_CASE_METHOD(Fixture, "lookup grants what every level grants") {
  map(0x1000, 0x5000, 0x1000);
  memory.write(table.root(), entry(table.root(), 0) & ~std::uint64_t{2});
  CHECK(at(0x1000)->permissions == read_only);
}

TEST_CASE_METHOD(Fixture, "release gives every page back") {
  map(0, 0, 4 * mib);
  map(5 * gib, 0, gib, size_1g);
  table.release();
  CHECK(allocator.in_use() == 0);
}

TEST_CASE("tables of three and five levels") {
  PhysicalMemory memory{8 * mib};
  PageAllocator allocator{memory, Hpa{0x1000}, Hpa{8 * mib}};
  std::vector<Hpa> unlinked;
  for (const unsigned levels : {3u, 5u}) {
    SecondStageTable table{memory, allocator, levels};
    const std::uint64_t top = (std::uint64_t{1} << (levels == 3 ? 39 : 57)) - 0x1000;
    CHECK(table.map(Iova{top}, Hpa{0x7000}, 0x1000, write_only, size_4k, unlinked).tables_allocated == levels - 1);
    CHECK(table.lookup(Iova{top + 1}) == Mapping{Hpa{0x7001}, size_4k, write_only});
    CHECK_FALSE(table.lookup(Iova{top + 0x1000}));
  }
}
