// SPDX-License-Identifier: Apache-2.0
// The flash's limits as a host meets them, and determinism.
#include <array>
#include <catch2/catch.hpp>
#include <map>

#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

struct Load {
  unsigned depth = 128;
  std::uint32_t blocks = 8;
  unsigned writes_per_cent = 50;
  unsigned commands = 20'000;
};

/// Keeps `depth` commands outstanding on one queue. The time between the first and the last of the later half.
double commands_per_second(FakeHost& host, const Load& load) {
  host.bus.record_transfers = false;
  host.enable();
  host.create_queue(1, 1024, 1024);
  for (std::uint64_t i = 0; i < 63; ++i) host.bus.store(0x40'0000 + i * 8, 0x60'0000 + i * 0x1000);
  RandomStream random(3, "load");
  const std::uint64_t places = (1u << 30) / 512 / load.blocks;
  const auto next = [&](std::uint16_t cid) {
    const auto opcode = random.below(100) < load.writes_per_cent ? IoOpcode::write : IoOpcode::read;
    return io_command(opcode, cid, random.below(places) * load.blocks, load.blocks, 0x70'0000, 0x40'0000);
  };
  for (unsigned i = 0; i < load.depth; ++i) host.put(1, next(static_cast<std::uint16_t>(i)));
  host.ring(1);
  unsigned done = 0;
  Time half;
  while (done < load.commands) {
    host.now = host.core.next_action();
    host.core.advance(host.now);
    for (const auto& entry : host.reap(1)) {
      REQUIRE(status_of(entry) == Status::success);
      if (++done == load.commands / 2) half = host.now;
      host.submit(1, next(entry.cid));
    }
  }
  return static_cast<double>(load.commands - load.commands / 2) / (host.now - half).seconds();
}

NvmeConfig drive() {
  NvmeConfig config;
  config.capacity = 1u << 30;
  return config;
}

TEST_CASE("64 KiB writes at depth 256 run at the write bandwidth: 40,960 a second") {
  FakeHost host(drive());
  CHECK(commands_per_second(host, {.depth = 256, .blocks = 128, .writes_per_cent = 100, .commands = 40'000}) ==
        Approx(40'960).epsilon(0.001));
}

TEST_CASE("64 KiB reads at depth 256 run at the read bandwidth") {
  FakeHost host(drive());
  CHECK(commands_per_second(host, {.depth = 256, .blocks = 128, .writes_per_cent = 0, .commands = 40'000}) ==
        Approx(3.4e9 / 65536).epsilon(0.001));
}

TEST_CASE("4 KiB half reads, half writes at depth 128: more than 500,000 a second, below what 20 channels could") {
  FakeHost host(drive());
  const double rate = commands_per_second(host, {.commands = 100'000});
  CAPTURE(rate);
  CHECK(rate > 500'000);
  CHECK(rate < 20 / ((48e-6 + 11e-6) / 2));
}

TEST_CASE("one read at a time takes its latency") {
  FakeHost host(drive());
  CHECK(commands_per_second(host, {.depth = 1, .writes_per_cent = 0}) == Approx(18'700).epsilon(0.02));
}

TEST_CASE("no channel serves two commands at once") {
  FakeHost host(drive());
  commands_per_second(host, {.commands = 20'000});
  std::map<unsigned, Time> free;
  for (const auto& s : host.bus.served) {
    REQUIRE(s.channel < 20);
    REQUIRE(s.begin >= free[s.channel]);
    REQUIRE(s.end > s.begin);
    free[s.channel] = s.end;
  }
  CHECK(free.size() == 20);
}

TEST_CASE("stripes spread over the channels whatever the stride") {
  MediaConfig config;
  config.channels = GENERATE(1u, 16u, 20u, 32u);
  const Media media(config, RandomStream(1, "media"));
  for (const std::uint64_t stride : {1u, 2u, 16u, 20u, 32u, 256u}) {
    std::vector<unsigned> hits(config.channels);
    const unsigned total = 400 * config.channels;
    for (std::uint64_t i = 0; i < total; ++i) ++hits[media.channel_of(i * stride * config.stripe)];
    for (const unsigned h : hits) CHECK((h > 200 && h < 600));
  }
  for (std::uint64_t i = 0; i < config.channels; ++i) CHECK(media.channel_of(i * config.stripe) == i);
  CHECK(media.channel_of(config.stripe - 1) == 0);
}

TEST_CASE("latency: fixed part, uniform jitter, rare tail") {
  MediaConfig config;
  config.channels = 1;
  config.slow_per_million = 10'000;
  Media media(config, RandomStream(5, "media"));
  unsigned slow = 0;
  std::array<unsigned, 8> eighths{};
  for (unsigned i = 0; i < 100'000; ++i) {
    const auto visit = media.enter(Direction::to_host, Time{}, 0);
    Time took = visit.end - visit.begin;
    if (took > config.read_latency + config.read_jitter) {
      ++slow;
      took -= config.slow_extra;
    }
    REQUIRE(took >= config.read_latency);
    REQUIRE(took <= config.read_latency + config.read_jitter);
    ++eighths[std::min<std::uint64_t>(7, (took - config.read_latency) / (config.read_jitter / 8))];
  }
  CHECK((slow > 850 && slow < 1150));
  for (const unsigned n : eighths) CHECK((n > 12'000 && n < 13'000));
}

TEST_CASE("bandwidth is shared within a direction, not between them") {
  MediaConfig config;
  config.read_bandwidth = 1'000'000'000;
  config.write_bandwidth = 2'000'000'000;
  Media media(config, RandomStream(1, "media"));
  CHECK(media.pass(Direction::from_host, 0_us, 4000).end == 2_us);
  CHECK(media.pass(Direction::from_host, 1_us, 4000).end == 4_us);
  CHECK(media.pass(Direction::to_host, 1_us, 4000).end == 5_us);
  CHECK(media.pass(Direction::from_host, 9_us, 4000).end == 11_us);
}

TEST_CASE("the same seed gives the same events, another seed others") {
  const auto events = [](std::uint64_t seed) {
    FakeHost host(drive(), {}, seed);
    commands_per_second(host, {.commands = 3'000});
    return std::tuple(host.bus.completed, host.bus.served, host.bus.interrupts);
  };
  const auto first = events(1);
  CHECK(first == events(1));
  CHECK(first != events(2));
}

}  // namespace
}  // namespace gnomon::nvme
