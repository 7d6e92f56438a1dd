// SPDX-License-Identifier: Apache-2.0
// The IOTLB gather: merging, disjointness, early syncs by policy.
#include "guest/iommu/gather.hpp"

#include <catch2/catch.hpp>
#include <string_view>
#include <vector>

#include "guest/iommu/flush_policy.hpp"

namespace gnomon::guest {
namespace {

struct Range {
  std::uint64_t iova;
  std::uint64_t size;
};

// The syncs of a driver that adds the ranges by a policy, and the ranges it invalidates, the last sync included.
std::vector<IotlbGather> syncs(std::string_view name, const std::vector<Range>& ranges) {
  const FlushPolicy& policy = *find_flush_policy(name);
  const FlushUnit unit{.caches_non_present = true};
  std::vector<IotlbGather> done;
  IotlbGather gather;
  for (const auto& [iova, size] : ranges) {
    if (policy.sync_before_add(unit, gather, Iova{iova}, size)) {
      done.push_back(gather);
      gather.reset();
    }
    gather.add_page(Iova{iova}, size);
  }
  done.push_back(gather);
  return done;
}

TEST_CASE("A new gather is empty, and nothing is disjoint from it", "[gather]") {
  IotlbGather gather;
  CHECK(gather.empty());
  CHECK(gather.bytes() == 0);
  CHECK_FALSE(gather.disjoint(Iova{0x1000}, 0x1000));
  CHECK_FALSE(gather.disjoint(Iova{0}, 0x1000));
  gather.add_range(Iova{0x5000}, 0x2000);
  CHECK(gather.start == 0x5000);
  CHECK(gather.end == 0x6fff);  // inclusive
  CHECK(gather.bytes() == 0x2000);
}

TEST_CASE("Adjacent ranges are not disjoint, on either side", "[gather]") {
  IotlbGather gather;
  gather.add_range(Iova{0x5000}, 0x2000);
  CHECK_FALSE(gather.disjoint(Iova{0x7000}, 0x1000));
  CHECK_FALSE(gather.disjoint(Iova{0x4000}, 0x1000));
  CHECK_FALSE(gather.disjoint(Iova{0x5000}, 0x1000));
  CHECK(gather.disjoint(Iova{0x8000}, 0x1000));
  CHECK(gather.disjoint(Iova{0x3000}, 0x1000));
}

TEST_CASE("Ranges widen the gather in any order, gaps included", "[gather]") {
  IotlbGather gather;
  gather.add_range(Iova{0x9000}, 0x1000);
  gather.add_range(Iova{0x2000}, 0x1000);
  gather.add_range(Iova{0x5000}, 0x1000);
  CHECK(gather.start == 0x2000);
  CHECK(gather.end == 0x9fff);
}

TEST_CASE("At the top of the address space the arithmetic wraps to a superfluous sync", "[gather]") {
  IotlbGather gather;
  gather.add_range(Iova{~0xfffULL}, 0x1000);
  CHECK(gather.end == ~0ULL);
  CHECK(gather.bytes() == 0x1000);
  CHECK(gather.disjoint(Iova{~0x1fffULL}, 0x1000));  // adjacent in truth
}

TEST_CASE("The generic policy syncs early when the size changes", "[gather]") {
  // VT-d up to 6.12 passes the length of a whole chunk as the size: 2 MiB and the 64 KiB after it are two syncs.
  const std::vector<Range> chunks{{0x20'0000, 0x20'0000}, {0x40'0000, 0x1'0000}};
  CHECK(syncs("generic", chunks).size() == 2);
  CHECK(syncs("generic", chunks)[0].bytes() == 0x20'0000);
  CHECK(syncs("generic", chunks)[1].bytes() == 0x1'0000);
  CHECK(syncs("natural-split", chunks).size() == 1);
  CHECK(syncs("page-selective", chunks).size() == 1);
}

TEST_CASE("Leaf by leaf of one size there is no early sync", "[gather]") {
  std::vector<Range> leaves;
  for (std::uint64_t page = 16; page < 32; ++page) leaves.push_back({page << 12, 0x1000});
  const auto done = syncs("generic", leaves);
  REQUIRE(done.size() == 1);
  CHECK(done[0].start == 0x10000);
  CHECK(done[0].end == 0x1ffff);
  CHECK(done[0].page_size == 0x1000);
}

TEST_CASE("Sparse unmaps into one gather, as VFIO does, sync on every gap but page-selective", "[gather]") {
  const std::vector<Range> sparse{{0x1000, 0x1000}, {0x3000, 0x1000}, {0x4000, 0x1000}, {0x9000, 0x1000}};
  CHECK(syncs("generic", sparse).size() == 3);
  CHECK(syncs("natural-split", sparse).size() == 3);
  CHECK(syncs("natural-split", sparse)[1].bytes() == 0x2000);
  const auto whole = syncs("page-selective", sparse);
  REQUIRE(whole.size() == 1);
  CHECK(whole[0].bytes() == 0x9000);  // the gaps are invalidated too
}

TEST_CASE("A sync forgets the range, the queued mark and the freelist", "[gather]") {
  IotlbGather gather;
  gather.queued = true;
  gather.freelist = {7};
  gather.add_page(Iova{0x1000}, 0x1000);
  gather.reset();
  CHECK(gather == IotlbGather{});
  CHECK_FALSE(gather.queued);
  CHECK(gather.freelist.empty());
}

}  // namespace
}  // namespace gnomon::guest
