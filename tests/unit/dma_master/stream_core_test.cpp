// SPDX-License-Identifier: Apache-2.0
// The streaming DMA master: when its requests go out, and which of them come too late.
#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "models/dma_master/core/stream_core.hpp"

namespace gnomon::dma_master {
namespace {

struct FakeBus final : Bus {
  struct Request {
    Time at;
    std::uint64_t iova;
    std::uint32_t bytes;
    bool write;
    bool operator==(const Request&) const = default;
  };
  struct Late {
    std::uint64_t iova;
    Time needed, came;
    bool operator==(const Late&) const = default;
  };
  DmaResult move(Time at, Iova iova, std::uint32_t bytes, bool write) override {
    requests.push_back({at, iova.value, bytes, write});
    const Time took = requests.size() == slow ? slow_latency : latency;
    return {!refuses, at + took};
  }
  void on_underrun(Iova iova, Time needed, Time came, bool /*write*/) override {
    late.push_back({iova.value, needed, came});
  }
  Time latency = Time::us(1);
  std::size_t slow = 0;  // this request, counted from 1, takes longer
  Time slow_latency;
  bool refuses = false;
  std::vector<Request> requests;
  std::vector<Late> late;
};

/// 4 KiB bursts, a FIFO of four, at 4.096 GB/s: 1 us a burst.
struct Bench {
  explicit Bench(DmaMasterConfig config = {}) : core(config, bus) {}
  void begin(std::uint32_t flags, std::vector<std::pair<std::uint64_t, std::uint64_t>> list, Time now = {}) {
    core.mmio_write(now, reg::control, control::clear, 4);
    for (const auto& [iova, bytes] : list) {
      core.mmio_write(now, reg::segment_iova, iova, 8);
      core.mmio_write(now, reg::segment_bytes, bytes, 8);
    }
    core.mmio_write(now, reg::rate, 4'096'000'000, 8);
    core.mmio_write(now, reg::control, control::run | flags, 4);
  }
  std::vector<Time> times() const {
    std::vector<Time> t;
    for (const auto& r : bus.requests) t.push_back(r.at);
    return t;
  }
  FakeBus bus;
  StreamCore core;
};

TEST_CASE("reading: the FIFO is filled at once, then a burst follows each that is drained") {
  Bench b;
  b.begin(0, {{0x10000, 7 * page_size}});
  b.core.advance(Time::ms(1));
  // Full at 1 us; the first burst is drained at 2 us.
  CHECK(b.times() == std::vector<Time>{0_us, 0_us, 0_us, 0_us, 2_us, 3_us, 4_us});
  CHECK(b.bus.requests[6] == FakeBus::Request{4_us, 0x16000, 4096, false});
  CHECK(b.core.mmio_read(reg::moved, 8) == 7 * page_size);
  CHECK(b.core.mmio_read(reg::underruns, 8) == 0);
  CHECK(b.core.mmio_read(reg::status, 4) == 0);
  CHECK(b.core.next_action() == Time::max());
}

TEST_CASE("no request crosses a page or a segment") {
  Bench b;
  b.begin(control::write, {{0x10800, 0x1000}, {0x40000, 0x100}});
  b.core.advance(Time::ms(1));
  REQUIRE(b.bus.requests.size() == 3);
  CHECK(b.bus.requests[0] == FakeBus::Request{Time::ns(500), 0x10800, 0x800, true});
  CHECK(b.bus.requests[1] == FakeBus::Request{1_us, 0x11000, 0x800, true});
  CHECK(b.bus.requests[2].bytes == 0x100);
}

TEST_CASE("a request that takes longer than the FIFO lasts is an underrun; the stream keeps its time") {
  Bench b;
  b.bus.slow = 5;
  b.bus.slow_latency = Time::us(4);  // sent at 2 us, due at 5 us
  b.begin(0, {{0x10000, 12 * page_size}});
  b.core.advance(Time::ms(1));
  CHECK(b.bus.late == std::vector<FakeBus::Late>{{0x14000, 5_us, 6_us}});
  CHECK(b.core.mmio_read(reg::underruns, 8) == 1);
  CHECK(b.bus.requests.back().at == 9_us);
}

TEST_CASE("latency just inside the FIFO is no underrun") {
  Bench b;
  b.bus.slow = 5;
  b.bus.slow_latency = Time::us(3);
  b.begin(0, {{0x10000, 12 * page_size}});
  b.core.advance(Time::ms(1));
  CHECK(b.bus.late.empty());
}

TEST_CASE("few requests in flight: with latency above the rate's time every burst is late") {
  DmaMasterConfig config;
  config.outstanding = 1;
  Bench b{config};
  b.bus.latency = Time::us(2);
  b.begin(0, {{0x10000, 16 * page_size}});
  b.core.advance(Time::ms(1));
  CHECK(b.times()[1] == 2_us);
  CHECK(b.times()[15] == 31_us);  // full at 8 us, then one every two
  CHECK(b.core.mmio_read(reg::underruns, 8) > 0);
}

TEST_CASE("writing: a burst goes out when its data is there, and must land before the FIFO is full again") {
  Bench b;
  b.begin(control::write, {{0x10000, 3 * page_size}}, 10_us);
  CHECK(b.core.next_action() == 11_us);
  b.bus.slow = 2;
  b.bus.slow_latency = Time::us(5);  // sent at 12 us, four bursts of room: until 16 us
  b.core.advance(Time::ms(1));
  CHECK(b.times() == std::vector<Time>{11_us, 12_us, 13_us});
  CHECK(b.bus.late == std::vector<FakeBus::Late>{{0x11000, 16_us, 17_us}});
}

TEST_CASE("repeat begins again; stop ends it; a start counts from zero") {
  Bench b;
  b.bus.refuses = true;
  b.begin(control::repeat, {{0x10000, 2 * page_size}});
  b.core.advance(10_us);
  CHECK(b.core.mmio_read(reg::status, 4) == status_running);
  CHECK(b.bus.requests.size() == 4 + 9);
  CHECK(b.bus.requests[12].iova == 0x10000);
  CHECK(b.core.mmio_read(reg::refused, 8) == 13);
  b.core.mmio_write(10_us, reg::control, 0, 4);
  CHECK(b.core.next_action() == Time::max());
  CHECK(b.core.mmio_read(reg::moved, 8) == 13 * page_size);
  b.core.mmio_write(20_us, reg::control, control::run, 4);
  CHECK(b.core.mmio_read(reg::moved, 8) == 0);
  CHECK(b.core.mmio_read(reg::refused, 8) == 0);
}

TEST_CASE("nothing to stream does not start; what cannot be is refused") {
  Bench b;
  b.core.mmio_write({}, reg::rate, 1000, 8);
  b.core.mmio_write({}, reg::control, control::run, 4);
  CHECK(b.core.next_action() == Time::max());
  FakeBus bus;
  CHECK_THROWS_AS((StreamCore{{3000, 12000, 4, 16}, bus}), std::invalid_argument);
  CHECK_THROWS_AS((StreamCore{{4096, 6000, 4, 16}, bus}), std::invalid_argument);
  CHECK_THROWS_AS((StreamCore{{4096, 8192, 0, 16}, bus}), std::invalid_argument);
}

TEST_CASE("a list written while it runs takes over at the end of the one under way, and only when told") {
  Bench b;
  b.begin(control::repeat, {{0x10000, 2 * page_size}});
  b.core.advance(5_us);
  b.core.mmio_write(5_us, reg::segment_iova, 0x80000, 8);
  b.core.mmio_write(5_us, reg::segment_bytes, 2 * page_size, 8);
  b.core.advance(10_us);
  for (const auto& request : b.bus.requests) CHECK(request.iova < 0x80000);
  const std::size_t before = b.bus.requests.size();
  b.core.mmio_write(10_us, reg::update, 1, 4);
  CHECK(b.core.mmio_read(reg::update, 4) == 1);
  b.core.advance(20_us);
  CHECK(b.core.mmio_read(reg::update, 4) == 0);
  const auto& all = b.bus.requests;
  const auto first = std::find_if(all.begin(), all.end(), [](const auto& r) { return r.iova >= 0x80000; });
  REQUIRE(first != all.end());
  CHECK(static_cast<std::size_t>(first - all.begin()) % 2 == 0);  // not within a frame
  CHECK(static_cast<std::size_t>(first - all.begin()) <= before + 2);
  for (auto r = first; r != all.end(); ++r) CHECK(r->iova >= 0x80000);
  CHECK(b.core.mmio_read(reg::underruns, 8) == 0);
  CHECK(b.core.mmio_read(reg::moved, 8) == all.size() * page_size);
}

TEST_CASE("an update without a list, or of a device that stands still, is none") {
  Bench b;
  b.begin(control::repeat, {{0x10000, 2 * page_size}});
  b.core.mmio_write(0_us, reg::update, 1, 4);
  CHECK(b.core.mmio_read(reg::update, 4) == 0);
  b.core.mmio_write(1_us, reg::control, 0, 4);
  b.core.mmio_write(1_us, reg::segment_iova, 0x80000, 8);
  b.core.mmio_write(1_us, reg::segment_bytes, page_size, 8);
  b.core.mmio_write(1_us, reg::update, 1, 4);
  CHECK(b.core.mmio_read(reg::update, 4) == 0);
}

}  // namespace
}  // namespace gnomon::dma_master
