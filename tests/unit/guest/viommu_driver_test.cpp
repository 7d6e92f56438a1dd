// SPDX-License-Identifier: Apache-2.0
// The virtio-iommu driver and the IOMMU core above it, byte by byte and kick by kick.
#include <cerrno>

#include <catch2/catch.hpp>

#include "tests/support/viommu_bench.hpp"

namespace gnomon::guest {
namespace {

using test::count_of;
using test::of_kind;
using Bench = test::ViommuBench;
using Pages = std::map<std::uint64_t, std::uint64_t>;

constexpr DmaAccess both{true, true};

struct Attached : Bench {
  explicit Attached(const Options& options = {}) : Bench(options) {
    REQUIRE(attach() == 0);
    requests.clear();
    processor.stores.clear();
    recorder.events.clear();
  }
  int map(std::uint64_t iova_page, std::vector<Run> runs) {
    return domain.map_sg(cpu, Iova::from_page(iova_page), runs, both).error;
  }
  int map(std::uint64_t iova_page, std::uint64_t gpa_page, std::uint64_t count = 1) {
    return map(iova_page, std::vector<Run>{{Gpa::from_page(gpa_page), count * page_size}});
  }
  std::uint64_t unmap(std::uint64_t iova_page, std::uint64_t count = 1) {
    return domain.unmap(cpu, Iova::from_page(iova_page), count * page_size) / page_size;
  }
};

TEST_CASE("requests as they lie in memory: ATTACH, MAP, UNMAP") {
  Bench b({});
  REQUIRE(b.attach() == 0);
  CHECK(b.requests.back() ==
        "01000000 "   // type
        "01000000 "   // domain
        "00010000 "   // endpoint
        "00000000 "   // flags
        "00000000");  // reserved
  const Run run{Gpa{0x45'6000}, 3 * page_size};
  REQUIRE(b.domain.map_sg(b.cpu, Iova{0x1'2345'6000}, {&run, 1}, DmaAccess{true, false}).error == 0);
  CHECK(b.requests.back() ==
        "03000000 01000000 "
        "00604523 01000000 "  // first byte
        "ff8f4523 01000000 "  // last byte
        "00604500 00000000 "  // guest-physical
        "01000000");          // readable
  CHECK(b.domain.unmap(b.cpu, Iova{0x1'2345'6000}, 3 * page_size) == 3 * page_size);
  CHECK(b.requests.back() == "04000000 01000000 00604523 01000000 ff8f4523 01000000 00000000");
  CHECK(b.requests.size() == 3);
  CHECK(b.processor.stores == std::vector<test::SoloProcessor::Store>(3, {Bench::notify, 0, 2}));
}

TEST_CASE("the access decides the flags") {
  const auto access = GENERATE(DmaAccess{true, false}, DmaAccess{false, true}, DmaAccess{true, true});
  Attached b;
  const Run run{Gpa{0x5000}, page_size};
  REQUIRE(b.domain.map_sg(b.cpu, Iova{0x1000}, {&run, 1}, access).error == 0);
  CHECK(b.requests.back().substr(b.requests.back().size() - 8) == (access.read && access.write ? "03000000"
                                                                   : access.read               ? "01000000"
                                                                                               : "02000000"));
}

TEST_CASE("a map of two runs: one kick for both with iotlb_sync_map, one each without; visible at its return") {
  const bool sync_map = GENERATE(true, false);
  Bench::Options options;
  options.driver.sync_map = sync_map;
  Attached b(options);
  REQUIRE(b.map(0x10, {{Gpa::from_page(100), 2 * page_size}, {Gpa::from_page(200), page_size}}) == 0);
  CHECK(b.requests.size() == 2);
  CHECK(b.kicks() == (sync_map ? 1 : 2));
  CHECK(b.shadow.pages == Pages{{0x10, 100}, {0x11, 101}, {0x12, 200}});
  const auto synced = of_kind<trace::SyncDone>(b.recorder.events);
  CHECK(synced.size() == (sync_map ? 1 : 0));
  const auto returned = of_kind<trace::MapReturned>(b.recorder.events).at(0).second;
  CHECK(returned.runs == 2);
  CHECK(returned.bytes == 3 * page_size);
  CHECK(returned.status == 0);
}

TEST_CASE("runs that touch are one MAP; what the page sizes cannot join are several") {
  Attached b;
  REQUIRE(b.map(0x10, {{Gpa::from_page(100), page_size}, {Gpa::from_page(101), page_size}}) == 0);
  CHECK(b.requests.size() == 1);
  b.requests.clear();
  REQUIRE(b.map(0x1ff, 0x3ff, 514) == 0);  // 4 KiB up to the 2 MiB boundary, 2 MiB, 4 KiB
  CHECK(b.requests.size() == 3);
  CHECK(b.kicks() == 2);
}

TEST_CASE("an unmap returns when the device has forgotten") {
  Attached b;
  REQUIRE(b.map(0x10, 100, 16) == 0);
  REQUIRE(b.unmap(0x10, 16) == 16);
  CHECK(b.shadow.pages.empty());
  CHECK(b.kicks() == 2);
  const auto order = [&] {
    std::string text;
    for (const auto& e : b.recorder.events) {
      if (std::holds_alternative<trace::MappingRemoved>(e.event)) text += "removed ";
      if (std::holds_alternative<trace::SyncDone>(e.event)) text += "synced ";
      if (std::holds_alternative<trace::UnmapReturned>(e.event)) text += "returned ";
    }
    return text;
  }();
  CHECK(order == "synced removed synced returned ");
}

TEST_CASE("a deferred unmap is queued without a kick and goes with the next one, before what came later") {
  Attached b;
  REQUIRE(b.map(0x10, 100) == 0);
  IotlbGather gather;
  gather.queued = true;
  CHECK(b.domain.unmap_fast(b.cpu, Iova::from_page(0x10), page_size, gather) == page_size);
  CHECK(b.kicks() == 1);
  CHECK(b.shadow.pages.size() == 1);
  REQUIRE(b.map(0x10, 200) == 0);  // the same IOVA: in order, or it would overlap
  CHECK(b.kicks() == 2);
  CHECK(b.shadow.pages == Pages{{0x10, 200}});
}

TEST_CASE("flush_iotlb_all drains what is queued, and kicks only if something is") {
  Attached b;
  REQUIRE(b.map(0x10, 100) == 0);
  IotlbGather gather;
  b.domain.unmap_fast(b.cpu, Iova::from_page(0x10), page_size, gather);
  b.driver.flush_iotlb_all(b.cpu);
  CHECK(b.kicks() == 2);
  CHECK(b.shadow.pages.empty());
  b.driver.flush_iotlb_all(b.cpu);
  CHECK(b.kicks() == 2);
  CHECK(of_kind<trace::GuestKick>(b.recorder.events).back().second.suppressed == 1);
}

TEST_CASE("a refused MAP that was waited for is an error at once, and leaves nothing behind") {
  Bench::Options options;
  options.driver.sync_map = false;
  Attached b(options);
  b.shadow.refuse_after = 1;
  REQUIRE(b.map(0x10, {{Gpa::from_page(100), page_size},
                       {Gpa::from_page(200), page_size},
                       {Gpa::from_page(300), page_size}}) == ENOMEM);
  CHECK(b.shadow.pages.empty());  // the first was undone
  CHECK(b.requests.size() == 3);  // MAP, refused MAP, UNMAP; the third run was never sent
  CHECK(of_kind<trace::MapReturned>(b.recorder.events).at(0).second.status == ENOMEM);
  CHECK(count_of<trace::MappingAdded>(b.recorder.events) == 2);
  CHECK(count_of<trace::MappingRemoved>(b.recorder.events) == 2);
  REQUIRE(b.map(0x10, 400, 3) == 0);
}

TEST_CASE("a refused MAP that was only queued: the map succeeds, and nobody knows") {
  Attached b;
  b.shadow.refuse_after = 0;
  CHECK(b.map(0x10, 100) == 0);
  CHECK(b.shadow.pages.empty());
  CHECK(b.map(0x10, 200) == EEXIST);  // the driver believes it mapped
  CHECK(b.unmap(0x10) == 1);          // and the device is fine with unmapping nothing
  CHECK(b.map(0x10, 200) == 0);
}

TEST_CASE("a driver that reports the errors of queued requests: the map fails and is undone") {
  Bench::Options options;
  options.report_errors = true;
  Attached b(options);
  b.shadow.refuse_after = 1;
  CHECK(b.map(0x10, {{Gpa::from_page(100), page_size}, {Gpa::from_page(200), page_size}}) == ENOMEM);
  CHECK(b.shadow.pages.empty());
  CHECK(b.map(0x10, 300, 2) == 0);  // the error is told once, and the range is free
}

TEST_CASE("an error belongs to the map whose request it was") {
  Bench::Options options;
  options.report_errors = true;
  Attached b(options);
  b.shadow.refuse_after = 0;
  virtio_iommu::Map other;  // somebody else's, drained by this CPU's sync
  other.domain = 1;
  other.virt_start = 0x99'000;
  other.virt_end = 0x99'fff;
  other.flags = virtio_iommu::map_read;
  b.queue.add(b.cpu, other, {1, Iova{0x99'000}, {}, page_size, trace::RequestType::map}, [](Cpu&) {});
  CHECK(b.map(0x10, 100) == 0);
  CHECK(b.queue.take_error(1, Iova{0x10'000}, page_size) == 0);
  CHECK(b.queue.take_error(1, Iova{0x99'000}, page_size) == ENOMEM);
  CHECK(b.queue.take_error(1, Iova{0x99'000}, page_size) == 0);
}

TEST_CASE("a core before 6.7 does not look at what iotlb_sync_map returns") {
  Bench::Options options;
  options.report_errors = true;
  options.core.sync_map_can_fail = false;
  Attached b(options);
  b.shadow.refuse_after = 0;
  CHECK(b.map(0x10, 100) == 0);
}

TEST_CASE("a failed send_sync is told by itself and not again by a later sync") {
  Bench::Options options;
  options.report_errors = true;
  options.driver.sync_map = false;
  Attached b(options);
  b.shadow.refuse_after = 0;
  CHECK(b.map(0x10, 100) == ENOMEM);
  CHECK(b.queue.take_error(1, Iova{0}, ~std::uint64_t{0}) == 0);
}

TEST_CASE("every status of the device is the errno Linux makes of it") {
  using virtio_iommu::Status;
  const auto [status, error] =
      GENERATE(std::pair{Status::ok, 0}, std::pair{Status::unsupp, ENOSYS}, std::pair{Status::inval, EINVAL},
               std::pair{Status::range, ERANGE}, std::pair{Status::noent, ENOENT}, std::pair{Status::fault, EFAULT},
               std::pair{Status::nomem, ENOMEM}, std::pair{Status::ioerr, EIO}, std::pair{Status::deverr, EIO},
               std::pair{static_cast<Status>(99), EIO});
  CHECK(ViommuRequestQueue::error_of(status) == error);
}

TEST_CASE("a full ring is drained before the next request, and that is an early sync") {
  Bench::Options options;
  options.ring = 4;
  Attached b(options);
  std::vector<Run> runs;
  for (std::uint64_t i = 0; i < 9; ++i) runs.push_back({Gpa::from_page(100 + 2 * i), page_size});
  REQUIRE(b.map(0x10, runs) == 0);
  CHECK(b.requests.size() == 9);
  CHECK(b.kicks() == 3);  // 4, 4, and the last with iotlb_sync_map
  std::string kinds;
  for (const auto& [at, sync] : of_kind<trace::SyncDone>(b.recorder.events)) {
    kinds += sync.kind == trace::Sync::early ? "early " : sync.kind == trace::Sync::map ? "map " : "other ";
  }
  CHECK(kinds == "early early map ");
  CHECK(b.shadow.pages.size() == 9);
}

TEST_CASE("an unmap that meets a hole forgets what it saw and tells the device nothing, as Linux to 7.0") {
  Attached b;
  REQUIRE(b.map(0x10, 100) == 0);
  REQUIRE(b.map(0x12, 102) == 0);
  b.requests.clear();
  CHECK(b.unmap(0x10, 3) == 0);
  CHECK(b.requests.empty());
  CHECK(b.shadow.pages.size() == 2);  // leaked in the device
  CHECK(of_kind<trace::MappingRemoved>(b.recorder.events).back().second.bytes == 2 * page_size);
  CHECK(b.unmap(0x10) == 0);
}

TEST_CASE("an unmap of a part takes the whole MAP with it from its start, and nothing from its middle") {
  Attached b;
  REQUIRE(b.map(0x10, 100, 4) == 0);
  SECTION("from its start") {
    CHECK(b.unmap(0x10, 2) == 4);
    CHECK(b.shadow.pages.empty());
  }
  SECTION("from its middle") {
    CHECK(b.unmap(0x12, 2) == 0);
    CHECK(b.shadow.pages.size() == 4);
  }
}

TEST_CASE("one UNMAP may cover many MAPs") {
  Attached b;
  REQUIRE(b.map(0x10, {{Gpa::from_page(100), page_size}, {Gpa::from_page(300), 3 * page_size}}) == 0);
  b.requests.clear();
  CHECK(b.unmap(0x10, 4) == 4);
  CHECK(b.requests.size() == 1);
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("before the first endpoint is attached nothing is sent; ATTACH replays it") {
  Bench b({});
  const Run run{Gpa::from_page(100), 2 * page_size};
  REQUIRE(b.domain.map_sg(b.cpu, Iova::from_page(0x10), {&run, 1}, both).error == 0);
  REQUIRE(b.domain.map_sg(b.cpu, Iova::from_page(0x20), {&run, 1}, both).error == 0);
  CHECK(b.domain.unmap(b.cpu, Iova::from_page(0x20), 2 * page_size) == 2 * page_size);
  CHECK(b.kicks() == 0);
  REQUIRE(b.attach() == 0);
  CHECK(b.requests.size() == 2);
  CHECK(b.shadow.pages == Pages{{0x10, 100}, {0x11, 101}});
}

TEST_CASE("an endpoint the device does not know cannot be attached") {
  Bench b({});
  CHECK(b.driver.attach(b.cpu, 0x200) == ENOENT);
}

TEST_CASE("the planted bug: iotlb_sync does nothing") {
  Bench::Options options;
  options.driver.faults.skip_iotlb_sync = true;
  Attached b(options);
  REQUIRE(b.map(0x10, 100) == 0);
  CHECK(b.unmap(0x10) == 1);
  CHECK(b.kicks() == 1);
  CHECK(b.shadow.pages.size() == 1);
}

TEST_CASE("requests are added and drained with interrupts off and the lock held") {
  Attached b;
  struct Handler final : InterruptHandler {
    explicit Handler(Attached& bench) : b(bench) {}
    void interrupt(Cpu&, unsigned) override {
      held = b.lock.held();
      ++taken;
    }
    Attached& b;
    bool held = true;
    int taken = 0;
  } handler(b);
  b.cpu.set_handler(0x30, handler);
  b.processor.on_store = [&] {
    b.processor.raise(0x30, Time{});
    b.serve();
    CHECK(b.lock.held());
    CHECK(handler.taken == 0);
  };
  REQUIRE(b.map(0x10, 100) == 0);
  CHECK(handler.taken == 1);
  CHECK_FALSE(handler.held);
}

}  // namespace
}  // namespace gnomon::guest
