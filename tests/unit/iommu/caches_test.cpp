// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "models/iommu/vtd/context_cache.hpp"
#include "models/iommu/core/iotlb.hpp"
#include "models/iommu/core/walk_cache.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using pgtable::Mapping;
using pgtable::read_only;
using pgtable::read_write;

namespace {

constexpr CacheTag in(std::uint16_t domain) {
  return {DomainId{domain}, no_pasid};
}
constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t gib = 1 << 30;

Mapping leaf(std::uint64_t hpa, std::uint64_t bytes = 4096) {
  return {Hpa{hpa}, bytes, read_write};
}

}  // namespace

TEST_CASE("IOTLB: an entry answers for its whole page, its domain and its PASID only") {
  Iotlb tlb(4, 2);
  CHECK_FALSE(tlb.insert(in(1), Iova{0x5678}, {Hpa{0x9678}, 4096, read_only}));
  CHECK(tlb.lookup(in(1), Iova{0x5000}) == Mapping{Hpa{0x9000}, 4096, read_only});
  CHECK(tlb.lookup(in(1), Iova{0x5fff}) == Mapping{Hpa{0x9fff}, 4096, read_only});
  CHECK_FALSE(tlb.lookup(in(1), Iova{0x6000}));
  CHECK_FALSE(tlb.lookup(in(2), Iova{0x5000}));
  CHECK_FALSE(tlb.lookup({DomainId{1}, Pasid{0}}, Iova{0x5000}));
  tlb.insert({DomainId{1}, Pasid{0}}, Iova{0x5000}, leaf(0xb000));
  CHECK(tlb.lookup({DomainId{1}, Pasid{0}}, Iova{0x5000})->hpa == Hpa{0xb000});
  CHECK(tlb.lookup(in(1), Iova{0x5000})->hpa == Hpa{0x9000});
}

TEST_CASE("IOTLB: three page sizes side by side") {
  Iotlb tlb(8, 8);
  tlb.insert(in(1), Iova{gib + 12345}, leaf(5 * gib + 12345, gib));
  tlb.insert(in(1), Iova{4 * mib + 1}, leaf(6 * mib + 1, 2 * mib));
  tlb.insert(in(1), Iova{0x1000}, leaf(0x7000));
  CHECK(tlb.lookup(in(1), Iova{2 * gib - 1}) == Mapping{Hpa{6 * gib - 1}, gib, read_write});
  CHECK(tlb.lookup(in(1), Iova{6 * mib - 1}) == Mapping{Hpa{8 * mib - 1}, 2 * mib, read_write});
  CHECK(tlb.lookup(in(1), Iova{0x1fff})->hpa == Hpa{0x7fff});
}

TEST_CASE("IOTLB: leaves of any power of two") {
  Iotlb tlb(1, 64);
  for (unsigned shift = 12; shift < 52; ++shift) {
    const std::uint64_t bytes = std::uint64_t{1} << shift;
    tlb.insert(in(1), Iova{bytes + 5}, leaf(5, bytes));
  }
  CHECK(tlb.size() == 40);
  for (unsigned shift = 12; shift < 52; ++shift) {
    const std::uint64_t bytes = std::uint64_t{1} << shift;
    CHECK(tlb.lookup(in(1), Iova{2 * bytes - 1}) == Mapping{Hpa{bytes - 1}, bytes, read_write});
  }
  CHECK(tlb.invalidate_pages(DomainId{1}, Iova{0x1'8000}, 4096) == 1);  // the 64 KiB around it
  CHECK_FALSE(tlb.lookup(in(1), Iova{0x1'0000}));
  CHECK(tlb.invalidate_pages(DomainId{1}, Iova{0}, mib) == 7);  // 4 KiB to 512 KiB without that
  CHECK(tlb.invalidate_domain(DomainId{1}) == 32);
  CHECK_FALSE(tlb.lookup(in(1), Iova{gib}));
}

TEST_CASE("IOTLB: the least recently used of a set is evicted") {
  Iotlb tlb(1, 2);
  CHECK_FALSE(tlb.insert(in(1), Iova{0x1000}, leaf(0xa000)));
  CHECK_FALSE(tlb.insert(in(1), Iova{0x2000}, leaf(0xb000)));
  CHECK(tlb.lookup(in(1), Iova{0x1000}));
  CHECK(tlb.insert(in(1), Iova{0x3000}, leaf(0xc000)));
  CHECK(tlb.lookup(in(1), Iova{0x1000}));
  CHECK_FALSE(tlb.lookup(in(1), Iova{0x2000}));
  CHECK(tlb.size() == 2);
  // The same page again replaces its own entry.
  CHECK_FALSE(tlb.insert(in(1), Iova{0x1000}, leaf(0xd000)));
  CHECK(tlb.lookup(in(1), Iova{0x1000})->hpa == Hpa{0xd000});
  CHECK(tlb.lookup(in(1), Iova{0x3000}));
}

TEST_CASE("IOTLB: an evicted last entry of a size leaves the other sizes reachable") {
  Iotlb tlb(1, 1);
  tlb.insert(in(1), Iova{2 * mib}, leaf(0, 2 * mib));
  CHECK(tlb.insert(in(1), Iova{0x1000}, leaf(0x5000)));
  CHECK_FALSE(tlb.lookup(in(1), Iova{2 * mib}));
  CHECK(tlb.insert(in(1), Iova{2 * mib}, leaf(0, 2 * mib)));
  CHECK(tlb.lookup(in(1), Iova{2 * mib}));
  CHECK_FALSE(tlb.lookup(in(1), Iova{0x1000}));
}

TEST_CASE("IOTLB invalidation drops what it names and counts it") {
  Iotlb tlb(16, 4);
  for (const std::uint16_t domain : {std::uint16_t{1}, std::uint16_t{2}}) {
    for (std::uint64_t page = 0; page < 8; ++page) tlb.insert(in(domain), Iova::from_page(page), leaf(page << 12));
    tlb.insert(in(domain), Iova{4 * mib}, leaf(4 * mib, 2 * mib));
  }
  SECTION("a block of pages") {
    CHECK(tlb.invalidate_pages(DomainId{1}, Iova{0x2000}, 0x2000) == 2);
    CHECK(tlb.lookup(in(1), Iova{0x1000}));
    CHECK_FALSE(tlb.lookup(in(1), Iova{0x2000}));
    CHECK_FALSE(tlb.lookup(in(1), Iova{0x3000}));
    CHECK(tlb.lookup(in(1), Iova{0x4000}));
    CHECK(tlb.lookup(in(2), Iova{0x2000}));
    CHECK(tlb.invalidate_pages(DomainId{1}, Iova{0x2000}, 0x2000) == 0);
  }
  SECTION("one page drops the large leaf around it") {
    CHECK(tlb.invalidate_pages(DomainId{1}, Iova{4 * mib + 0x7000}, 0x1000) == 1);
    CHECK_FALSE(tlb.lookup(in(1), Iova{4 * mib}));
  }
  SECTION("a block larger than the cache") {
    CHECK(tlb.invalidate_pages(DomainId{2}, Iova{0}, gib) == 9);
    CHECK(tlb.size() == 9);
  }
  SECTION("whatever the PASID") {
    tlb.insert({DomainId{1}, Pasid{9}}, Iova{0x2000}, leaf(0));
    CHECK(tlb.invalidate_pages(DomainId{1}, Iova{0x2000}, 0x1000) == 2);
  }
  SECTION("a domain") {
    CHECK(tlb.invalidate_domain(DomainId{1}) == 9);
    CHECK(tlb.lookup(in(2), Iova{4 * mib}));
  }
  SECTION("all") {
    CHECK(tlb.invalidate_global() == 18);
    CHECK(tlb.size() == 0);
    CHECK_FALSE(tlb.lookup(in(1), Iova{0x1000}));
  }
}

TEST_CASE("walk cache: the deepest table wins, within its span and domain") {
  WalkCache cache(IommuConfig{});
  cache.insert(in(1), Iova{gib}, {3, Hpa{0x3000}, read_write});
  cache.insert(in(1), Iova{gib}, {2, Hpa{0x2000}, read_write});
  cache.insert(in(1), Iova{gib}, {1, Hpa{0x1000}, read_only});
  CHECK(cache.lookup(in(1), Iova{gib + 2 * mib - 1}, 4) == WalkStart{1, Hpa{0x1000}, read_only});
  CHECK(cache.lookup(in(1), Iova{gib + 2 * mib}, 4) == WalkStart{2, Hpa{0x2000}, read_write});
  CHECK(cache.lookup(in(1), Iova{3 * gib}, 4) == WalkStart{3, Hpa{0x3000}, read_write});
  CHECK_FALSE(cache.lookup(in(1), Iova{3 * gib}, 3));  // a root of three levels is no cached table
  CHECK_FALSE(cache.lookup(in(2), Iova{gib}, 4));
  CHECK(cache.size() == 3);

  CHECK(cache.invalidate_pages(DomainId{2}, Iova{gib}, 0x1000) == 0);
  CHECK(cache.invalidate_pages(DomainId{1}, Iova{gib + 2 * mib}, 0x1000) == 2);  // the leaf table is another's
  CHECK(cache.lookup(in(1), Iova{gib}, 4)->level == 1);
  CHECK(cache.invalidate_domain(DomainId{1}) == 1);
  CHECK_FALSE(cache.lookup(in(1), Iova{gib}, 4));
}

TEST_CASE("walk cache: tables of level 5 are not cached") {
  WalkCache cache(IommuConfig{});
  CHECK_FALSE(cache.insert(in(1), Iova{gib}, {5, Hpa{0x5000}, read_write}));
  CHECK_FALSE(cache.lookup(in(1), Iova{gib}, 6));
  cache.insert(in(1), Iova{gib}, {4, Hpa{0x4000}, read_write});
  CHECK(cache.lookup(in(1), Iova{gib}, 6) == WalkStart{4, Hpa{0x4000}, read_write});
  CHECK_FALSE(cache.lookup(in(1), Iova{std::uint64_t{1} << 48}, 6));
}

TEST_CASE("walk cache: a level without entries remembers nothing") {
  IommuConfig config;
  config.walk_cache_entries = {0, 2, 0, 0};
  WalkCache cache(config);
  CHECK_FALSE(cache.insert(in(1), Iova{0}, {1, Hpa{0x1000}, read_write}));
  CHECK_FALSE(cache.insert(in(1), Iova{0}, {2, Hpa{0x2000}, read_write}));
  CHECK_FALSE(cache.insert(in(1), Iova{gib}, {2, Hpa{0x3000}, read_write}));
  CHECK(cache.insert(in(1), Iova{2 * gib}, {2, Hpa{0x4000}, read_write}));
  CHECK_FALSE(cache.lookup(in(1), Iova{0}, 4));
  CHECK(cache.lookup(in(1), Iova{gib}, 4)->level == 2);
  CHECK(cache.invalidate_global() == 2);
}

TEST_CASE("context cache: by device, by domain, under the function mask") {
  ContextCache cache(16);
  const auto entry = [](std::uint16_t domain) {
    vtd::ContextEntry e;
    e.p = true;
    e.did = DomainId{domain};
    return e;
  };
  for (std::uint16_t f = 0; f < 8; ++f) cache.insert(SourceId{static_cast<std::uint16_t>(0x0310 + f)}, entry(7));
  cache.insert(SourceId{0x0318}, entry(7));
  cache.insert(SourceId{0x0410}, entry(8));
  REQUIRE(cache.size() == 10);
  CHECK(cache.lookup(SourceId{0x0410})->did == DomainId{8});
  SECTION("FM 00b") {
    CHECK(cache.invalidate_device(DomainId{7}, SourceId{0x0311}, 0) == 1);
  }
  SECTION("FM 01b ignores bit 2") {
    CHECK(cache.invalidate_device(DomainId{7}, SourceId{0x0311}, 1) == 2);
  }
  SECTION("FM 10b ignores bits 2:1") {
    CHECK(cache.invalidate_device(DomainId{7}, SourceId{0x0311}, 2) == 4);
  }
  SECTION("FM 11b ignores the function") {
    CHECK(cache.invalidate_device(DomainId{7}, SourceId{0x0311}, 3) == 8);
  }
  SECTION("another domain") {
    CHECK(cache.invalidate_device(DomainId{9}, SourceId{0x0311}, 3) == 0);
  }
  SECTION("domain") {
    CHECK(cache.invalidate_domain(DomainId{7}) == 9);
  }
  SECTION("global") {
    CHECK(cache.invalidate_global() == 10);
  }
}
