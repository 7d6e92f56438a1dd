// SPDX-License-Identifier: Apache-2.0
// The first-stage table as Linux fills it, and tables of both formats in a guest's memory. What all formats share
// is tested with the second stage's.
#include <catch2/catch.hpp>

#include "models/pgtable/first_level_table.hpp"
#include "models/pgtable/second_stage_table.hpp"

using namespace gnomon;
using namespace gnomon::pgtable;

namespace {

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t gib = 1 << 30;

struct Fixture {
  PhysicalMemory memory{64 * mib};
  PageAllocator allocator{memory, Hpa{0x1000}, Hpa{64 * mib}};
  FirstLevelTable table{memory, allocator, 4};
  std::vector<Hpa> unlinked;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "first level: entries as Linux writes them") {
  const MapOutcome m = table.map(Iova{0x1000}, Hpa{0x7'7000}, 0x1000, read_write, size_4k, unlinked);
  CHECK(m.status == MapStatus::done);
  CHECK(m.tables_allocated == 3);
  Hpa page = table.root();
  for (unsigned level = 4; level > 1; --level) {
    const auto raw = memory.read<std::uint64_t>(page);
    CHECK((raw & 0xfff) == 0x27);  // A, US, RW, P
    page = Hpa{raw & ~std::uint64_t{0xfff}};
  }
  CHECK(memory.read<std::uint64_t>(page + 8) == 0x7'7067);  // and D in a writable leaf
  table.map(Iova{0x2000}, Hpa{0x8000}, 0x1000, read_only, size_4k, unlinked);
  CHECK(memory.read<std::uint64_t>(page + 16) == 0x8025);
  table.map(Iova{2 * mib}, Hpa{4 * mib}, 2 * mib, read_write, all_sizes, unlinked);
  CHECK(memory.read<std::uint64_t>(
            Hpa{memory.read<std::uint64_t>(Hpa{memory.read<std::uint64_t>(table.root()) & ~std::uint64_t{0xfff}}) &
                ~std::uint64_t{0xfff}} +
            8) == (4 * mib | 0xe7));
}

TEST_CASE_METHOD(Fixture, "first level: present is readable") {
  CHECK(table.map(Iova{0}, Hpa{0x8000}, 0x1000, write_only, size_4k, unlinked).status == MapStatus::done);
  CHECK(table.lookup(Iova{4}) == Mapping{Hpa{0x8004}, 4096, read_write});
  CHECK(table.map(Iova{0x1000}, Hpa{0}, 0x1000, {}, size_4k, unlinked).status == MapStatus::no_permission);
}

TEST_CASE_METHOD(Fixture, "first level: the lower canonical half") {
  constexpr std::uint64_t end = std::uint64_t{1} << 47;
  CHECK(table.map(Iova{end - 0x1000}, Hpa{0}, 0x1000, read_write, size_4k, unlinked).status == MapStatus::done);
  CHECK(table.map(Iova{end}, Hpa{0}, 0x1000, read_write, size_4k, unlinked).status == MapStatus::out_of_range);
  CHECK_FALSE(table.lookup(Iova{end}));
  CHECK_THROWS_AS(FirstLevelTable(memory, allocator, 3), std::invalid_argument);
  CHECK_THROWS_AS(FirstLevelTable(memory, allocator, 6), std::invalid_argument);
  FirstLevelTable five(memory, allocator, 5);
  CHECK(five.map(Iova{end}, Hpa{0}, 0x1000, read_write, size_4k, unlinked).status == MapStatus::done);
}

TEST_CASE_METHOD(Fixture, "first level: map, unmap, release give every page back") {
  table.map(Iova{gib - 0x1000}, Hpa{gib - 0x1000}, 4 * mib, read_write, all_sizes, unlinked);
  CHECK(table.lookup(Iova{gib})->page_bytes == 2 * mib);
  const UnmapOutcome u = table.unmap(Iova{gib - 2 * mib}, 4 * mib, unlinked);
  CHECK(u.leaves == 2);
  CHECK(u.tables_unlinked == unlinked.size());
  CHECK(unlinked.size() == 1);
  for (const Hpa page : unlinked) allocator.free(page);
  table.release();
  CHECK(allocator.in_use() == 0);
}

TEMPLATE_TEST_CASE("tables in a guest's memory hold what the guest means, where the guest means it", "",
                   GuestFirstLevelTable, GuestSecondStageTable) {
  PhysicalMemory memory{64 * mib};
  GuestRam ram(memory, Hpa{32 * mib}, 16 * mib, Backing::pages_4k, 1);
  GuestTableMemory pages(ram, Gpa{0x1000}, Gpa{mib});
  TestType table(pages, 4);
  std::vector<Gpa> unlinked;
  CHECK(table.root() == Gpa{0x1000});
  CHECK(table.map(Iova{0xffff'f000}, Gpa{0x5000}, 0x2000, read_write, size_4k, unlinked).bytes == 0x2000);
  CHECK(table.lookup(Iova{0xffff'f123}) == GuestMapping{Gpa{0x5123}, 4096, read_write});
  CHECK(table.lookup(Iova{0x1'0000'0000}) == GuestMapping{Gpa{0x6000}, 4096, read_write});
  CHECK((ram.read<std::uint64_t>(Gpa{0x1000}) & ~std::uint64_t{0xfff}) == 0x2000);  // guest-physical pointers
  CHECK(pages.in_use() == 6);
  CHECK(table.unmap(Iova{0}, std::uint64_t{1} << 39, unlinked).leaves == 2);
  CHECK(unlinked.size() == 5);
  for (const Gpa page : unlinked) pages.free(page);
  table.release();
  CHECK(pages.in_use() == 0);
}
