// SPDX-License-Identifier: Apache-2.0
// iperf over the NIC, whole: what arrives is what was read, everything mapped is unmapped, nothing stalls.
#include "guest/iperf/workload.hpp"

#include <catch2/catch.hpp>

#include "guest/iperf/iperf_json.hpp"
#include "tests/support/nic_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::guest {
namespace {

using test::NicBench;
using test::of_kind;

iperf::IperfSpec short_run() {
  iperf::IperfSpec spec;
  spec.time = Time::ms(10);
  spec.omit = Time::ms(2);
  spec.interval = Time::ms(4);
  return spec;
}

struct IperfRun {
  explicit IperfRun(const iperf::IperfSpec& s, const nic::NicConfig& config = {},
                    const NicDriverOptions& options = {})
      : spec(s), bench(config, options) {
    bench.probe();
    workload = std::make_unique<IperfWorkload>(spec, std::vector<Cpu*>{&bench.cpu}, bench.driver);
    workload->start(bench.cpu, [this](Cpu&) {
      done = true;
      throw NicBench::Stop{};
    });
    bench.run();
  }
  double gigabits() const {
    return static_cast<double>(workload->streams().at(0)->statistics().bytes()) * 8 / spec.time.seconds() / 1e9;
  }
  void tear_down() {
    workload->release(bench.cpu);
    bench.driver.remove(bench.cpu);
  }
  iperf::IperfSpec spec;
  NicBench bench;
  std::unique_ptr<IperfWorkload> workload;
  bool done = false;
};

TEST_CASE("one receive flow is bound by its core, between copy and wire") {
  IperfRun run(short_run());
  REQUIRE(run.done);
  CHECK(run.gigabits() > 20);
  CHECK(run.gigabits() < 100);
  const Time idle = run.bench.cpu.idle_time();
  CHECK(idle < Time::ms(2));
  CHECK(run.bench.core.counters().packets_dropped == run.bench.dropped_events);
}

TEST_CASE("with free software the wire is the limit: its payload's share of 100 Gbit/s") {
  NicDriverOptions options;
  options.costs =
      NicCosts{Time::ns(10), Time::ns(1), Time{}, Time::ns(1), Time{}, Time{},       Time{},       Time::ns(10),
               Time::ns(10), Time{},      Time{}, Time{},      Time{}, Time::ns(10), Time::ns(10), Time{}};
  IperfRun run(short_run(), {}, options);
  REQUIRE(run.done);
  CHECK(run.gigabits() == Approx(100.0 * 1448 / 1538).epsilon(0.01));
}

TEST_CASE("every page mapped is unmapped at the end, whatever share is recycled") {
  const std::uint32_t recycled = GENERATE(1'000'000u, 900'000u, 0u);
  NicDriverOptions options;
  options.pool.recycled_ppm = recycled;
  iperf::IperfSpec spec = short_run();
  spec.live_mapping = 1 << 20;
  IperfRun run(spec, {}, options);
  REQUIRE(run.done);
  const auto before = run.bench.queue().pool().counters();
  CHECK(run.bench.dma.pages.size() >= 256 + 1023);  // the live mapping, the posted pages
  if (recycled == 0) CHECK(before.recycled == 0);
  if (recycled == 1'000'000) CHECK(before.unmapped == 0);
  run.tear_down();
  const auto& after = run.bench.queue().pool().counters();
  CHECK(after.mapped == after.unmapped);
  CHECK(run.bench.dma.maps == run.bench.dma.unmaps);
  CHECK(run.bench.dma.pages.empty());
}

TEST_CASE("an ACK is a map and an unmap, every ack_every bytes") {
  iperf::IperfSpec spec = short_run();
  spec.ack_every = 256 * 1024;
  IperfRun run(spec);
  REQUIRE(run.done);
  const TcpSocket::Counters& c = run.workload->streams().at(0)->socket().counters();
  const std::uint64_t received = run.bench.queue().counters().packets * 1448;
  const std::uint64_t paced = c.acks_sent - c.window_updates - c.duplicate_acks_sent;
  CHECK(paced <= received / spec.ack_every + 64);
  CHECK(paced >= received / (spec.ack_every + 128 * 1024) - 1);
  const std::uint64_t rings = 3;
  CHECK(run.bench.dma.maps ==
        rings + run.bench.queue().pool().counters().mapped + run.bench.queue().counters().frames);
}

TEST_CASE("an empty ring drops, counts, and the flow recovers") {
  NicDriverOptions options;
  options.receive_ring = 64;
  options.costs.completion = Time::ns(900);  // slower than the wire
  nic::NicConfig config;
  config.peer.loss_timeout = Time::ms(2);  // the run is shorter than Linux's
  IperfRun run(short_run(), config, options);
  REQUIRE(run.done);
  CHECK(run.bench.core.counters().packets_dropped > 0);
  CHECK(run.bench.core.counters().packets_dropped == run.bench.dropped_events);
  CHECK(run.bench.core.peer().retransmissions > 0);
  CHECK(run.bench.core.peer().timeouts == 0);
  CHECK(run.gigabits() > 10);
  const TcpSocket& socket = run.workload->streams().at(0)->socket();
  CHECK(socket.counters().duplicate_acks_sent > 0);
  CHECK(socket.counters().out_of_order > 0);
  run.tear_down();
  CHECK(run.bench.dma.pages.empty());
}

TEST_CASE("packets are received, dropped or under way: none is lost from the books") {
  IperfRun run(short_run());
  REQUIRE(run.done);
  const std::uint64_t polled = run.bench.queue().counters().packets;
  CHECK(polled <= run.bench.core.counters().packets_received);
  std::uint64_t told = 0;
  for (const auto& [at, poll] : of_kind<trace::PollReturned>(run.bench.recorder.events)) told += poll.packets;
  CHECK(told == polled);
}

TEST_CASE("reverse: the guest sends, a map a piece, and the peer takes everything") {
  iperf::IperfSpec spec = short_run();
  spec.reverse = true;
  IperfRun run(spec);
  REQUIRE(run.done);
  CHECK(run.gigabits() > 20);
  CHECK(run.gigabits() < 100);
  CHECK(run.bench.core.peer().bytes_taken >= run.workload->streams().at(0)->statistics().bytes());
  run.tear_down();
  CHECK(run.bench.dma.maps == run.bench.dma.unmaps);
}

TEST_CASE("a bitrate is kept") {
  iperf::IperfSpec spec = short_run();
  nic::NicConfig config;
  const bool reverse = GENERATE(false, true);
  spec.reverse = reverse;
  spec.bitrate = 8'000'000'000;
  config.peer.rate = spec.bitrate / 8;
  IperfRun run(spec, config);
  REQUIRE(run.done);
  CHECK(run.gigabits() == Approx(8.0).epsilon(0.05));
  CHECK(run.bench.cpu.idle_time() > Time::ms(5));
}

TEST_CASE("jumbo frames: three buffers a packet; coalesced: whole pages of payload") {
  iperf::IperfSpec spec = short_run();
  nic::NicConfig config;
  const bool coalesce = GENERATE(false, true);
  spec.mtu = 9000;
  config.packing.coalesce = coalesce;
  IperfRun run(spec, config);
  REQUIRE(run.done);
  const auto& c = run.bench.queue().counters();
  if (coalesce) {
    CHECK(static_cast<double>(c.packets) * 8948 / static_cast<double>(c.buffers) == Approx(4096).epsilon(0.02));
  } else {
    CHECK(c.buffers == 3 * (c.packets - 1) + 1);  // the SYN-ACK takes one
  }
  CHECK(run.gigabits() > 20);
  run.tear_down();
  CHECK(run.bench.dma.pages.empty());
}

TEST_CASE("the window opens after omit and closes after time") {
  IperfRun run(short_run());
  REQUIRE(run.done);
  const auto opened = of_kind<trace::WindowOpened>(run.bench.recorder.events);
  const auto closed = of_kind<trace::WindowClosed>(run.bench.recorder.events);
  REQUIRE(opened.size() == 1);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].first - opened[0].first >= Time::ms(10) - Time::us(20));
  CHECK(closed[0].first - opened[0].first <= Time::ms(10) + Time::us(200));
  const auto& statistics = run.workload->streams().at(0)->statistics();
  CHECK(statistics.intervals().size() == 3);
  std::uint64_t sum = 0;
  for (const std::uint64_t bytes : statistics.intervals()) sum += bytes;
  CHECK(sum == statistics.bytes());
}

TEST_CASE("the report has iperf3's fields") {
  IperfRun run(short_run());
  const auto outputs = run.workload->outputs(run.bench.now());
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].name == "iperf.json");
  const auto json = nlohmann::json::parse(outputs[0].text);
  CHECK(json["start"]["test_start"]["num_streams"] == 1);
  CHECK(json["start"]["test_start"]["reverse"] == 0);
  CHECK(json["intervals"].size() == 3);
  CHECK(json["end"]["sum_received"]["bytes"] == run.workload->streams().at(0)->statistics().bytes());
  CHECK(json["end"]["sum_received"]["bits_per_second"].get<double>() == Approx(run.gigabits() * 1e9));
  CHECK(json["end"]["cpu_utilization_percent"]["host_total"].get<double>() > 80);
}

TEST_CASE("what cannot be is refused") {
  iperf::IperfSpec spec;
  CHECK_NOTHROW(iperf::validate(spec));
  const auto refused = [](auto change) {
    iperf::IperfSpec s;
    change(s);
    CHECK_THROWS_AS(iperf::validate(s), std::invalid_argument);
  };
  refused([](auto& s) { s.parallel = 0; });
  refused([](auto& s) { s.parallel = 129; });
  refused([](auto& s) { s.length = 1023; });
  refused([](auto& s) { s.time = Time{}; });
  refused([](auto& s) { s.mtu = 575; });
  refused([](auto& s) { s.mtu = 9217; });
  refused([](auto& s) { s.ack_every = (3u << 19) + 1; });
  refused([](auto& s) { s.recycled_ppm = 1'000'001; });
  refused([](auto& s) { s.live_mapping = 4095; });
}

}  // namespace
}  // namespace gnomon::guest
