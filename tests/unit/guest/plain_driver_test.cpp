// SPDX-License-Identifier: Apache-2.0
// The drivers without hardware: page table, leaves, flushes counted, and AMD's unmap of 2013.
#include "guest/iommu/plain_driver.hpp"

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/kernel/panic.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::guest {
namespace {

struct Log final : InvalidationTarget {
  void invalidate(FlushBlock block, bool leaf_only) override {
    text += block.whole_domain() ? "all"
                                 : std::to_string(block.base >> page_shift) + "+" +
                                       std::to_string(1ULL << (block.order - page_shift));
    text += leaf_only ? " " : "! ";
  }
  std::string take() { return std::exchange(text, {}); }
  std::string text;
};

constexpr IommuCoreBehaviour linux_3_10{
    .sync_map_can_fail = false, .calls = DriverCalls::whole_range, .sync_map = false, .gather = false};
constexpr IommuCoreBehaviour linux_4_3{
    .sync_map_can_fail = false, .calls = DriverCalls::per_page, .sync_map = false, .gather = false};
constexpr IommuCoreBehaviour linux_6_12{};

struct Machine {
  Log log;
  trace::Tracer tracer;
  test::SoloProcessor processor;
  const GuestCosts costs;
  Cpu cpu{processor, costs, {}, tracer};
};

template <class Driver>
struct Bench : Machine {
  template <class... Args>
  explicit Bench(const IommuCoreBehaviour& core, Args&&... args)
      : driver(std::forward<Args>(args)...), domain(driver, core) {}
  void map(std::uint64_t iova_page, std::uint64_t gpa_page, std::uint64_t pages) {
    REQUIRE(domain.map(cpu, Iova::from_page(iova_page), Gpa::from_page(gpa_page), pages * page_size, {}).error ==
            0);
  }
  std::uint64_t unmap(std::uint64_t iova_page, std::uint64_t pages) {
    return domain.unmap(cpu, Iova::from_page(iova_page), pages * page_size) / page_size;
  }
  Driver driver;
  IommuDomain domain;
};

struct Plain : Bench<PlainDriver> {
  explicit Plain(PlainDriverOptions options, const char* policy = "generic", bool caching = false,
                 const IommuCoreBehaviour& core = linux_6_12)
      : Bench(core, with(options, caching), *find_flush_policy(policy), log) {}
  static PlainDriverOptions with(PlainDriverOptions options, bool caching) {
    options.unit.caches_non_present = caching;
    return options;
  }
};

TEST_CASE("page table: leaves of every size, replicated between levels", "[plain_driver]") {
  PlainPageTable table(6);
  FreelistHandle replaced;
  CHECK(table.map(Iova{0}, Gpa{0x10'0000}, 12, {}, replaced).entries == 1);
  CHECK(table.map(Iova{0x1'0000}, Gpa{0x20'0000}, 16, {true, false}, replaced).entries == 16);
  CHECK(table.map(Iova{0x20'0000}, Gpa{0x4000'0000}, 21, {}, replaced).entries == 1);
  CHECK(table.map(Iova{1ULL << 40}, Gpa{0}, 40, {}, replaced).entries == 2);
  CHECK(table.map(Iova{1ULL << 63}, Gpa{0}, 63, {}, replaced).entries == 64);
  const auto leaf = table.find(Iova{0x1'7123});
  REQUIRE(leaf);
  CHECK(leaf->start == Iova{0x1'0000});
  CHECK(leaf->target == Gpa{0x20'0000});
  CHECK(leaf->bytes == 0x1'0000);
  CHECK(leaf->access == DmaAccess{true, false});
  CHECK_FALSE(table.find(Iova{0x1000}));
  CHECK_FALSE(table.find(Iova{0x2'0000}));
  CHECK(table.find(Iova{~0ULL})->bytes == 1ULL << 63);
  CHECK(table.mapped_bytes() == 0x1000 + 0x1'0000 + 0x20'0000 + (1ULL << 40) + (1ULL << 63));
  const auto step = table.unmap(Iova{0x1'8000});
  CHECK(step.start == Iova{0x1'0000});
  CHECK(step.bytes == 0x1'0000);
  CHECK(step.entries == 16);
  CHECK_FALSE(table.find(Iova{0x1'0000}));
  CHECK(table.unmap(Iova{0x1'0000}).bytes == 0);
}

TEST_CASE("page table: what is mapped stays, what is beyond is refused", "[plain_driver]") {
  PlainPageTable table(2);
  FreelistHandle replaced;
  REQUIRE(table.map(Iova{0x1000}, Gpa{0x5000}, 12, {}, replaced).error == 0);
  CHECK(table.map(Iova{0x1000}, Gpa{0x6000}, 12, {}, replaced).error == EEXIST);
  CHECK(table.map(Iova{0}, Gpa{0}, 14, {}, replaced).error == EEXIST);
  CHECK(table.map(Iova{0}, Gpa{0}, 21, {}, replaced).error == EEXIST);
  REQUIRE(table.map(Iova{0x20'0000}, Gpa{0}, 21, {}, replaced).error == 0);
  CHECK(table.map(Iova{0x20'3000}, Gpa{0}, 12, {}, replaced).error == EEXIST);
  CHECK(table.map(Iova{1ULL << 30}, Gpa{0}, 12, {}, replaced).error == ERANGE);
  CHECK(table.map(Iova{0}, Gpa{0}, 30, {}, replaced).error == ERANGE);
  CHECK_FALSE(table.find(Iova{1ULL << 30}));
  CHECK(table.unmap(Iova{1ULL << 30}).bytes == 0);
  CHECK(table.find(Iova{0x1000})->target == Gpa{0x5000});
  CHECK_THROWS_AS(PlainPageTable(0), std::invalid_argument);
  CHECK_THROWS_AS(PlainPageTable(7), std::invalid_argument);
}

TEST_CASE("page table: tables leave by freelists, and come back", "[plain_driver]") {
  PlainPageTable table(4);
  FreelistHandle freelist;
  for (std::uint64_t page : {0u, 512u, 1024u}) {
    REQUIRE(table.map(Iova::from_page(page), Gpa{0}, 12, {}, freelist).error == 0);
  }
  CHECK(table.tables() == 6);  // the root, two below, three of leaves
  table.unmap(Iova::from_page(512));
  table.detach_tables(Iova{0}, Iova::from_page(1024) - 1, freelist);
  REQUIRE_FALSE(freelist.empty());  // that of 512: the first still holds a leaf
  FreelistHandle more;
  table.unmap(Iova{0});
  table.detach_tables(Iova{0}, Iova::from_page(511), more);
  CHECK(more.empty());  // the last page is outside
  table.detach_tables(Iova{0}, Iova::from_page(512) - 1, more);
  table.join(more, freelist);
  CHECK(table.tables() == 6);
  CHECK(table.free_tables(more) == 2);
  CHECK(table.tables() == 4);
  FreelistHandle replaced;
  table.unmap(Iova::from_page(1024));
  REQUIRE(table.map(Iova::from_page(1024), Gpa{0}, 21, {}, replaced).error == 0);
  CHECK(table.free_tables(replaced) == 1);  // the leaf took its place
  REQUIRE(table.map(Iova{0}, Gpa{0x7000}, 12, {}, replaced).error == 0);
  CHECK(table.find(Iova{0})->target == Gpa{0x7000});
  CHECK_FALSE(table.find(Iova{0x1000}));  // a table comes back empty
}

struct UnmapRow {
  const char* what;
  PlainDriverOptions options;
  IommuCoreBehaviour core;
  std::uint64_t page, pages;
  std::uint64_t calls, syncs, blocks;
};

TEST_CASE("what an unmap costs by driver and kernel", "[plain_driver]") {
  const auto row = GENERATE(values<UnmapRow>({
      {"15 pages, VT-d that claims all sizes", plain_vtd_claims_all, linux_4_3, 0x200, 15, 4, 4, 4},
      {"36 KiB, likewise", plain_vtd_claims_all, linux_4_3, 0x100, 9, 2, 2, 2},
      {"15 pages, VT-d since", plain_vtd, linux_6_12, 0x200, 15, 1, 1, 1},
      {"2 MiB and 64 KiB, VT-d to 6.12", plain_vtd, linux_6_12, 512, 528, 2, 2, 2},
      {"15 pages, AMD v1", plain_amd_v1, linux_6_12, 0x200, 15, 4, 4, 4},
      {"16 pages, 4 KiB only, page by page", plain_4k, linux_4_3, 0x200, 16, 16, 16, 16},
      {"16 pages, 4 KiB only, counted", plain_4k, linux_6_12, 0x200, 16, 1, 1, 1},
  }));
  INFO(row.what);
  Plain b(row.options, "generic", false, row.core);
  b.map(row.page, row.page, row.pages);
  const auto before = b.driver.counts();
  CHECK(b.unmap(row.page, row.pages) == row.pages);
  const auto& after = b.driver.counts();
  CHECK(after.unmap_calls - before.unmap_calls == row.calls);
  CHECK(after.syncs - before.syncs == row.syncs);
  CHECK(after.blocks - before.blocks == row.blocks);
  CHECK(b.driver.table().mapped_bytes() == 0);
}

TEST_CASE("claimed sizes are made of the leaves there are", "[plain_driver]") {
  Plain vtd(plain_vtd_claims_all), amd(plain_amd_v1);
  vtd.map(16, 16, 16);
  amd.map(16, 16, 16);
  CHECK(vtd.driver.counts().map_calls == 1);
  CHECK(vtd.driver.counts().entries_written == 16);
  CHECK(vtd.driver.table().find(Iova::from_page(17))->bytes == page_size);
  CHECK(amd.driver.counts().entries_written == 16);
  CHECK(amd.driver.table().find(Iova::from_page(17))->bytes == 16 * page_size);
  vtd.map(512, 1024, 1024);  // one claimed page of 4 MiB
  CHECK(vtd.driver.counts().map_calls == 2);
  CHECK(vtd.driver.table().find(Iova::from_page(700))->bytes == 512 * page_size);
}

TEST_CASE("the software walk ends in a leaf, at the address's place in it", "[plain_driver]") {
  Plain b(plain_vtd);
  b.map(512, 1024, 512);
  CHECK(b.driver.iova_to_phys(Iova::from_page(700) + 0x123) == Gpa::from_page(1024 + 188) + 0x123);
  CHECK_FALSE(b.driver.iova_to_phys(Iova::from_page(1024)));
}

TEST_CASE("holes: VT-d goes on, AMD stops", "[plain_driver]") {
  Plain vtd(plain_vtd), amd(plain_amd_v1);
  for (auto* b : {&vtd, &amd}) {
    b->map(16, 16, 1);
    b->map(18, 18, 1);
  }
  CHECK(vtd.unmap(16, 4) == 4);
  CHECK(vtd.driver.table().mapped_bytes() == 0);
  CHECK(amd.unmap(16, 4) == 1);
  CHECK(amd.driver.table().mapped_bytes() == page_size);
}

TEST_CASE("a part of a large leaf takes all of it along, and all of it is flushed", "[plain_driver]") {
  Plain b(plain_vtd);
  b.map(512, 512, 512);
  CHECK(b.unmap(600, 1) == 512);
  CHECK(b.log.take() == "512+512 ");
  CHECK(b.driver.table().mapped_bytes() == 0);
}

TEST_CASE("a map is flushed where non-present entries are cached", "[plain_driver]") {
  Plain bare(plain_4k, "natural-split"), caching(plain_4k, "natural-split", true);
  bare.map(1, 1, 7);
  CHECK(bare.log.take().empty());
  caching.map(1, 1, 7);
  CHECK(caching.log.take() == "1+1 2+2 4+4 ");
  caching.unmap(1, 7);
  CHECK(caching.log.take() == "1+1 2+2 4+4 ");
}

TEST_CASE("an unmap of a table's whole span flushes non-leaf entries, then frees it", "[plain_driver]") {
  Plain b(plain_vtd);
  b.map(512, 515, 512);  // 4 KiB leaves
  const auto tables = b.driver.table().tables();
  CHECK(b.unmap(512, 511) == 511);
  CHECK(b.log.take() == "512+512 ");
  CHECK(b.driver.table().tables() == tables);
  b.map(512, 515, 511);
  b.log.take();
  CHECK(b.unmap(512, 512) == 512);
  CHECK(b.log.take() == "512+512! ");
  CHECK(b.driver.table().tables() == tables - 1);
}

TEST_CASE("deferred: tables wait on the gather for the queue's flush", "[plain_driver]") {
  Plain b(plain_vtd);
  b.map(512, 515, 512);
  const auto tables = b.driver.table().tables();
  IotlbGather gather;
  gather.queued = true;
  REQUIRE(b.domain.unmap_fast(b.cpu, Iova::from_page(512), 512 * page_size, gather) == 512 * page_size);
  CHECK(b.log.take().empty());
  REQUIRE_FALSE(gather.freelist.empty());
  CHECK(b.driver.table().tables() == tables);
  b.domain.flush_all(b.cpu);
  b.driver.free_tables(b.cpu, gather.freelist);
  CHECK(b.log.take() == "all! ");
  CHECK(b.driver.table().tables() == tables - 1);
}

TEST_CASE("an early sync does not free the tables of what comes after it", "[plain_driver]") {
  Plain b(plain_vtd);
  b.map(0, 3, 16);
  b.map(512, 515, 512);
  b.log.take();
  IotlbGather gather;
  REQUIRE(b.domain.unmap_fast(b.cpu, Iova{0}, 16 * page_size, gather) == 16 * page_size);
  REQUIRE(b.domain.unmap_fast(b.cpu, Iova::from_page(512), 512 * page_size, gather) == 512 * page_size);
  CHECK(b.log.take() == "0+16 ");  // leaves only
  CHECK_FALSE(gather.freelist.empty());
  b.domain.iotlb_sync(b.cpu, gather);
  CHECK(b.log.take() == "512+512! ");
  CHECK(b.driver.counts().early_syncs == 1);
}

TEST_CASE("leaf by leaf, as ARM: sizes that differ are syncs of their own", "[plain_driver]") {
  PlainDriverOptions options;
  options.gathers_leaves = true;
  Plain b(options);
  b.map(512, 512, 528);
  b.unmap(512, 528);
  CHECK(b.driver.counts().early_syncs == 1);
  CHECK(b.log.take() == "512+512 1024+16 ");
}

TEST_CASE("a large leaf in the place of an empty table flushes before the table is reused", "[plain_driver]") {
  Plain b(plain_amd_v1);
  b.map(513, 513, 1);
  b.unmap(513, 1);
  b.log.take();
  const auto tables = b.driver.table().tables();
  b.map(512, 512, 512);
  CHECK(b.log.take() == "all! ");
  CHECK(b.driver.table().tables() == tables - 1);
}

TEST_CASE("what it costs: entries, commands, one wait a sync", "[plain_driver]") {
  Plain b(plain_4k, "natural-split", true);
  b.map(0, 0, 1);  // the tables
  const PlainDriverCosts c;
  Time began = b.cpu.now();
  b.map(1, 1, 7);
  CHECK(b.cpu.now() - began == b.costs.iommu_call + 7 * c.entry + 3 * c.flush + c.flush_wait);
  began = b.cpu.now();
  b.unmap(1, 7);
  CHECK(b.cpu.now() - began == b.costs.iommu_call + 7 * c.entry + 3 * c.flush + c.flush_wait);
}

struct Amd : Bench<Amd2013Driver> {
  explicit Amd(const IommuCoreBehaviour& core) : Bench(core, log) {}
};

TEST_CASE("AMD in 2013: 36 KiB are two calls and two flushes of the domain", "[plain_driver]") {
  Amd b(linux_4_3);
  b.map(0x100, 0x100, 9);
  CHECK(b.log.take().empty());
  CHECK(b.unmap(0x100, 9) == 9);
  CHECK(b.log.take() == "all! all! ");
  CHECK(b.driver.counts().unmap_calls == 2);
  b.map(0x200, 0x200, 15);
  CHECK(b.unmap(0x200, 15) == 15);
  CHECK(b.log.take() == "all! all! all! all! ");
}

TEST_CASE("AMD in 3.10: an unmap that is no power of two panics", "[plain_driver]") {
  Amd b(linux_3_10);
  b.map(0x100, 0x100, 9);
  CHECK_THROWS_WITH(b.unmap(0x100, 9), Catch::Contains("kernel BUG at drivers/iommu/amd_iommu.c") &&
                                           Catch::Contains("is_power_of_2(page_size)"));
  Amd fine(linux_3_10);
  fine.map(0x100, 0x100, 8);
  CHECK(fine.unmap(0x100, 8) == 8);
  CHECK(fine.log.take() == "all! ");
}

TEST_CASE("AMD in 2013: a hole counts as unmapped, 4 KiB by 4 KiB", "[plain_driver]") {
  Amd b(linux_4_3);
  b.map(0x100, 0x100, 1);
  b.map(0x103, 0x103, 1);
  CHECK(b.unmap(0x100, 4) == 4);
  CHECK(b.driver.table().mapped_bytes() == 0);
  CHECK(b.unmap(0x100, 4) == 4);  // nothing there at all
}

TEST_CASE("AMD in 2013: a hole and a large leaf that add up to no power of two panic", "[plain_driver]") {
  Amd b(linux_4_3);
  b.map(0x110, 0x110, 16);
  IotlbGather gather;
  CHECK_THROWS_AS(b.driver.unmap_pages(b.cpu, Iova::from_page(0x10e), {4 * page_size, 1}, gather), GuestPanic);
}

}  // namespace
}  // namespace gnomon::guest
