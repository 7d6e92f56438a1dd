// SPDX-License-Identifier: Apache-2.0
// The IOMMU core against a driver that writes down what it is called with, and fails where it is told to.
#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::guest {
namespace {

using Calls = std::vector<std::string>;

/// Pages mapped, by IOVA page, each with the target page. Sizes in its log are in pages.
class ScriptedDriver final : public IommuDriver {
 public:
  explicit ScriptedDriver(PageSizeBitmap sizes) : sizes_(sizes) {}

  std::uint32_t domain() const override { return 1; }
  PageSizeBitmap page_sizes() const override { return sizes_; }
  std::optional<Gpa> iova_to_phys(Iova iova) const override {
    const auto found = mapped.find(iova.page());
    if (found == mapped.end()) return std::nullopt;
    return Gpa::from_page(found->second) + iova.offset_in_page();
  }
  MapOutcome map_pages(Cpu&, Iova iova, Gpa gpa, PageChoice pages, DmaAccess) override {
    calls.push_back("map " + text(iova, pages));
    MapOutcome out;
    for (; out.mapped < pages.bytes(); out.mapped += page_size) {
      const Iova at = iova + out.mapped;
      if (at.page() == refuses_map) return {ENOMEM, out.mapped};
      mapped[at.page()] = (gpa + out.mapped).page();
    }
    return out;
  }
  std::uint64_t unmap_pages(Cpu&, Iova iova, PageChoice pages, IotlbGather& gather) override {
    calls.push_back("unmap " + text(iova, pages));
    if (iova.page() == refuses_unmap) return 0;
    std::uint64_t done = 0;
    const std::uint64_t wanted = std::max(pages.bytes(), leaf_pages * page_size);
    while (done < wanted && mapped.erase(iova.page() + done / page_size) != 0) done += page_size;
    if (gathers && done != 0) gather.add_page(iova, done);
    if (frees_tables) gather.freelist = {7};
    return done;
  }
  void iotlb_sync(Cpu&, IotlbGather& gather) override {
    calls.push_back("sync " + (gather.empty() ? "nothing"
                                              : std::to_string(gather.start / page_size) + "+" +
                                                    std::to_string(gather.bytes() / page_size)));
  }
  int iotlb_sync_map(Cpu&, Iova iova, std::uint64_t bytes) override {
    calls.push_back("sync_map " + text(iova, {bytes, 1}));
    return sync_map_error;
  }
  void flush_iotlb_all(Cpu&) override { calls.push_back("flush all"); }
  void free_tables(Cpu&, FreelistHandle tables) override {
    calls.push_back("free " + std::to_string(tables.value));
  }

  Calls calls;
  std::map<std::uint64_t, std::uint64_t> mapped;
  std::uint64_t refuses_map = ~0ULL;    ///< the page map_pages fails at
  std::uint64_t refuses_unmap = ~0ULL;  ///< the page unmap_pages cannot begin at
  std::uint64_t leaf_pages = 1;         ///< what it unmaps at least
  int sync_map_error = 0;
  bool gathers = true;
  bool frees_tables = false;

 private:
  static std::string text(Iova iova, PageChoice pages) {
    return std::to_string(iova.page()) + ":" + std::to_string(pages.page_size / page_size) + "x" +
           std::to_string(pages.count);
  }
  PageSizeBitmap sizes_;
};

struct Bench {
  explicit Bench(const IommuCoreBehaviour& behaviour = {}, PageSizeBitmap sizes = page_sizes_4k_2m_1g)
      : driver(sizes), domain(driver, behaviour) {
    tracer.add(recorder);
  }
  MapResult map(std::uint64_t iova_page, std::uint64_t gpa_page, std::uint64_t pages) {
    return domain.map(cpu, Iova::from_page(iova_page), Gpa::from_page(gpa_page), pages * page_size, {});
  }
  MapResult map_sg(std::uint64_t iova_page, const std::vector<Run>& runs) {
    return domain.map_sg(cpu, Iova::from_page(iova_page), runs, {});
  }
  std::uint64_t unmap(std::uint64_t iova_page, std::uint64_t pages) {
    return domain.unmap(cpu, Iova::from_page(iova_page), pages * page_size) / page_size;
  }
  Calls take() { return std::exchange(driver.calls, {}); }

  trace::Tracer tracer;
  test::Recorder recorder;
  test::SoloProcessor processor;
  const GuestCosts costs;
  Cpu cpu{processor, costs, {}, tracer};
  ScriptedDriver driver;
  IommuDomain domain;
};

constexpr IommuCoreBehaviour linux_3_10{
    .sync_map_can_fail = false, .calls = DriverCalls::whole_range, .sync_map = false, .gather = false};
constexpr IommuCoreBehaviour linux_4_3{
    .sync_map_can_fail = false, .calls = DriverCalls::per_page, .sync_map = false, .gather = false};
constexpr IommuCoreBehaviour linux_5_12{.sync_map_can_fail = false, .calls = DriverCalls::per_page};
constexpr IommuCoreBehaviour linux_6_1{.sync_map_can_fail = false};
constexpr IommuCoreBehaviour linux_6_12{};
constexpr IommuCoreBehaviour linux_7_2{.fill_empty_gather = true, .skip_empty_gather = true};

struct ChunkRow {
  const char* what;
  PageSizeBitmap sizes;
  std::uint64_t iova, target, pages;  // target 0: an unmap
  Calls counted;
};

TEST_CASE("the chooser's chunks, as driver calls", "[iommu_core]") {
  const auto row = GENERATE(values<ChunkRow>({
      {"climbs", page_sizes_powers_of_two, 1, 1, 7, {"1:1x1", "2:2x1", "4:4x1"}},
      {"descends", page_sizes_powers_of_two, 0x200, 0, 15, {"512:8x1", "520:4x1", "524:2x1", "526:1x1"}},
      {"36 KiB", page_sizes_powers_of_two, 0x100, 0, 9, {"256:8x1", "264:1x1"}},
      {"2 MiB and 64 KiB", page_sizes_4k_2m_1g, 512, 0, 528, {"512:512x1", "1024:1x16"}},
      {"stops at the boundary", page_sizes_4k_2m_1g, 2, 2, 1022, {"2:1x510", "512:512x1"}},
      {"no common phase", page_sizes_4k_2m_1g, 2, 515, 1022, {"2:1x1022"}},
      {"the reference buffer", page_sizes_4k_2m_1g, 0xfffe0, 0, 16, {"1048544:1x16"}},
      {"likewise, dense", page_sizes_powers_of_two, 0xfffe0, 0, 16, {"1048544:16x1"}},
  }));
  INFO(row.what);
  Bench b(linux_6_12, row.sizes);
  const bool unmap = row.target == 0;
  if (unmap) {
    REQUIRE(b.map(row.iova, row.iova, row.pages).error == 0);
    b.take();
    CHECK(b.unmap(row.iova, row.pages) == row.pages);
  } else {
    REQUIRE(b.map(row.iova, row.target, row.pages).error == 0);
  }
  Calls chunks = b.take();
  chunks.pop_back();  // the sync
  Calls expected;
  for (const std::string& chunk : row.counted) expected.push_back((unmap ? "unmap " : "map ") + chunk);
  CHECK(chunks == expected);
}

TEST_CASE("the reference buffer of two runs: neighbours merge, one sync_map for all", "[iommu_core]") {
  const auto [sizes, calls] = GENERATE(table<PageSizeBitmap, Calls>(
      {{page_sizes_4k_2m_1g, {"map 1048544:1x10", "map 1048554:1x6", "sync_map 1048544:16x1"}},
       {page_sizes_powers_of_two,
        {"map 1048544:8x1", "map 1048552:2x1", "map 1048554:1x6", "sync_map 1048544:16x1"}}}));
  Bench b(linux_6_12, sizes);
  const std::vector<Run> runs{{Gpa::from_page(0x1000), 4 * page_size},
                              {Gpa::from_page(0x1004), 6 * page_size},
                              {Gpa::from_page(0x2003), 6 * page_size}};
  REQUIRE(b.map_sg(0xfffe0, runs).error == 0);
  CHECK(b.take() == calls);
  CHECK(b.driver.mapped.at(0xfffe9) == 0x1009);
  CHECK(b.driver.mapped.at(0xfffea) == 0x2003);
  CHECK(test::of_kind<trace::MapReturned>(b.recorder.events).at(0).second.runs == 2);
}

TEST_CASE("one driver call a page before 5.14", "[iommu_core]") {
  Bench b(linux_5_12);
  REQUIRE(b.map(0x200, 0x200, 514).error == 0);
  CHECK(b.take() == Calls{"map 512:512x1", "map 1024:1x1", "map 1025:1x1", "sync_map 512:514x1"});
  CHECK(b.unmap(0x200, 514) == 514);
  CHECK(b.take() == Calls{"unmap 512:512x1", "unmap 1024:1x1", "unmap 1025:1x1", "sync 512+514"});
}

TEST_CASE("without a gather and iotlb_sync_map every driver call is flushed by itself", "[iommu_core]") {
  Bench b(linux_4_3, page_sizes_powers_of_two);
  REQUIRE(b.map(0x100, 0x100, 9).error == 0);
  CHECK(b.take() == Calls{"map 256:8x1", "sync_map 256:8x1", "map 264:1x1", "sync_map 264:1x1"});
  CHECK(b.unmap(0x100, 9) == 9);
  CHECK(b.take() == Calls{"unmap 256:8x1", "sync 256+8", "unmap 264:1x1", "sync 264+1"});
}

TEST_CASE("without a gather a deferred unmap leaves the flush to the queue", "[iommu_core]") {
  Bench b(linux_4_3);
  REQUIRE(b.map(0x100, 0x100, 1).error == 0);
  b.take();
  IotlbGather gather;
  gather.queued = true;
  CHECK(b.domain.unmap_fast(b.cpu, Iova::from_page(0x100), page_size, gather) == page_size);
  CHECK(b.take() == Calls{"unmap 256:1x1"});
}

TEST_CASE("to 3.10 an unmap asks for all that is left and takes what comes back", "[iommu_core]") {
  Bench b(linux_3_10);
  REQUIRE(b.map(0x100, 0x300, 9).error == 0);
  CHECK(b.take().size() == 2 * 9);  // maps page by page, as later kernels
  CHECK(b.unmap(0x100, 9) == 9);
  CHECK(b.take() == Calls{"unmap 256:9x1", "sync 256+9"});

  REQUIRE(b.map(0x100, 0x300, 2).error == 0);
  REQUIRE(b.map(0x104, 0x304, 2).error == 0);
  b.take();
  CHECK(b.unmap(0x100, 6) == 2);  // the rest is asked for once more, and is a hole
  CHECK(b.take() == Calls{"unmap 256:6x1", "sync 256+2", "unmap 258:4x1"});
}

TEST_CASE("an unmap stops at a hole, and more than was asked for counts", "[iommu_core]") {
  Bench b;
  REQUIRE(b.map(0x10, 0x10, 3).error == 0);
  CHECK(b.unmap(0x10, 8) == 3);
  CHECK(b.driver.mapped.empty());
  CHECK(test::of_kind<trace::UnmapReturned>(b.recorder.events).at(0).second.bytes == 3 * page_size);

  REQUIRE(b.map(0x40, 0x40, 16).error == 0);
  b.driver.leaf_pages = 16;
  b.take();
  CHECK(b.unmap(0x40, 1) == 16);
  CHECK(b.take() == Calls{"unmap 64:1x1", "sync 64+16"});
}

TEST_CASE("off the granule: EINVAL, and nothing is unmapped", "[iommu_core]") {
  Bench b;
  CHECK(b.domain.map(b.cpu, Iova{0x1800}, Gpa{0x1000}, page_size, {}).error == EINVAL);
  CHECK(b.domain.map(b.cpu, Iova{0x1000}, Gpa{0x1800}, page_size, {}).error == EINVAL);
  CHECK(b.domain.map(b.cpu, Iova{0x1000}, Gpa{0x1000}, page_size + 1, {}).error == EINVAL);
  CHECK(b.domain.unmap(b.cpu, Iova{0x1800}, page_size) == 0);
  CHECK(b.domain.unmap(b.cpu, Iova{0x1000}, page_size / 2) == 0);
  for (const std::string& call : b.take()) CHECK(call == "sync nothing");
  Bench none({}, PageSizeBitmap{});
  CHECK(none.map(1, 1, 1).error == EINVAL);
}

TEST_CASE("a run off the granule undoes the runs before it", "[iommu_core]") {
  Bench b;
  const MapResult result = b.map_sg(0x10, {{Gpa::from_page(7), page_size}, {Gpa{0x10'0800}, page_size}});
  CHECK(result.error == EINVAL);
  CHECK(result.left_mapped == 0);
  CHECK(b.take() == Calls{"map 16:1x1", "unmap 16:1x1", "sync 16+1"});
}

TEST_CASE("a map that fails half way is unmapped again, with a sync", "[iommu_core]") {
  Bench b;
  b.driver.refuses_map = 0x15;
  const MapResult result = b.map(0x10, 0x310, 8);
  CHECK(result.error == ENOMEM);
  CHECK(result.left_mapped == 0);
  CHECK(b.driver.mapped.empty());
  CHECK(b.take() == Calls{"map 16:1x8", "unmap 16:1x5", "sync 16+5"});
  CHECK(test::of_kind<trace::MapReturned>(b.recorder.events).at(0).second.status == ENOMEM);

  b.driver.refuses_map = 0x10;  // at once: there is nothing to undo
  CHECK(b.map(0x10, 0x310, 8).error == ENOMEM);
  CHECK(b.take() == Calls{"map 16:1x8"});
}

TEST_CASE("what an undo cannot unmap stays, and is told", "[iommu_core]") {
  Bench b({}, page_sizes_powers_of_two);
  b.driver.refuses_map = 0x10e;
  b.driver.refuses_unmap = 0x108;  // the second of the chunks 8, 4, 2
  const MapResult result = b.map(0x100, 0x100, 15);
  CHECK(result.error == ENOMEM);
  CHECK(result.left_mapped == 6 * page_size);
  CHECK(b.driver.mapped.size() == 6);
  CHECK(b.take() == Calls{"map 256:8x1", "map 264:4x1", "map 268:2x1", "map 270:1x1", "unmap 256:8x1",
                          "unmap 264:4x1", "sync 256+8"});
}

TEST_CASE("an undo that unmaps more than was mapped leaves nothing behind", "[iommu_core]") {
  Bench b;
  REQUIRE(b.map(0x12, 0x12, 2).error == 0);
  b.driver.refuses_map = 0x11;
  b.driver.leaf_pages = 4;
  b.driver.mapped[0x11] = 1;
  CHECK(b.map(0x10, 0x10, 2).left_mapped == 0);
}

TEST_CASE("a failing iotlb_sync_map undoes the map since 6.7, and was not looked at before", "[iommu_core]") {
  Bench since;
  since.driver.sync_map_error = ENOMEM;
  CHECK(since.map(0x10, 0x10, 4).error == ENOMEM);
  CHECK(since.take() == Calls{"map 16:1x4", "sync_map 16:4x1", "unmap 16:1x4", "sync 16+4"});
  CHECK(since.driver.mapped.empty());

  Bench before(linux_6_1);
  before.driver.sync_map_error = ENOMEM;
  CHECK(before.map(0x10, 0x10, 4).error == 0);
  CHECK(before.driver.mapped.size() == 4);
}

TEST_CASE("a driver that leaves the gather empty: synced to 6.12, filled in 7.x, forgotten in between",
          "[iommu_core]") {
  const auto unmap_calls = [](const IommuCoreBehaviour& behaviour) {
    Bench b(behaviour);
    b.driver.gathers = false;
    REQUIRE(b.map(0x10, 0x10, 4).error == 0);
    b.take();
    CHECK(b.unmap(0x10, 4) == 4);
    return b.take();
  };
  CHECK(unmap_calls(linux_6_12) == Calls{"unmap 16:1x4", "sync nothing"});
  CHECK(unmap_calls(linux_7_2) == Calls{"unmap 16:1x4", "sync 16+4"});
  CHECK(unmap_calls({.skip_empty_gather = true}) == Calls{"unmap 16:1x4"});
}

TEST_CASE("page-table pages are freed after the sync that drops what points to them", "[iommu_core]") {
  Bench b;
  REQUIRE(b.map(0x200, 0x200, 512).error == 0);
  b.driver.frees_tables = true;
  b.take();
  CHECK(b.unmap(0x200, 512) == 512);
  CHECK(b.take() == Calls{"unmap 512:512x1", "sync 512+512", "free 7"});
}

TEST_CASE("flush_all is the driver's", "[iommu_core]") {
  Bench b;
  b.domain.flush_all(b.cpu);
  CHECK(b.take() == Calls{"flush all"});
}

TEST_CASE("a driver call costs one iommu_call", "[iommu_core]") {
  Bench counted(linux_6_1), each(linux_5_12);
  REQUIRE(counted.map(0x10, 0x310, 16).error == 0);
  REQUIRE(each.map(0x10, 0x310, 16).error == 0);
  CHECK(counted.cpu.now() == counted.costs.iommu_call);
  CHECK(each.cpu.now() == 16 * each.costs.iommu_call);
}

}  // namespace
}  // namespace gnomon::guest
