// SPDX-License-Identifier: Apache-2.0
// What each mode of a PASID table entry makes of an address, and how many reads it takes.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/scalable_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::scalable_config;
using test::ScalableHost;
using Kind = Translation::Kind;
using Pgtt = ScalableHost::Pgtt;
using pgtable::read_write;
using pgtable::size_1g;
using pgtable::size_2m;
using pgtable::size_4k;

namespace {

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t gib = 1 << 30;

IommuConfig without_walk_caches() {
  IommuConfig config = scalable_config();
  config.walk_cache_entries = {0, 0, 0, 0};
  return config;
}
/// Guest memory [0, 2 GiB) at 1 GiB in the host, in leaves of `size`.
void back(ScalableHost& h, pgtable::PageSizes size, std::uint64_t bytes = 2 * gib) {
  h.second.map(Iova{0}, Hpa{gib}, bytes, read_write, size, h.unlinked);
}
std::uint64_t first_entry(const ScalableHost& h, Hpa table, std::uint64_t iova, unsigned level) {
  return h.memory.read<std::uint64_t>(table + vtd::table_index(Iova{iova}, level) * 8u);
}

}  // namespace

TEST_CASE("a cold scalable request reads root, context, PASID directory and PASID table") {
  ScalableHost h;
  h.use(Pgtt::second_stage);
  back(h, size_4k, mib);
  Translation t = h.read(0x1234);
  CHECK(t.kind == Kind::translated);
  CHECK(t.hpa == Hpa{gib + 0x1234});
  CHECK(t.bytes == 0x1000 - 0x234);
  CHECK(t.domain == ScalableHost::domain);
  CHECK(t.context_reads == 4);
  CHECK_FALSE(t.context_hit);
  CHECK(t.walk_reads == 4);
  CHECK(t.walk_level == 4);
  t = h.write(0x1000);
  CHECK(t.context_hit);
  CHECK(t.iotlb_hit);
  CHECK(t.context_reads + t.walk_reads + t.walk_writes == 0);
  t = h.read(0x2000);
  CHECK(t.walk_reads == 1);
  CHECK(t.walk_level == 1);
}

TEST_CASE("first stage alone: a read a level, one warm") {
  ScalableHost h;
  h.use(Pgtt::first_stage);
  h.first.map(Iova{0x7f00'0000'0000}, Hpa{gib}, mib, read_write, size_4k, h.unlinked);
  Translation t = h.write(0x7f00'0000'0010);
  CHECK(t.hpa == Hpa{gib + 0x10});
  CHECK(t.walk_reads == 4);
  CHECK(t.walk_writes == 0);  // preset, as Linux does
  t = h.read(0x7f00'0000'1000);
  CHECK(t.walk_reads == 1);
  CHECK(t.walk_level == 1);
  CHECK(h.read(0x7f00'0000'1000).iotlb_hit);
}

TEST_CASE("first stage of five levels, upper half of the address space") {
  IommuConfig config = scalable_config();
  config.first_stage_5_levels = true;
  ScalableHost h(config);
  pgtable::FirstLevelTable five(h.memory, h.allocator, 5);
  five.map(Iova{0x00fe'0000'0000'0000}, Hpa{gib}, 0x1000, read_write, size_4k, h.unlinked);
  h.entry.fspm = 1;
  h.use(Pgtt::first_stage);
  h.entry.fsptptr = five.root().value;
  h.write_entry(h.entry);
  CHECK(h.read(0x00fe'0000'0000'0004).hpa == Hpa{gib + 4});
  // The root's upper half is the kernel's: reached by sign extension.
  h.memory.write(five.root() + 511 * 8u, h.memory.read<std::uint64_t>(five.root() + 254 * 8u));
  CHECK(h.read(0xffff'0000'0000'0000).walk_reads == 5);
}

TEST_CASE("nested, cold: 24 reads for four levels of four, with or without caches") {
  SECTION("no paging-structure caches") {
    ScalableHost h(without_walk_caches());
    back(h, size_4k, mib);
    h.guest.map(Iova{0x5000}, Gpa{0x9000}, 0x1000, read_write, size_4k, h.guest_unlinked);
    h.use(Pgtt::nested);
    const Translation t = h.write(0x5678);
    CHECK(t.hpa == Hpa{gib + 0x9678});
    CHECK(t.walk_reads == 24);
    CHECK(t.walk_level == 4);
  }
  SECTION("caches, but every table in a region of its own") {
    ScalableHost h(scalable_config(), std::uint64_t{1} << 39);
    back(h, size_4k, mib);
    h.guest.map(Iova{0x5000}, Gpa{0x9000}, 0x1000, read_write, size_4k, h.guest_unlinked);
    h.use(Pgtt::nested);
    // The guest's tables begin 16 GiB up: the first shares its level-3 table with the page.
    CHECK(h.write(0x5678).walk_reads == 23);
  }
  SECTION("tables side by side share what leads to them") {
    ScalableHost h;
    back(h, size_4k, mib);
    h.guest.map(Iova{0x5000}, Gpa{0x9000}, 0x1000, read_write, size_4k, h.guest_unlinked);
    h.use(Pgtt::nested);
    CHECK(h.write(0x5678).walk_reads == (4 + 1) + (1 + 1) * 3 + 3);
  }
}

TEST_CASE("nested, warm: two reads, one of each stage") {
  for (const auto size : {size_4k, size_2m, size_1g}) {
    ScalableHost h;
    back(h, size);
    h.guest.map(Iova{0}, Gpa{16 * mib}, 2 * mib, read_write, size_4k, h.guest_unlinked);
    h.use(Pgtt::nested);
    h.read(0);
    unsigned reads = 0;
    for (std::uint64_t page = 1; page < 512; ++page) {
      const Translation t = h.read(page << 12);
      REQUIRE(t.hpa == Hpa{gib + 16 * mib + (page << 12)});
      CHECK(t.walk_level == 1);
      reads += t.walk_reads;
    }
    CHECK(reads <= 511 * 2);
    CHECK(reads >= 511 * 2 - 1);
    CHECK(h.read(511 << 12).iotlb_hit);
  }
}

TEST_CASE("nested leaves: the smaller of both stages is what is cached") {
  const auto size = GENERATE(size_4k, size_2m, size_1g);
  const auto backing = GENERATE(size_4k, size_2m, size_1g);
  ScalableHost h;
  back(h, backing);
  h.guest.map(Iova{gib}, Gpa{gib}, gib, read_write, size, h.guest_unlinked);
  h.use(Pgtt::nested);
  const std::uint64_t smaller = std::min(size, backing);
  const Translation t = h.write(gib + 3 * mib + 5);
  CHECK(t.hpa == Hpa{2 * gib + 3 * mib + 5});
  CHECK(t.bytes == smaller - ((3 * mib + 5) & (smaller - 1)));
  const std::uint64_t block = (gib + 3 * mib) & ~(smaller - 1);
  CHECK(h.read(block).iotlb_hit);
  CHECK(h.read(block + smaller - 1).iotlb_hit);
  if (smaller < gib) CHECK_FALSE(h.read(block + smaller).iotlb_hit);
}

TEST_CASE("pass-through by PASID table entry") {
  ScalableHost h;
  h.use(Pgtt::pass_through);
  const Translation t = h.write(0x1234);
  CHECK(t.kind == Kind::pass_through);
  CHECK(t.hpa == Hpa{0x1234});
  CHECK(t.bytes == 0xfee0'0000 - 0x1234);
  CHECK(t.context_reads == 4);
  CHECK(t.walk_reads == 0);
  CHECK_FALSE(h.core.resolve(ScalableHost::device, Iova{0x1234}, Access::write));
}

TEST_CASE("accessed and dirty bits are written once, and a read does not make a page writable in the cache") {
  ScalableHost h;
  h.use(Pgtt::first_stage);
  h.first.map(Iova{0x5000}, Hpa{gib}, 0x1000, read_write, size_4k, h.unlinked);
  constexpr std::uint64_t accessed = 1 << 5;
  constexpr std::uint64_t dirty = 1 << 6;
  std::vector<Hpa> tables{h.first.root()};
  for (unsigned level = 4; level > 1; --level) {
    tables.push_back(Hpa{first_entry(h, tables.back(), 0x5000, level) & 0xf'ffff'ffff'f000});
  }
  for (unsigned i = 0; i < 4; ++i) {
    const Hpa slot = tables[i] + vtd::table_index(Iova{0x5000}, 4 - i) * 8u;
    h.memory.write(slot, h.memory.read<std::uint64_t>(slot) & ~(accessed | dirty));
  }
  CHECK(h.core.resolve(ScalableHost::device, Iova{0x5000}, Access::write));
  for (unsigned i = 0; i < 4; ++i) CHECK((first_entry(h, tables[i], 0x5000, 4 - i) & (accessed | dirty)) == 0);

  Translation t = h.read(0x5000);
  CHECK(t.walk_reads == 4);
  CHECK(t.walk_writes == 4);
  CHECK(t.permissions == pgtable::read_only);
  for (unsigned i = 0; i < 4; ++i)
    CHECK((first_entry(h, tables[i], 0x5000, 4 - i) & (accessed | dirty)) == accessed);
  CHECK(h.read(0x5000).iotlb_hit);

  t = h.write(0x5000);
  CHECK_FALSE(t.iotlb_hit);
  CHECK(t.walk_reads == 1);
  CHECK(t.walk_writes == 1);
  CHECK(t.permissions == read_write);
  CHECK((first_entry(h, tables[3], 0x5000, 1) & dirty) != 0);
  CHECK((first_entry(h, tables[2], 0x5000, 2) & dirty) == 0);  // leaves only
  CHECK(h.write(0x5000).iotlb_hit);
}

TEST_CASE("EAFE: the extended-accessed bit goes with the accessed bit") {
  IommuConfig config = scalable_config();
  config.extended_accessed = true;
  ScalableHost h(config);
  h.entry.eafe = true;
  h.use(Pgtt::first_stage);
  h.first.map(Iova{0}, Hpa{gib}, 0x1000, read_write, size_4k, h.unlinked);
  CHECK(h.read(0).walk_writes == 4);
  CHECK((first_entry(h, h.first.root(), 0, 4) & 1 << 10) != 0);
}

TEST_CASE("PASIDs and domains are told apart") {
  ScalableHost h;
  h.use(Pgtt::first_stage);
  h.first.map(Iova{0x5000}, Hpa{gib}, 0x1000, read_write, size_4k, h.unlinked);
  pgtable::FirstLevelTable other(h.memory, h.allocator, 4);
  other.map(Iova{0x5000}, Hpa{2 * gib}, 0x1000, read_write, size_4k, h.unlinked);
  vtd::PasidTableEntry entry = h.entry;
  entry.fsptptr = other.root().value;
  vtd::ScalableContextEntry context = h.context;
  context.rid_pasid = ScalableHost::pasid.value + 1;  // the same domain id
  h.memory.write(h.pasids + (context.rid_pasid & 0x3fu) * 64u, vtd::encode(entry));
  h.attach(SourceId{0x0391}, context);
  CHECK(h.read(0x5000).hpa == Hpa{gib});
  CHECK(h.core.translate(SourceId{0x0391}, Iova{0x5000}, Access::read).hpa == Hpa{2 * gib});
  CHECK(h.read(0x5000).iotlb_hit);
  h.attach(SourceId{0x0392}, h.context);  // the same PASID: shares all but the PASID cache, which is by requester
  const Translation t = h.core.translate(SourceId{0x0392}, Iova{0x5000}, Access::read);
  CHECK(t.iotlb_hit);
  CHECK(t.context_reads == 4);
}

TEST_CASE("legacy tables still work on a unit that has scalable mode") {
  ScalableHost h;
  const Hpa contexts = h.allocator.allocate();
  const Hpa root = h.allocator.allocate();
  back(h, size_4k, mib);
  h.memory.write(root + 3 * 16u, vtd::encode(vtd::RootEntry{true, contexts}));
  h.memory.write(contexts + 0x90 * 16u,
                 vtd::encode(vtd::ContextEntry{true, false, {}, h.second.root(), 2, ScalableHost::domain}));
  h.core.write64(vtd::reg::rtaddr, root.value);
  h.core.write32(vtd::reg::gcmd, vtd::gcmd::te | vtd::gcmd::qie | vtd::gcmd::srtp);
  CHECK(h.read(0x1000).hpa == Hpa{gib + 0x1000});
}

TEST_CASE("resolve sees what the tables say in every mode, past the caches") {
  ScalableHost h;
  back(h, size_4k, mib);
  const auto truth = [&](std::uint64_t iova, Access access = Access::read) {
    return h.core.resolve(ScalableHost::device, Iova{iova}, access);
  };
  SECTION("second stage") {
    h.use(Pgtt::second_stage);
    h.read(0x1000);
    CHECK(truth(0x1004)->hpa == Hpa{gib + 0x1004});
    h.second.unmap(Iova{0}, mib, h.unlinked);
    CHECK(h.read(0x1000).iotlb_hit);
    CHECK_FALSE(truth(0x1004));
  }
  SECTION("nested, either stage") {
    h.guest.map(Iova{0x1000}, Gpa{0x8000}, 0x1000, pgtable::read_only, size_4k, h.guest_unlinked);
    h.use(Pgtt::nested);
    h.read(0x1000);
    CHECK(truth(0x1004)->hpa == Hpa{gib + 0x8004});
    CHECK_FALSE(truth(0x1004, Access::write));
    h.second.unmap(Iova{0x8000}, 0x1000, h.unlinked);
    CHECK(h.read(0x1000).iotlb_hit);
    CHECK_FALSE(truth(0x1004));
    h.second.map(Iova{0x8000}, Hpa{3 * gib}, 0x1000, read_write, size_4k, h.unlinked);
    CHECK(truth(0x1004)->hpa == Hpa{3 * gib + 4});
    h.guest.unmap(Iova{0x1000}, 0x1000, h.guest_unlinked);
    CHECK_FALSE(truth(0x1004));
  }
}
