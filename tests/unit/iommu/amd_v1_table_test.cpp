// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "models/pgtable/amd_v1_table.hpp"
#include "models/spec/amdvi/page_table.hpp"

using namespace gnomon;
using namespace gnomon::pgtable;

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;

struct Fixture {
  PhysicalMemory memory{64 * mib};
  PageAllocator allocator{memory, Hpa{0x1000}, Hpa{64 * mib}};
  HostTableMemory pages{memory, allocator};
  AmdV1Table<HpaSpace> table{pages};
  std::vector<Hpa> unlinked;

  AmdMapOutcome map(std::uint64_t iova, std::uint64_t hpa, std::uint64_t page_bytes, std::uint64_t count = 1,
                    Permissions permissions = read_write) {
    return table.map(Iova{iova}, Hpa{hpa}, page_bytes, count, permissions, unlinked);
  }
  std::uint64_t entry(Hpa page, unsigned index) { return memory.read<std::uint64_t>(page + index * 8); }
  Hpa below(Hpa page, unsigned index) { return amdvi::decode_page_table_entry(entry(page, index)).addr; }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "AMD v1 table: 4 KiB pages bit by bit") {
  const AmdMapOutcome m = map(0x4020'1000, 0xa'b000, 4 * kib, 2, read_only);
  CHECK(m.status == AmdMapStatus::done);
  CHECK(m.bytes == 8 * kib);
  CHECK(m.leaves == 2);
  CHECK(m.tables_allocated == 2);
  CHECK(m.entries_written == 4);
  CHECK(m.levels_walked == 6);
  CHECK_FALSE(m.root_changed);
  CHECK_FALSE(m.updated);
  CHECK(table.levels() == 3);
  const Hpa directory = below(table.root(), 1);
  const Hpa leaves = below(directory, 1);
  CHECK(entry(table.root(), 1) == (directory.value | 0x6000'0000'0000'0401));
  CHECK(entry(directory, 1) == (leaves.value | 0x6000'0000'0000'0201));
  CHECK(entry(leaves, 1) == 0x3000'0000'000a'b001);
  CHECK(entry(leaves, 2) == 0x3000'0000'000a'c001);
  CHECK(entry(leaves, 3) == 0);
  CHECK(table.lookup(Iova{0x4020'1fff}) == Mapping{Hpa{0xa'bfff}, 4 * kib, read_only});
  CHECK_FALSE(table.lookup(Iova{0x4020'3000}));
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: a 64 KiB page is sixteen equal entries") {
  const AmdMapOutcome m = map(0xfffe'0000, 0x123'0000, 64 * kib);
  CHECK(m.leaves == 1);
  CHECK(m.entries_written == 18);
  const Hpa leaves = below(below(table.root(), 3), 511);
  for (unsigned i = 0x1e0; i != 0x1f0; ++i) CHECK(entry(leaves, i) == 0x7000'0000'0123'7e01);
  CHECK(entry(leaves, 0x1df) == 0);
  CHECK(entry(leaves, 0x1f0) == 0);
  CHECK(table.lookup(Iova{0xfffe'5678}) == Mapping{Hpa{0x123'5678}, 64 * kib, read_write});

  // Asked for one page, it clears the leaf and says how large that was.
  const AmdUnmapOutcome u = table.unmap(Iova{0xfffe'5000}, 4 * kib);
  CHECK(u.bytes == 64 * kib);
  CHECK(u.leaves == 1);
  CHECK(u.entries_written == 16);
  CHECK(u.levels_walked == 3);
  CHECK(u.first == Iova{0xfffe'0000});
  CHECK(u.end == Iova{0xffff'0000});
  for (unsigned i = 0x1e0; i != 0x1f0; ++i) CHECK(entry(leaves, i) == 0);
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: every size there is") {
  for (unsigned shift = 12; shift != 52; ++shift) {
    const std::uint64_t bytes = std::uint64_t{1} << shift;
    const std::uint64_t iova = std::uint64_t{3} << (shift < 40 ? 40 : shift);  // apart from the others
    INFO("2^" << shift);
    Fixture f;
    const AmdMapOutcome m = f.map(iova, bytes, bytes);
    if (shift == 39) {
      CHECK(m.status == AmdMapStatus::unsupported_size);
      continue;
    }
    CHECK(m.status == AmdMapStatus::done);
    CHECK(m.bytes == bytes);
    const auto last = f.table.lookup(Iova{iova + (bytes - 1)});
    CHECK(last == Mapping{Hpa{2 * bytes - 1}, bytes, read_write});
    CHECK_FALSE(f.table.lookup(Iova{iova + bytes}));
    CHECK_FALSE(f.table.lookup(Iova{iova - 1}));
    CHECK(f.table.unmap(Iova{iova}, bytes).bytes == bytes);
    CHECK_FALSE(f.table.lookup(Iova{iova}));
  }
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: the root grows as far as an IOVA needs it") {
  map(0x1000, 0x5000, 4 * kib);
  const Hpa first_root = table.root();
  CHECK_FALSE(map(512 * gib - 4 * kib, 0x6000, 4 * kib).root_changed);
  const AmdMapOutcome m = map(512 * gib, 0x7000, 4 * kib);
  CHECK(m.root_changed);
  CHECK_FALSE(m.updated);
  CHECK(m.tables_allocated == 1 + 3);
  CHECK(table.levels() == 4);
  CHECK(below(table.root(), 0) == first_root);
  CHECK(entry(table.root(), 0) == (first_root.value | 0x6000'0000'0000'0601));
  CHECK(table.lookup(Iova{0x1234})->hpa == Hpa{0x5234});
  CHECK(map(~std::uint64_t{0xfff}, 0x8000, 4 * kib).root_changed);
  CHECK(table.levels() == 6);
  CHECK(table.lookup(Iova{~std::uint64_t{0}})->hpa == Hpa{0x8fff});
  CHECK(table.lookup(Iova{0x1234})->hpa == Hpa{0x5234});
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: a page as large as the root's span grows it too") {
  const AmdMapOutcome m = map(0, 0, std::uint64_t{1} << 40);
  CHECK(m.root_changed);
  CHECK(table.levels() == 4);
  CHECK(m.levels_walked == 1);
  // The old root is the first table below the new one, and in the way.
  CHECK(m.entries_written == 1 + 1 + 2);
  CHECK(m.tables_unlinked == 1);
  CHECK(m.updated);
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: a leaf in place of tables unlinks them") {
  map(2 * mib, 0x10'0000, 4 * kib, 3);
  map(4 * mib, 0x20'0000, 4 * kib);
  table.unmap(Iova{2 * mib}, 12 * kib);
  const std::uint64_t before = allocator.in_use();
  const AmdMapOutcome m = map(0, 0, 4 * mib);  // entries 0 and 1 of the directory
  CHECK(m.updated);
  CHECK(m.tables_unlinked == 1);
  CHECK(m.entries_written == 1 + 2);
  CHECK(unlinked.size() == 1);
  CHECK(allocator.in_use() == before);  // the caller frees them, after the invalidation
  CHECK(table.lookup(Iova{2 * mib})->page_bytes == 4 * mib);
  CHECK(table.lookup(Iova{4 * mib})->hpa == Hpa{0x20'0000});
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: a gigabyte over a subtree unlinks all of it") {
  map(0, 0x10'0000, 4 * kib);
  map(2 * mib, 0x10'0000, 4 * kib);
  const AmdMapOutcome m = map(0, 0, gib);
  CHECK(m.tables_unlinked == 3);
  CHECK(m.updated);
  CHECK(table.lookup(Iova{gib - 1})->page_bytes == gib);
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: a larger leaf gives way to a smaller page, all of its replicas") {
  map(0, 0, 4 * mib);
  const AmdMapOutcome m = map(2 * mib, 0x10'0000, 4 * kib);
  CHECK(m.updated);
  CHECK(m.entries_written == 2 + 1 + 1);
  CHECK_FALSE(table.lookup(Iova{0}));
  CHECK(table.lookup(Iova{2 * mib})->hpa == Hpa{0x10'0000});

  map(8 * mib, 0, 2 * mib);  // next level 0
  CHECK(map(8 * mib, 0x30'0000, 4 * kib).updated);
  CHECK_FALSE(table.lookup(Iova{8 * mib + 4 * kib}));
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: unmap goes leaf by leaf and stops at the first absent entry") {
  map(0, 0x10'0000, 32 * kib);
  map(32 * kib, 0x20'0000, 8 * kib);
  map(40 * kib, 0x30'1000, 4 * kib, 6);
  map(128 * kib, 0x40'0000, 4 * kib);
  const AmdUnmapOutcome u = table.unmap(Iova{0}, 256 * kib);
  CHECK(u.bytes == 64 * kib);
  CHECK(u.leaves == 8);
  CHECK(u.entries_written == 16);
  CHECK(u.levels_walked == 9 * 3);
  CHECK(u.end == Iova{64 * kib});
  CHECK(table.lookup(Iova{128 * kib}));
  const AmdUnmapOutcome none = table.unmap(Iova{512 * gib}, 4 * kib);
  CHECK(none.bytes == 0);
  CHECK(none.first == none.end);
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: what it refuses changes nothing") {
  const std::uint64_t before = allocator.in_use();
  CHECK(map(0, 0, 2 * kib).status == AmdMapStatus::unsupported_size);
  CHECK(map(0, 0, 12 * kib).status == AmdMapStatus::unsupported_size);
  CHECK(map(0, 0, std::uint64_t{1} << 52).status == AmdMapStatus::unsupported_size);
  CHECK(map(4 * kib, 0, 8 * kib).status == AmdMapStatus::misaligned);
  CHECK(map(0, 4 * kib, 8 * kib).status == AmdMapStatus::misaligned);
  CHECK(map(0, (std::uint64_t{1} << 52) - 4 * kib, 4 * kib, 2).status == AmdMapStatus::out_of_range);
  CHECK(map(~std::uint64_t{0xfff}, 0, 4 * kib, 2).status == AmdMapStatus::out_of_range);
  CHECK(map(0, 0, 4 * kib, ~std::uint64_t{0}).status == AmdMapStatus::out_of_range);
  CHECK(map(0, 0, 4 * kib, 1, {}).status == AmdMapStatus::no_permission);
  CHECK(allocator.in_use() == before);
  CHECK(map(0, (std::uint64_t{1} << 52) - 4 * kib, 4 * kib).status == AmdMapStatus::done);
}

TEST_CASE_METHOD(Fixture, "AMD v1 table: release returns every page") {
  map(0, 0x10'0000, 4 * kib);
  map(std::uint64_t{1} << 50, 0x10'0000, 64 * kib);
  CHECK(table.levels() == 5);
  table.release();
  CHECK(allocator.in_use() == 0);
}

TEST_CASE("AMD v1 table: a guest's tables lie in its memory and hold its addresses") {
  PhysicalMemory memory{64 * mib};
  GuestRam ram{memory, Hpa{32 * mib}, 16 * mib, Backing::pages_4k, 7};
  GuestTableMemory pages{ram, Gpa{0x1000}, Gpa{0x8000}};
  AmdV1Table<GpaSpace> table{pages};
  std::vector<Gpa> unlinked;
  CHECK(table.root() == Gpa{0x1000});
  table.map(Iova{0}, Gpa{0x5000}, 4 * kib, 1, read_write, unlinked);
  CHECK(ram.read<std::uint64_t>(Gpa{0x1000}) == 0x6000'0000'0000'2401);
  CHECK(ram.read<std::uint64_t>(Gpa{0x2000}) == 0x6000'0000'0000'3201);
  CHECK(ram.read<std::uint64_t>(Gpa{0x3000}) == 0x7000'0000'0000'5001);
  CHECK(table.lookup(Iova{0x123}) == GuestMapping{Gpa{0x5123}, 4 * kib, read_write});
  CHECK(pages.in_use() == 3);
  table.release();
  CHECK(pages.in_use() == 0);
  // Freed pages come back zeroed; seven there are in all.
  for (int i = 0; i < 7; ++i) CHECK(ram.read<std::uint64_t>(pages.allocate()) == 0);
  CHECK_THROWS_AS(pages.allocate(), std::bad_alloc);
}
