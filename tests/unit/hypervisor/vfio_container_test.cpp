// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/vfio_container.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

#include "models/hypervisor/core/config.hpp"
#include "tests/support/flat_io_page_table.hpp"

using namespace gnomon;
using hypervisor::DmaAccess;
using hypervisor::IotlbSyncRange;
using hypervisor::PinCounts;
using hypervisor::VfioConfig;
using hypervisor::VfioContainer;
using hypervisor::VfioStatus;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t gib = std::uint64_t{1} << 30;

// What the hardware is told, and whether the order was right when it was.
struct Syncs final : hypervisor::IotlbSync {
  Syncs(test::FlatIoPageTable& table_, const PinCounts& pins_) : table(table_), pins(pins_) {}
  void sync(const IotlbSyncRange& range) override {
    ranges.push_back(range);
    for (Iova at = range.first; at < range.last && at.value != 0; at += page_size) gone &= !table.iova_to_phys(at);
    pinned.push_back(pins.pins());
  }
  test::FlatIoPageTable& table;
  const PinCounts& pins;
  std::vector<IotlbSyncRange> ranges;
  std::vector<std::uint64_t> pinned;  // pins at the time of each sync
  bool gone = true;                   // no entry of a range was left when it was invalidated
};

struct Host {
  explicit Host(Backing backing, std::uint64_t bytes, VfioConfig config = {})
      : Host(config, [&](PhysicalMemory& m) { return GuestRam(m, Hpa{0}, bytes, backing, 1); }) {}
  template <class MakeRam>
  Host(VfioConfig config, const MakeRam& make_ram)
      : ram(make_ram(memory)), container(std::make_unique<VfioContainer>(table, ram, pins, config)) {}

  auto map(std::uint64_t iova_page, std::uint64_t gpa_page, std::uint64_t pages) {
    return container->map(Iova::from_page(iova_page), Gpa::from_page(gpa_page), pages << page_shift,
                          DmaAccess::read_write, syncs);
  }
  auto unmap(std::uint64_t iova_page, std::uint64_t pages) {
    table.walks = 0;
    return container->unmap(Iova::from_page(iova_page), pages << page_shift, syncs);
  }

  PhysicalMemory memory{8 * gib};
  GuestRam ram;
  test::FlatIoPageTable table;
  PinCounts pins{8 * gib};
  Syncs syncs{table, pins};
  std::unique_ptr<VfioContainer> container;
};

Host bare(VfioConfig config = {}) {
  return Host(config, [](PhysicalMemory& memory) { return GuestRam::identity(memory, 8 * gib); });
}

}  // namespace

TEST_CASE("one 4 KiB mapping: a slot, a pin, a leaf, and the way back") {
  Host host(Backing::pages_4k, 16 * mib);
  const auto mapped = host.map(0xfffff, 7, 1);
  CHECK(mapped.status == VfioStatus::ok);
  CHECK(mapped.pages_pinned == 1);
  CHECK(mapped.pin_batches == 1);
  CHECK(mapped.runs == 1);
  CHECK(mapped.ptes_written == 1);
  CHECK(host.container->free_slots() == 65534);
  CHECK(host.pins.count(host.ram.to_hpa(Gpa{0x7000})) == 1);
  CHECK(host.table.iova_to_phys(Iova{0xfffff123}) == host.ram.to_hpa(Gpa{0x7123}));

  const auto unmapped = host.unmap(0xfffff, 1);
  CHECK(unmapped.status == VfioStatus::ok);
  CHECK(unmapped.bytes == 4096);
  CHECK(unmapped.walk_steps == 1);
  CHECK(unmapped.ptes_cleared == 1);
  CHECK(unmapped.pages_unpinned == 1);
  REQUIRE(host.syncs.ranges.size() == 1);
  CHECK(host.syncs.ranges[0].first == Iova{0xfffff000});
  CHECK(host.syncs.ranges[0].last == Iova{0xffffffff});
  CHECK(host.syncs.ranges[0].pages_to_unpin == 1);
  CHECK(host.container->free_slots() == 65535);
  CHECK(host.pins.pins() == 0);
  CHECK(host.table.leaves.empty());
}

TEST_CASE("runs and leaves follow the backing") {
  SECTION("4 KiB pages: a run each") {
    Host host(Backing::pages_4k, 16 * mib);
    const auto mapped = host.map(512, 512, 1024);
    CHECK(mapped.runs == 1024);
    CHECK(mapped.pin_batches == 2);
    CHECK(mapped.ptes_written == 1024);
    CHECK(host.unmap(512, 1024).regions == 1024);
  }
  SECTION("THP: 2 MiB leaves where the IOVA lets them") {
    Host host(Backing::thp_2m, 64 * mib);
    const auto mapped = host.map(512, 1024, 1025);
    CHECK(mapped.runs == 3);
    CHECK(mapped.pin_batches == 3);
    CHECK(mapped.ptes_written == 3);
    const auto unmapped = host.unmap(512, 1025);
    CHECK(unmapped.regions == 3);
    CHECK(unmapped.ptes_cleared == 3);
    CHECK(unmapped.walk_steps == 1025 + 2);                 // the step that ends a run is made again by the next
    CHECK(unmapped.walk_steps == host.table.walks - 1025);  // the rest are the check of what is gone
    CHECK(unmapped.syncs == 1);
    const auto crooked = host.map(513, 1024, 512);
    CHECK(crooked.runs == 1);
    CHECK(crooked.ptes_written == 512);
  }
  SECTION("hugetlb: 1 GiB leaves") {
    Host host(Backing::hugetlb_1g, 4 * gib);
    const auto mapped = host.map(0, 0, 2 * (gib >> page_shift));
    CHECK(mapped.ptes_written == 2);
    CHECK(mapped.pages_pinned == 2 * (gib >> page_shift));
  }
  CHECK(true);
}

TEST_CASE("neighbouring chunks that are neighbours in the host are one run") {
  auto host = bare();
  const auto mapped = host.map(0x1000, 0x2000, 3 * 512 + 1);
  CHECK(mapped.runs == 1);
  CHECK(mapped.map_calls == 2);
  CHECK(mapped.ptes_written == 4);
}

TEST_CASE("page sizes are chosen as the IOMMU core does") {
  auto host = bare();
  SECTION("same phase: small ones up to the boundary, then a large one") {
    const auto mapped = host.map(2, 2, 1022);
    CHECK(mapped.map_calls == 2);
    CHECK(mapped.ptes_written == 510 + 1);
  }
  SECTION("no common phase: small ones throughout") {
    const auto mapped = host.map(2, 515, 1022);
    CHECK(mapped.map_calls == 1);
    CHECK(mapped.ptes_written == 1022);
  }
  SECTION("large first, then the rest") {
    const auto mapped = host.map(512, 1024, 528);
    CHECK(mapped.map_calls == 2);
    CHECK(mapped.ptes_written == 1 + 16);
  }
  SECTION("a table with every power of two: 1, 2, 4") {
    host.table.sizes = ~std::uint64_t{0xfff};
    CHECK(host.map(1, 1, 7).map_calls == 3);
  }
  SECTION("4 KiB only") {
    host.table.sizes = 0x1000;
    CHECK(host.map(512, 512, 512).ptes_written == 512);
  }
  SECTION("module parameter disable_hugepages") {
    VfioConfig config;
    config.disable_hugepages = true;
    auto small = bare(config);
    const auto mapped = small.map(512, 512, 512);
    CHECK(mapped.runs == 512);
    CHECK(mapped.pin_batches == 512);
    CHECK(mapped.ptes_written == 512);
    CHECK(small.unmap(512, 512).regions == 1);  // contiguous all the same
  }
}

TEST_CASE("at most 512 regions are unmapped before a sync, and none is unpinned before it") {
  Host host(Backing::pages_4k, 16 * mib);
  SECTION("1025") {
    host.map(0, 100, 1025);
    const auto unmapped = host.unmap(0, 1025);
    CHECK(unmapped.regions == 1025);
    CHECK(unmapped.syncs == 3);
    REQUIRE(host.syncs.ranges.size() == 3);
    CHECK(host.syncs.ranges[0].regions == 512);
    CHECK(host.syncs.ranges[1].first == Iova::from_page(512));
    CHECK(host.syncs.ranges[1].last == Iova::from_page(1024) - 1);
    CHECK(host.syncs.ranges[2].regions == 1);
    CHECK(host.syncs.pinned == std::vector<std::uint64_t>{1025, 513, 1});
    CHECK(unmapped.walk_steps == 2 * 1025 - 1);
  }
  SECTION("exactly 512") {
    host.map(0, 100, 512);
    CHECK(host.unmap(0, 512).syncs == 1);
    CHECK(host.syncs.pinned == std::vector<std::uint64_t>{512});
  }
  SECTION("the count starts anew with each user mapping") {
    host.map(0, 100, 300);
    host.map(300, 500, 300);
    const auto unmapped = host.unmap(0, 600);
    CHECK(unmapped.mappings == 2);
    CHECK(unmapped.syncs == 2);
  }
  CHECK(host.syncs.gone);
  CHECK(host.pins.pins() == 0);
  CHECK(host.pins.pinned_pages() == 0);
}

TEST_CASE("256 MiB of 4 KiB mappings use the slots up") {
  Host host(Backing::thp_2m, 300 * mib);
  for (std::uint64_t i = 0; i < 65535; ++i) REQUIRE(host.map(i, i, 1).status == VfioStatus::ok);
  CHECK(host.container->free_slots() == 0);
  CHECK(host.map(70000, 0, 1).status == VfioStatus::enospc);
  CHECK(host.map(5, 0, 1).status == VfioStatus::eexist);  // looked at first
  CHECK(host.unmap(1000, 1).mappings == 1);
  CHECK(host.map(70000, 0, 1).status == VfioStatus::ok);
  const auto all = host.container->unmap_all(host.syncs);
  CHECK(all.mappings == 65535);
  CHECK(host.container->free_slots() == 65535);
  CHECK(host.pins.pins() == 0);
}

TEST_CASE("what MAP_DMA refuses, and that it leaves nothing") {
  VfioConfig config;
  config.dma_entry_limit = 4;
  Host host(Backing::pages_4k, 16 * mib, config);
  REQUIRE(host.map(10, 10, 10).status == VfioStatus::ok);
  const auto status = [&](std::uint64_t iova, std::uint64_t gpa, std::uint64_t bytes,
                          DmaAccess access = DmaAccess::read) {
    return host.container->map(Iova{iova}, Gpa{gpa}, bytes, access, host.syncs).status;
  };
  CHECK(status(0x9000, 0, 0x1000) == VfioStatus::ok);
  CHECK(status(0x9000, 0, 0x2000) == VfioStatus::eexist);
  CHECK(status(0x13000, 0, 0x1000) == VfioStatus::eexist);
  CHECK(status(0x1000, 0, 0x100000) == VfioStatus::eexist);
  CHECK(status(0x800, 0, 0x1000) == VfioStatus::einval);
  CHECK(status(0, 0x800, 0x1000) == VfioStatus::einval);
  CHECK(status(0, 0, 0x800) == VfioStatus::einval);
  CHECK(status(0, 0, 0) == VfioStatus::einval);
  CHECK(status(0, 0, 0x1000, DmaAccess::none) == VfioStatus::einval);
  CHECK(status(~std::uint64_t{0xfff}, 0, 0x2000) == VfioStatus::einval);
  CHECK(status(std::uint64_t{1} << 48, 0, 0x1000) == VfioStatus::einval);
  CHECK(status((std::uint64_t{1} << 48) - 0x1000, 0, 0x2000) == VfioStatus::einval);
  CHECK(status(0, 16 * mib - 0x1000, 0x2000) == VfioStatus::efault);
  CHECK(status(0, 0xfee00000, 0x1000) == VfioStatus::efault);
  CHECK(host.pins.pins() == 11);
  CHECK(host.container->free_slots() == 2);
  CHECK(host.table.leaves.size() == 11);
}

TEST_CASE("UNMAP_DMA does not bisect") {
  Host host(Backing::pages_4k, 16 * mib);
  host.map(10, 10, 10);
  host.map(30, 30, 10);
  CHECK(host.unmap(10, 5).status == VfioStatus::einval);
  CHECK(host.unmap(15, 5).status == VfioStatus::einval);
  CHECK(host.unmap(0, 15).status == VfioStatus::einval);
  CHECK(host.unmap(10, 25).status == VfioStatus::einval);
  CHECK(host.unmap(35, 25).status == VfioStatus::einval);
  CHECK(host.unmap(12, 1).status == VfioStatus::einval);
  CHECK(host.syncs.ranges.empty());
  CHECK(host.table.leaves.size() == 20);
  const auto hole = host.unmap(20, 10);
  CHECK(hole.status == VfioStatus::ok);
  CHECK(hole.bytes == 0);
  const auto both = host.unmap(5, 60);
  CHECK(both.mappings == 2);
  CHECK(both.bytes == 20 * page_size);
  CHECK(host.container->unmap(Iova{0}, 0, host.syncs).status == VfioStatus::einval);
  CHECK(host.container->unmap(Iova{0x800}, 0x1000, host.syncs).status == VfioStatus::einval);
  CHECK(host.container->unmap(Iova{~std::uint64_t{0xfff}}, 0x2000, host.syncs).status == VfioStatus::einval);
}

TEST_CASE("the last page of the address space can be mapped and unmapped") {
  VfioConfig config;
  config.last_iova = Iova{~std::uint64_t{0}};
  Host host(Backing::pages_4k, 16 * mib, config);
  const std::uint64_t last_page = ~std::uint64_t{0} >> page_shift;
  const bool all = GENERATE(false, true);
  CHECK(host.map(last_page - 1, 5, 2).status == VfioStatus::ok);
  const auto unmapped = all ? host.container->unmap_all(host.syncs) : host.unmap(last_page - 1, 2);
  CHECK(unmapped.mappings == 1);
  CHECK(host.pins.pins() == 0);
  REQUIRE(host.syncs.ranges.size() == 1);
  CHECK(host.syncs.ranges[0].last == Iova{~std::uint64_t{0}});
}

TEST_CASE("a page mapped twice is pinned twice") {
  Host host(Backing::pages_4k, 16 * mib);
  host.map(0, 9, 1);
  host.map(100, 8, 3);
  const Hpa page = host.ram.to_hpa(Gpa::from_page(9));
  CHECK(host.pins.count(page) == 2);
  CHECK(host.pins.pins() == 4);
  CHECK(host.pins.pinned_pages() == 3);
  host.unmap(0, 1);
  CHECK(host.pins.count(page) == 1);
  CHECK(host.pins.pinned_pages() == 3);
}

TEST_CASE("a failure halfway takes everything back") {
  SECTION("no memory for the page table") {
    Host host(Backing::thp_2m, 16 * mib);
    host.table.leaves_left = GENERATE(0u, 1u, 2u, 300u);
    const std::uint64_t possible = host.table.leaves_left;
    const auto mapped = host.map(0, 0, 1024 + 400);
    CHECK(mapped.status == VfioStatus::enomem);
    CHECK(mapped.undone.pages_unpinned == mapped.pages_pinned);
    CHECK(mapped.undone.ptes_cleared == possible);
    CHECK(mapped.undone.syncs == (possible == 0 ? 0 : possible == 300 ? 2 : 1));
    CHECK(host.syncs.gone);
    CHECK(host.pins.pins() == 0);
    CHECK(host.table.leaves.empty());
    CHECK(host.container->free_slots() == 65535);
    CHECK(host.container->mapped_bytes() == 0);
  }
  SECTION("the memory lock limit") {
    VfioConfig config;
    config.locked_page_limit = 10;
    Host host(Backing::pages_4k, 16 * mib, config);
    CHECK(host.map(0, 0, 8).status == VfioStatus::ok);
    CHECK(host.map(100, 0, 3).status == VfioStatus::enomem);
    CHECK(host.container->locked_pages() == 8);
    CHECK(host.map(100, 0, 2).status == VfioStatus::ok);
    CHECK(host.pins.pins() == 10);
  }
}

TEST_CASE("hardware with fine-grained superpages is unmapped leaf by leaf, without looking ahead") {
  VfioConfig config;
  config.fine_grained_superpages = true;
  Host host(Backing::thp_2m, 64 * mib, config);
  host.map(0, 0, 1024 + 3);
  const auto unmapped = host.unmap(0, 1027);
  CHECK(unmapped.regions == 5);
  CHECK(unmapped.walk_steps == 5);
  CHECK(unmapped.pages_unpinned == 1027);
  CHECK(host.pins.pins() == 0);
}

TEST_CASE("VFIO: planted bugs do what they say") {
  VfioConfig config;
  SECTION("skip_invalidation") {
    config.faults.skip_invalidation = true;
    Host host(Backing::pages_4k, 16 * mib, config);
    host.map(0, 0, 600);
    CHECK(host.unmap(0, 600).syncs == 0);
    CHECK(host.syncs.ranges.empty());
    CHECK(host.pins.pins() == 0);
  }
  SECTION("leak_pins: one page an unmap") {
    config.faults.leak_pins = true;
    Host host(Backing::pages_4k, 16 * mib, config);
    host.map(0, 0, 600);
    host.map(600, 600, 5);
    CHECK(host.unmap(0, 605).pages_unpinned == 604);
    CHECK(host.pins.pins() == 1);
    CHECK(host.pins.count(host.ram.to_hpa(Gpa::from_page(604))) == 1);
    CHECK(host.container->locked_pages() == 1);
    host.map(0, 0, 512);
    CHECK(host.unmap(0, 512).pages_unpinned == 511);
  }
}

TEST_CASE("pins cannot go below zero or outside the host") {
  PinCounts pins(16 * page_size);
  pins.pin(Hpa::from_page(3), 2);
  pins.unpin(Hpa::from_page(3), 1);
  CHECK_THROWS_AS(pins.unpin(Hpa::from_page(3), 1), hypervisor::UnbalancedUnpin);
  CHECK_THROWS_AS(pins.pin(Hpa::from_page(15), 2), std::out_of_range);
  CHECK(pins.pins() == 1);
}

TEST_CASE("defaults of a hypervisor") {
  const hypervisor::HypervisorConfig config;
  CHECK(config.request_queue_size == 256);
  CHECK(config.vfio.dma_entry_limit == 65535);
  const hypervisor::HypervisorCosts costs;
  // A kick that finds nothing to do and its way back: part of the 3.5 us of a published synchronisation.
  const Time exit =
      costs.exit + costs.to_user + costs.mmio_dispatch + costs.big_lock + costs.from_user + costs.entry;
  CHECK(exit > Time::us(1));
  CHECK(exit < Time::ns(3500));
}
