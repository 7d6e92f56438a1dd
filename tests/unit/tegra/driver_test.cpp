// SPDX-License-Identifier: Apache-2.0
// The Tegra SMMU's driver, register write by register write, under every way to flush.
#include <catch2/catch.hpp>
#include <cerrno>
#include <tuple>

#include "tests/support/tegra_bench.hpp"

namespace gnomon::guest {
namespace {

using namespace tegra;
using test::of_kind;
using Bench = test::TegraBench;
using Access = Bench::Access;
using Accesses = std::vector<Access>;

constexpr Access w(std::uint32_t offset, std::uint32_t value) {
  return {true, offset, value};
}
constexpr Access r(std::uint32_t offset, std::uint32_t value) {
  return {false, offset, value};
}

/// 64 KiB at pages 0xfffe0 to 0xfffef, in two runs.
const std::vector<Run> reference_buffer{{Gpa::from_page(0x1000), 10 * page_size},
                                        {Gpa::from_page(0x2003), 6 * page_size}};
constexpr std::uint64_t first_page = 0xfffe0;

/// Booted, with a table for the last 4 MiB that a page of somebody else keeps alive, and nothing recorded yet.
struct Ready : Bench {
  explicit Ready(TegraFlush flush, const Soc& soc = tegra210, TegraDriverFaults faults = {})
      : Bench(flush, soc, faults) {
    boot();
    REQUIRE(map(0xffc00, 0x7000, 1) == 0);
    domain.flush_all(cpu);
    lands(0xffc00);
    forget();
  }
  std::uint32_t table() {
    return static_cast<std::uint32_t>(tegra().table_of(Iova::from_page(first_page))->page().value);
  }
  /// The flush of the line of `page`'s entry from the page-table cache.
  Accesses ptc(std::uint64_t page) {
    const std::uint32_t atom = unit.soc().atom_bytes;
    const auto address = table() + static_cast<std::uint32_t>(page % 1024 * 4 / atom * atom);
    Accesses a;
    if (unit.soc().has_ptc_flush_hi()) a.push_back(w(reg::ptc_flush_hi, 0));
    a.push_back(w(reg::ptc_flush, address | 1));
    return a;
  }
};
void append(Accesses& to, const Accesses& more) {
  to.insert(to.end(), more.begin(), more.end());
}

TEST_CASE("probe sets the caches up, empties them, switches on") {
  Bench b;
  b.instance.probe(b.cpu);
  CHECK(b.accesses ==
        Accesses{w(0x18, 0x2800'003f), w(0x14, 0x3000'0030), w(0x34, 0), w(0x30, 0), w(0x10, 1), r(0x1c, 0)});
  Bench old{TegraFlush::before, tegra30};
  old.instance.probe(old.cpu);
  CHECK(old.accesses[0] == w(0x18, 0x2000'003f));
  CHECK(old.accesses[1] == w(0x14, 0x2000'0010));
}

TEST_CASE("attach gives the address space its directory, the group the address space, and switches clients on") {
  Bench b;
  b.instance.probe(b.cpu);
  b.forget();
  REQUIRE(b.instance.attach(b.cpu, *b.driver, Bench::head) == 0);
  const auto page = static_cast<std::uint32_t>(b.tegra().directory().value);
  CHECK(b.accesses == Accesses{w(0x9b8, 0), w(0x34, page | 1), w(0x30, 0x8000'0000), w(0x1c, 0),
                               w(0x20, 0xe000'0000 | page >> 12), r(0x1c, 0), r(0x240, 0), w(0x240, 0x8000'0000),
                               r(0x228, 0), w(0x228, 0x2), r(0x228, 0x2), w(0x228, 0xa), r(0x228, 0xa),
                               w(0x228, 0x2a), r(0x228, 0x2a), w(0x228, 0x1'002a)});
  CHECK(b.maintained().lines_cleaned == 64);
  CHECK(b.instance.attach(b.cpu, *b.driver, SourceId{0x7e}) == ENODEV);
  auto last = b.instance.make_domain(b.cpu, 128);
  CHECK(b.instance.attach(b.cpu, *last, Bench::other_head) == 0);
  CHECK(b.unit.read(0x244, 4) == 0x8000'007f);
  auto beyond = b.instance.make_domain(b.cpu, 129);
  CHECK(b.instance.attach(b.cpu, *beyond, Bench::other_head) == ENOSPC);
}

TEST_CASE("before: sixteen times a clean of one line, a PTC flush, a TLB flush of the group, a read back") {
  const Soc* soc = GENERATE(&tegra30, &tegra114, &tegra124, &tegra132, &tegra210);
  Ready b{TegraFlush::before, *soc};
  Accesses expected;
  for (std::uint64_t page = first_page; page < first_page + 16; ++page) {
    append(expected, b.ptc(page));
    append(expected, {w(reg::tlb_flush, encode(TlbFlush{TlbMatch::group, true, 0, Iova::from_page(page)}, *soc)),
                      r(reg::ptb_asid, 0)});
  }
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.accesses == expected);
  CHECK(b.maintained().lines_cleaned == 16);
  CHECK(b.maintained().barriers == 16);
  CHECK(b.lands(0xfffe9) == 0x1009);
  CHECK(b.lands(0xfffea) == 0x2003);
  CHECK(b.lands(0xffff0) == std::nullopt);

  b.forget();
  CHECK(b.unmap(first_page, 16) == 16);
  CHECK(b.accesses == expected);
  CHECK(b.maintained().lines_cleaned == 16);
  CHECK(b.lands(0xfffe9) == std::nullopt);
}

TEST_CASE("range: sixteen stores, one line cleaned, one PTC flush, four groups, one read back") {
  const auto flush = GENERATE(TegraFlush::range, TegraFlush::one_callback);
  Ready b{flush};
  Accesses expected = b.ptc(first_page);
  for (std::uint64_t group = first_page; group < first_page + 16; group += 4) {
    append(expected,
           {w(reg::tlb_flush, encode(TlbFlush{TlbMatch::group, true, 0, Iova::from_page(group)}, tegra210))});
  }
  expected.push_back(r(reg::ptb_asid, 0));
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.accesses == expected);
  CHECK(b.maintained().lines_cleaned == 1);
  CHECK(b.maintained().barriers == 1);
  CHECK(b.maintained().register_reads == 1);
  CHECK(of_kind<trace::MappingAdded>(b.recorder.events).size() == 16);
  b.forget();
  CHECK(b.unmap(first_page, 16) == 16);
  CHECK(b.accesses == expected);
  CHECK(b.maintained().lines_cleaned == 1);
}

TEST_CASE("range: as many PTC flushes as the SoC's atoms need") {
  const auto [soc, atoms, lines] = GENERATE(
      table<const Soc*, std::uint32_t, std::uint32_t>({{&tegra30, 4, 2}, {&tegra114, 2, 1}, {&tegra210, 1, 1}}));
  Ready b{TegraFlush::range, *soc};
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  const unsigned each = soc->has_ptc_flush_hi() ? 2 : 1;
  CHECK(b.maintained().register_writes == atoms * each + 4);
  CHECK(b.maintained().lines_cleaned == lines);
}

TEST_CASE("walk in flush, and two callbacks: a map leaves the TLB alone, an unmap does not") {
  const auto flush = GENERATE(TegraFlush::walk_in_flush, TegraFlush::map_sync_unmap_sync);
  Ready b{flush};
  Accesses expected = b.ptc(first_page);
  expected.push_back(r(reg::ptb_asid, 0));
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.accesses == expected);
  b.lands(first_page);
  b.forget();
  CHECK(b.unmap(first_page, 16) == 16);
  CHECK(b.maintained().register_writes == 2 + 4);
  CHECK(b.lands(first_page) == std::nullopt);
}

TEST_CASE("walk in flush flushes the groups in which it finds an absent entry") {
  Ready b{TegraFlush::walk_in_flush};
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.unmap(first_page + 5, 1) == 1);
  b.forget();
  IotlbGather gather;  // a range around the hole
  gather.add_range(Iova::from_page(first_page), 16 * page_size);
  b.driver->iotlb_sync(b.cpu, gather);
  const auto requests = of_kind<trace::GuestRequest>(b.recorder.events);
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].second.iova == (first_page + 4) << 12);
  CHECK(requests[0].second.bytes == group_bytes);
}

TEST_CASE("unsynchronised: nothing until the caller flushes, then each line once") {
  Ready b{TegraFlush::unsynchronised};
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  REQUIRE(b.map(0xffe00, 0x3000, 3) == 0);
  CHECK(b.accesses.empty());
  CHECK(b.lands(first_page) == std::nullopt);  // in the CPU's cache still
  b.domain.flush_all(b.cpu);
  CHECK(b.maintained().lines_cleaned == 2);
  CHECK(b.maintained().register_writes == 2 * 2 + 8);
  CHECK(b.maintained().register_reads == 1);
  CHECK(b.lands(first_page) == 0x1000);
  CHECK(b.lands(0xffe02) == 0x3002);
  b.forget();
  CHECK(b.unmap(0xffe00, 3) == 3);
  CHECK(b.lands(0xffe02) == 0x3002);
  b.domain.flush_all(b.cpu);
  CHECK(b.lands(0xffe02) == std::nullopt);
  b.forget();
  b.domain.flush_all(b.cpu);
  CHECK(b.accesses.empty());
}

TEST_CASE("coherent: a map is a barrier, an unmap a TLB flush; nothing is cleaned") {
  Ready b{TegraFlush::coherent};
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.accesses.empty());
  CHECK(b.maintained().barriers == 1);
  CHECK(b.lands(first_page) == 0x1000);
  CHECK(b.unmap(first_page, 16) == 16);
  CHECK(b.maintained().lines_cleaned == 0);
  CHECK(b.accesses.size() == 4 + 1);
  CHECK(b.lands(first_page) == std::nullopt);
}

TEST_CASE("a whole section is flushed as one") {
  Bench b{TegraFlush::range};
  b.boot();
  REQUIRE(b.map(0x400, 0x3000, 2 * 1024 + 4) == 0);  // two sections and a group
  std::vector<std::uint64_t> covered;
  for (const auto& [at, request] : of_kind<trace::GuestRequest>(b.recorder.events))
    covered.push_back(request.bytes);
  // Three directory entries as their tables are made, then the flush of the range.
  CHECK(covered == std::vector<std::uint64_t>{section_bytes, section_bytes, section_bytes, section_bytes,
                                              section_bytes, group_bytes});
  CHECK(b.maintained().register_reads == 4);
}

TEST_CASE("a table: cleaned whole, its directory entry flushed; freed with its last page") {
  Bench b;
  b.boot();
  const auto directory = static_cast<std::uint32_t>(b.tegra().directory().value);
  REQUIRE(b.map(0x10, 0x3000, 1) == 0);
  const Gpa page = b.tegra().table_of(Iova::from_page(0x10))->page();
  CHECK(b.bytes.read<std::uint32_t>(Hpa{directory}) == (0xf000'0000u | page.page()));
  CHECK(b.bytes.read<std::uint32_t>(Hpa{page.value + 0x40}) == 0xe000'3000u);
  CHECK(b.maintained().lines_cleaned == 64 + 1 + 1);
  CHECK(Accesses(b.accesses.begin(), b.accesses.begin() + 4) ==
        Accesses{w(0x9b8, 0), w(0x34, directory | 1), w(0x30, 0x8000'0002), r(0x1c, 0)});
  REQUIRE(b.map(0x11, 0x3001, 1) == 0);
  CHECK(b.unmap(0x10, 1) == 1);
  CHECK(b.tegra().table_of(Iova::from_page(0x10)) != nullptr);
  b.forget();
  CHECK(b.unmap(0x11, 1) == 1);
  CHECK(b.accesses.size() == 8);  // the entry's four and the directory's
  CHECK(b.tegra().table_of(Iova::from_page(0x10)) == nullptr);
  CHECK(b.bytes.read<std::uint32_t>(Hpa{directory}) == 0);
  REQUIRE(b.map(0x800, 0x3000, 1) == 0);
  CHECK(b.tegra().table_of(Iova::from_page(0x800))->page() == page);
}

TEST_CASE("a page mapped again keeps its use; a hole ends an unmap; what cannot be addressed is refused") {
  Bench b{TegraFlush::range};
  b.boot();
  REQUIRE(b.map(0x10, 0x3000, 2) == 0);
  REQUIRE(b.map(0x10, 0x4000, 1) == 0);
  CHECK(b.driver->iova_to_phys(Iova{0x10'123}) == Gpa{0x4000'123});
  CHECK(b.driver->iova_to_phys(Iova{0x12'000}) == std::nullopt);
  CHECK(b.driver->iova_to_phys(Iova{std::uint64_t{1} << 32}) == std::nullopt);
  CHECK(b.unmap(0x10, 5) == 2);
  CHECK(b.tegra().table_of(Iova::from_page(0x10)) == nullptr);
  CHECK(b.unmap(0x10, 1) == 0);
  CHECK(b.map(0x100000, 0x3000, 1) == EINVAL);
  CHECK(b.map(0x10, 0x40'0000, 1) == EINVAL);
  CHECK(b.map(0xfffff, 0x3000, 2) == EINVAL);
  CHECK(b.lands(0xfffff) == std::nullopt);  // undone
}

TEST_CASE("without memory for a table a map fails and is undone") {
  Bench b{TegraFlush::range};
  b.boot();
  REQUIRE(b.map(0x3ff, 0x3000, 1) == 0);
  while (true) {
    try {
      b.memory.allocate();
    } catch (const std::bad_alloc&) {
      break;
    }
  }
  CHECK(b.map(0x3fe, 0x3000, 3) == ENOMEM);
  CHECK(b.lands(0x3fe) == std::nullopt);
}

// ---- planted bugs: each is seen by the device ----
TEST_CASE("a clean left out: the device sees what was there before") {
  const auto flush = GENERATE(TegraFlush::before, TegraFlush::range);
  TegraDriverFaults faults;
  faults.skip_clean = true;
  Ready b{flush, tegra210, faults};
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.lands(first_page) == std::nullopt);
  CHECK(b.driver->iova_to_phys(Iova::from_page(first_page)) == Gpa::from_page(0x1000));
}

TEST_CASE("a PTC flush left out: an atom that was cached stays") {
  const auto flush = GENERATE(TegraFlush::before, TegraFlush::map_sync_unmap_sync);
  TegraDriverFaults faults;
  faults.skip_ptc_flush = true;
  Ready b{flush, tegra210, faults};
  CHECK(b.lands(first_page) == std::nullopt);  // and now the atom is held
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.lands(first_page) == std::nullopt);
}

TEST_CASE("a TLB flush left out: an unmapped page is still reached") {
  const auto flush = GENERATE(TegraFlush::before, TegraFlush::range, TegraFlush::coherent);
  TegraDriverFaults faults;
  faults.skip_tlb_flush = true;
  Ready b{flush, tegra210, faults};
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  CHECK(b.lands(first_page) == 0x1000);
  CHECK(b.unmap(first_page, 16) == 16);
  CHECK(b.lands(first_page) == 0x1000);
}

TEST_CASE("a directory entry neither cleaned nor flushed: a freed table is still walked") {
  TegraDriverFaults faults;
  faults.skip_directory_flush = true;
  Bench b{TegraFlush::before, tegra210, faults};
  b.boot();
  REQUIRE(b.map(0x10, 0x3000, 1) == 0);
  CHECK(b.lands(0x10) == std::nullopt);
}

TEST_CASE("a freed table's entries left in the page-table cache come back with the page's next use") {
  for (const bool faulty : {false, true}) {
    TegraDriverFaults faults;
    faults.skip_freed_table = faulty;
    Bench b{TegraFlush::range, tegra210, faults};
    b.boot();
    REQUIRE(b.map(0x10, 0x3000, 1) == 0);
    CHECK(b.lands(0x10) == 0x3000);
    CHECK(b.unmap(0x10, 1) == 1);
    CHECK(b.lands(0x10) == std::nullopt);
    REQUIRE(b.map(0x1000 + 0x200, 0x5000, 1) == 0);  // the same page is the table of another section
    CHECK(b.lands(0x1000 + 0x10) == (faulty ? std::optional<std::uint64_t>(0x3000) : std::nullopt));
  }
}

TEST_CASE("time: every class as many times as the operations say, and nothing else beside the table work") {
  Ready b{TegraFlush::before};
  const Time began = b.cpu.now();
  REQUIRE(b.map(first_page, reference_buffer) == 0);
  const Time took = b.cpu.now() - began;
  const TegraSmmuCosts costs;
  const auto sum = b.maintained();
  CHECK(sum.tlb_ps == (costs.register_write * (16 * 3)).ps());
  CHECK(sum.cache_ps == (costs.clean_line * 16).ps());
  CHECK(sum.barrier_ps == (costs.barrier * 16).ps());
  CHECK(sum.read_back_ps == (costs.register_read * 16).ps());
  const Time rest = (b.costs.iommu_call + costs.page + costs.entry_store) * 16 + b.costs.scatter_element * 2;
  CHECK(took.ps() == sum.tlb_ps + sum.cache_ps + sum.barrier_ps + sum.read_back_ps + rest.ps());
}

}  // namespace
}  // namespace gnomon::guest
