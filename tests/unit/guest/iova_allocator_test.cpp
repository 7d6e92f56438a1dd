// SPDX-License-Identifier: Apache-2.0
// IOVA allocation: tree walks, magazines, depots by kernel version, the 32-bit-first policy.
#include "guest/dma/iova_allocator.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <vector>

#include "guest/dma/dma_iova.hpp"
#include "guest/dma/reserved_windows.hpp"

namespace gnomon::guest {
namespace {

constexpr std::uint64_t limit_32bit = 0xfffff;        // pages
constexpr std::uint64_t limit_48bit = 0xf'ffff'ffff;  // pages

std::vector<std::uint64_t> allocate_many(IovaAllocator& iova, unsigned cpu, std::uint64_t pages, unsigned count) {
  std::vector<std::uint64_t> pfns;
  for (unsigned i = 0; i < count; ++i) {
    pfns.push_back(iova.allocate(cpu, pages, limit_32bit, false).pfn);
    REQUIRE(pfns.back() != 0);
  }
  return pfns;
}

TEST_CASE("A fresh PCI domain hands out addresses downwards from 4 GiB", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 2);
  DmaIovaPolicy device(iova_linux_6_1, {});
  CHECK(device.allocate(iova, 0, 1).pfn == 0xfffff);
  CHECK(device.allocate(iova, 0, 16).pfn == 0xfffe0);  // aligned; 0xffff0..0xffffe stay a hole for now
  CHECK(device.allocate(iova, 0, 1).pfn == 0xfffdf);   // the walk goes on downwards from the last one
  CHECK(iova.free(0, 0xfffff, 1).path == IovaFreePath::magazine);
  const auto again = device.allocate(iova, 0, 1);
  CHECK(again.pfn == 0xfffff);
  CHECK(again.low.path == IovaPath::magazine);
  CHECK(again.low.nodes_visited == 0);
  CHECK_FALSE(again.tried_full);
}

TEST_CASE("Reserved windows are walked around, overlapping ones too", "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1);
  iova.reserve(0xfee00, 0xfeeff);  // MSI
  iova.reserve(0xfec00, 0xfffff);  // a window that contains it
  CHECK(iova.tree_ranges() == 2);  // the first grew downwards, the rest above it is new
  CHECK(iova.allocate(0, 1, limit_32bit, false).pfn == 0xfebff);
  iova.reserve(0xfee10, 0xfee20);  // inside: nothing to do
  CHECK(iova.tree_ranges() == 3);
}

// As a Linux 6.12 guest with 1 GiB on QEMU's q35 was seen to do, with buffers of 64 KiB.
TEST_CASE("Below the I/O APIC's page the next address is below the bridge's window", "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1);
  for (const PageRange& window : reserved_windows(std::uint64_t{1} << 30)) iova.reserve(window.first, window.last);
  std::uint64_t before = limit_32bit + 1;
  while (before > 0xfec00) {
    const std::uint64_t pfn = iova.allocate(0, 16, limit_32bit, false).pfn;
    REQUIRE(pfn < before);
    REQUIRE((pfn > interrupt_window.last || pfn < interrupt_window.first));
    before = pfn;
  }
  CHECK(before == 0xfec00);
  CHECK(iova.allocate(0, 16, limit_32bit, false).pfn == 0xbfff0);
}

TEST_CASE("A bridge's window begins where low memory ends", "[iova]") {
  CHECK(reserved_windows(std::uint64_t{1} << 30)[0] == PageRange{0x40000, 0xaffff});
  CHECK(reserved_windows(std::uint64_t{8} << 30)[0] == PageRange{0x80000, 0xaffff});
  CHECK(reserved_windows(std::uint64_t{2} << 30)[1] == PageRange{0xc0000, 0xfebff});
}

TEST_CASE("Sizes below 32 pages are rounded up, larger ones only aligned", "[iova]") {
  CHECK(iova_pages_taken(1) == 1);
  CHECK(iova_pages_taken(3) == 4);
  CHECK(iova_pages_taken(17) == 32);
  CHECK(iova_pages_taken(32) == 32);
  CHECK(iova_pages_taken(33) == 33);
  IovaAllocator iova(iova_linux_6_1, 1);
  CHECK(iova.allocate(0, 3, limit_32bit, false).pfn == 0xffffc);
  CHECK(iova.allocate(0, 1, limit_32bit, false).pfn == 0xffffb);   // four pages were taken
  CHECK(iova.allocate(0, 33, limit_32bit, false).pfn == 0xfffc0);  // aligned to 64
  CHECK(iova.free(0, 0xfffc0, 33).path == IovaFreePath::tree);
  CHECK(iova.allocate(0, 33, limit_32bit, false).pfn == 0xfffc0);
  // The hole above the 33 pages is passed by: the walk starts below them.
  CHECK(iova.allocate(0, 1, limit_32bit, false).pfn == 0xfffbf);
}

TEST_CASE("At the bottom the walk begins once more from the limit and finds the holes", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 1);
  constexpr std::uint64_t limit = 127;
  CHECK(iova.allocate(0, 1, limit, false).pfn == 127);
  CHECK(iova.allocate(0, 32, limit, false).pfn == 64);
  for (const std::uint64_t pages : {32, 16, 8, 4, 2, 1}) CHECK(iova.allocate(0, pages, limit, false).pfn == pages);
  const auto hole = iova.allocate(0, 1, limit, false);
  CHECK(hole.pfn == 126);
  CHECK(hole.restarted);
  CHECK(hole.nodes_visited == 3);  // page 1; then from the anchor over page 127
  // The next walk starts at page 126, and the second one covers only what is above.
  const auto failed = iova.allocate(0, 32, limit, false);
  CHECK_FALSE(failed);
  CHECK(failed.restarted);
  CHECK(failed.nodes_visited == 4);  // 126, 64, 32; then the anchor
}

TEST_CASE("The walk above 4 GiB has a start of its own, which moves up when something above it is freed",
          "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1);
  const auto first = iova.allocate(0, 64, limit_48bit, false).pfn;
  const auto second = iova.allocate(0, 64, limit_48bit, false).pfn;
  CHECK(first == limit_48bit - 63);
  CHECK(second == first - 64);
  CHECK(iova.allocate(0, 64, limit_32bit, false).pfn == limit_32bit - 63);  // leaves the start above alone
  CHECK(iova.allocate(0, 64, limit_48bit, false).pfn == second - 64);
  iova.free(0, first, 64);
  const auto again = iova.allocate(0, 64, limit_48bit, false);
  CHECK(again.pfn == first);
  CHECK_FALSE(again.restarted);
}

TEST_CASE("A size that failed below 4 GiB is refused at once until something there is freed", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 1);
  constexpr std::uint64_t limit = 255;
  REQUIRE(iova.allocate(0, 128, limit, false).pfn == 128);
  REQUIRE(iova.allocate(0, 64, limit, false).pfn == 64);
  const auto failed = iova.allocate(0, 100, limit, false);
  CHECK_FALSE(failed);
  CHECK(failed.path == IovaPath::failed);
  CHECK_FALSE(failed.remembered_failure);
  CHECK(failed.nodes_visited > 0);
  const auto refused = iova.allocate(0, 100, limit, false);
  CHECK(refused.remembered_failure);
  CHECK(refused.nodes_visited == 0);
  CHECK(iova.allocate(0, 200, limit, false).remembered_failure);
  CHECK(iova.allocate(0, 16, limit, false).pfn == 48);  // smaller sizes still walk
  iova.free(0, 128, 128);
  CHECK(iova.allocate(0, 100, limit, false).pfn == 128);
}

TEST_CASE("Page 0 is never handed out", "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1);
  std::set<std::uint64_t> pfns;
  for (int i = 0; i < 15; ++i) pfns.insert(iova.allocate(0, 1, 15, true).pfn);
  CHECK(pfns.size() == 15);
  CHECK(pfns.count(0) == 0);
  CHECK_FALSE(iova.allocate(0, 1, 15, true));
  CHECK_THROWS_AS(IovaAllocator(iova_linux_6_12, 1, 0), std::invalid_argument);
}

TEST_CASE("Freed ranges come back last in, first out, to the CPU that freed them", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 2);
  const auto pfns = allocate_many(iova, 0, 1, 3);
  for (const std::uint64_t pfn : pfns) iova.free(1, pfn, 1);
  CHECK(iova.cached_ranges() == 3);
  CHECK(iova.allocate(0, 1, limit_32bit, false).path == IovaPath::tree);  // CPU 0 has none of them
  CHECK(iova.allocate(1, 1, limit_32bit, false).pfn == pfns[2]);
  CHECK(iova.allocate(1, 1, limit_32bit, false).pfn == pfns[1]);
  CHECK(iova.allocate(1, 1, limit_32bit, false).pfn == pfns[0]);
  CHECK(iova.allocate(1, 2, limit_32bit, false).path == IovaPath::tree);  // another size class
}

TEST_CASE("Magazines fill, change places and go to the depot at their size", "[iova]") {
  const auto [behaviour, size] =
      GENERATE(std::pair{iova_linux_5_15, 128u}, std::pair{iova_linux_6_1, 127u}, std::pair{iova_linux_6_12, 127u});
  IovaAllocator iova(behaviour, 2);
  const auto pfns = allocate_many(iova, 0, 1, 2 * size + 1);
  for (unsigned i = 0; i < 2 * size; ++i) {
    const auto expected = i == size ? IovaFreePath::prev_magazine : IovaFreePath::magazine;
    REQUIRE(iova.free(0, pfns[i], 1).path == expected);
  }
  CHECK(iova.free(0, pfns[2 * size], 1).path == IovaFreePath::depot);
  CHECK(iova.depot_magazines(0) == 1);
  CHECK(iova.cached_ranges() == 2 * size + 1);

  // The other CPU has nothing: it loads the magazine that went to the depot, which was the second one filled.
  const auto from_depot = iova.allocate(1, 1, limit_32bit, false);
  CHECK(from_depot.path == IovaPath::depot);
  CHECK(from_depot.pfn == pfns[2 * size - 1]);
  CHECK(iova.depot_magazines(0) == 0);
  // The first CPU: the single one in the new magazine, then the first one filled.
  CHECK(iova.allocate(0, 1, limit_32bit, false).pfn == pfns[2 * size]);
  const auto swapped = iova.allocate(0, 1, limit_32bit, false);
  CHECK(swapped.path == IovaPath::prev_magazine);
  CHECK(swapped.pfn == pfns[size - 1]);
}

TEST_CASE("The depot of 6.1 holds 32 magazines and spills whole ones into the tree", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 1);
  constexpr unsigned magazines = 2 + 32 + 1;
  const auto pfns = allocate_many(iova, 0, 4, magazines * 127 + 1);
  for (unsigned i = 0; i < 34 * 127; ++i) REQUIRE(iova.free(0, pfns[i], 4).ranges_to_tree == 0);
  CHECK(iova.depot_magazines(2) == 32);
  const auto spilt = iova.free(0, pfns[34 * 127], 4);
  CHECK(spilt.path == IovaFreePath::depot_overflow);
  CHECK(spilt.ranges_to_tree == 127);
  CHECK(spilt.nodes_visited >= 127);
  CHECK(spilt.size_class == 2);
  CHECK(iova.depot_magazines(2) == 32);
  CHECK(iova.tree_ranges() == pfns.size() - 127);
  CHECK_FALSE(iova.trim_depot(2).again);
  CHECK(iova.depot_magazines(2) == 32);
}

TEST_CASE("The depot of 6.12 grows without bound and is trimmed to the number of CPUs", "[iova]") {
  constexpr unsigned cpus = 3;
  IovaAllocator iova(iova_linux_6_12, cpus);
  const auto pfns = allocate_many(iova, 0, 1, 50 * 127);
  for (const std::uint64_t pfn : pfns) REQUIRE(iova.free(0, pfn, 1).ranges_to_tree == 0);
  CHECK(iova.depot_magazines(0) == 48);
  for (unsigned left = 47; left >= cpus; --left) {
    const auto trim = iova.trim_depot(0);
    REQUIRE(trim.again);
    REQUIRE(trim.ranges_to_tree == 127);
    REQUIRE(iova.depot_magazines(0) == left);
  }
  CHECK_FALSE(iova.trim_depot(0).again);
  CHECK(iova.depot_magazines(0) == cpus);
  CHECK(iova.tree_ranges() == (cpus + 2) * 127);
}

TEST_CASE("A magazine is searched from the top for an entry under the limit", "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1);
  const auto a = iova.allocate(0, 1, 100, false).pfn;
  const auto b = iova.allocate(0, 1, 100, false).pfn;
  const auto c = iova.allocate(0, 1, limit_48bit, false).pfn;
  const auto d = iova.allocate(0, 1, limit_48bit, false).pfn;
  CHECK(c == limit_48bit);
  for (const std::uint64_t pfn : {a, b, c, d}) iova.free(0, pfn, 1);
  const auto low = iova.allocate(0, 1, limit_32bit, false);
  CHECK(low.pfn == b);
  CHECK(low.path == IovaPath::magazine);
  CHECK(low.entries_scanned == 3);
  // The top took the place of b: a, d, c.
  CHECK(iova.allocate(0, 1, limit_48bit, false).pfn == c);
  CHECK(iova.allocate(0, 1, limit_48bit, false).pfn == d);
  CHECK(iova.allocate(0, 1, limit_48bit, false).pfn == a);
}

TEST_CASE("Only one magazine is searched: the tree follows though the previous one would fit", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 1);
  const auto low = allocate_many(iova, 0, 1, 127);
  const auto high = iova.allocate(0, 1, limit_48bit, false).pfn;
  for (const std::uint64_t pfn : low) iova.free(0, pfn, 1);
  CHECK(iova.free(0, high, 1).path == IovaFreePath::prev_magazine);
  const auto fresh = iova.allocate(0, 1, limit_32bit, false);
  CHECK(fresh.path == IovaPath::tree);
  CHECK(fresh.entries_scanned == 1);
  CHECK(std::set<std::uint64_t>(low.begin(), low.end()).count(fresh.pfn) == 0);
}

TEST_CASE("The limit holds for the last page of a cached range, not for the first", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 1);
  const auto pfn = iova.allocate(0, 4, 63, false).pfn;
  REQUIRE(pfn == 60);
  iova.free(0, pfn, 4);
  CHECK(iova.allocate(0, 4, 62, false).path == IovaPath::tree);
  CHECK(iova.allocate(0, 4, 63, false).path == IovaPath::magazine);
}

TEST_CASE("A failure empties all caches into the tree if it may", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 2);
  constexpr std::uint64_t limit = 63;
  std::vector<std::uint64_t> pfns;
  for (int i = 0; i < 63; ++i) pfns.push_back(iova.allocate(0, 1, limit, false).pfn);
  for (const std::uint64_t pfn : pfns) iova.free(pfn % 2, pfn, 1);
  CHECK_FALSE(iova.allocate(0, 32, limit, false));
  CHECK(iova.cached_ranges() == 63);
  const auto flushed = iova.allocate(0, 32, limit, true);
  CHECK(flushed.pfn == 32);
  CHECK(flushed.path == IovaPath::tree);
  CHECK(flushed.ranges_flushed == 63);
  CHECK_FALSE(flushed.remembered_failure);
  CHECK(iova.cached_ranges() == 0);
  CHECK(iova.tree_ranges() == 1);
}

TEST_CASE("Freeing what is not allocated is reported by the tree", "[iova]") {
  IovaAllocator iova(iova_linux_6_1, 1);
  CHECK_THROWS_AS(iova.free(0, 0x1000, 64), std::logic_error);
  CHECK_THROWS_AS(iova.free(0, ~0ULL, 64), std::logic_error);
  CHECK_THROWS_AS(iova.free(1, 0x1000, 1), std::invalid_argument);
  CHECK_THROWS_AS(iova.allocate(0, 0, 10, false), std::invalid_argument);
}

TEST_CASE("6.1 tries below 4 GiB every time, 6.12 gives up at the first failure", "[iova]") {
  const bool sticky = GENERATE(false, true);
  const IovaBehaviour behaviour = sticky ? iova_linux_6_12 : iova_linux_6_1;
  IovaAllocator iova(behaviour, 1);
  iova.reserve(17, 0xfffff);
  DmaIovaPolicy device(behaviour, {.dma_mask = (1ULL << 48) - 1});
  CHECK(device.allocate(iova, 0, 16).pfn == 0xf'ffff'fff0);  // pages 1..15 hold no aligned 16
  CHECK(device.prefers_32bit() == !sticky);

  const auto next = device.allocate(iova, 0, 1);
  CHECK(next.tried_32bit == !sticky);
  CHECK_FALSE(next.gave_up_32bit);  // that was the first one
  CHECK(next.pfn == (sticky ? 0xf'ffff'ffefULL : 16ULL));
}

TEST_CASE("The notice of giving up comes once, and a refused size costs no walk", "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1);
  iova.reserve(1, 0xfffff);
  DmaIovaPolicy device(iova_linux_6_12, {});
  const auto first = device.allocate(iova, 0, 1);
  CHECK(first.tried_32bit);
  CHECK(first.gave_up_32bit);
  CHECK(first.tried_full);
  CHECK(first.low.path == IovaPath::failed);
  CHECK_FALSE(device.allocate(iova, 0, 1).gave_up_32bit);

  DmaIovaPolicy old(iova_linux_6_1, {});
  CHECK(old.allocate(iova, 0, 2).low.remembered_failure);
}

TEST_CASE("Who is not tried below 4 GiB, and how the limits combine", "[iova]") {
  const IovaBehaviour behaviour = GENERATE(iova_linux_6_1, iova_linux_6_12);
  constexpr std::uint64_t mask_48 = (1ULL << 48) - 1;
  CHECK(DmaIovaPolicy(behaviour, {.dma_mask = mask_48}).prefers_32bit());
  CHECK_FALSE(DmaIovaPolicy(behaviour, {.dma_mask = mask_48, .pci = false}).prefers_32bit());
  CHECK_FALSE(DmaIovaPolicy(behaviour, {.dma_mask = mask_48, .force_dac = true}).prefers_32bit());
  CHECK_FALSE(DmaIovaPolicy(behaviour, {.dma_mask = 0xffff'ffff}).prefers_32bit());
  const DmaIovaPolicy narrow(behaviour, {.bus_limit = (1ULL << 40) - 1, .aperture_end = (1ULL << 39) - 1});
  CHECK(narrow.limit() == (1ULL << 39) - 1);

  IovaAllocator iova(behaviour, 1);
  DmaIovaPolicy dac(behaviour, {.dma_mask = mask_48, .force_dac = true});
  CHECK(dac.allocate(iova, 0, 1).pfn == limit_48bit);
  DmaIovaPolicy small(behaviour, {.dma_mask = 0xffff'ffff});
  const auto direct = small.allocate(iova, 0, 1);
  CHECK(direct.pfn == 0xfffff);
  CHECK_FALSE(direct.tried_32bit);
}

TEST_CASE("A granule of 64 KiB moves the 4 GiB boundary in pages", "[iova]") {
  IovaAllocator iova(iova_linux_6_12, 1, 1, 16);
  DmaIovaPolicy device(iova_linux_6_12, {});
  CHECK(device.allocate(iova, 0, 1).pfn == 0xffff);
}

}  // namespace
}  // namespace gnomon::guest
