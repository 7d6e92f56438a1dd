// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/io_flows.hpp"

#include <catch2/catch.hpp>

using gnomon::observe::IoFlows;

TEST_CASE("an I/O is followed from begin to end") {
  IoFlows flows;
  CHECK(flows.find(1) == nullptr);
  flows.begin(1, 50, 3);
  REQUIRE(flows.find(1) != nullptr);
  CHECK(flows.find(1)->submitted_ns == 50);
  CHECK(flows.find(1)->cpu == 3);
  flows.end(1);
  CHECK(flows.find(1) == nullptr);
  CHECK(flows.find(0) == nullptr);
}

TEST_CASE("a command leads to its I/O until unlinked, linked again, or the I/O ends") {
  IoFlows flows;
  flows.begin(1, 0, 0);
  flows.begin(2, 0, 0);
  flows.link_command(0, 1, 7, 1);
  CHECK(flows.io_of_command(0, 1, 7) == 1);
  CHECK(flows.io_of_command(0, 2, 7) == 0);
  CHECK(flows.io_of_command(1, 1, 7) == 0);
  flows.link_command(0, 1, 7, 2);
  CHECK(flows.io_of_command(0, 1, 7) == 2);
  flows.unlink_command(0, 1, 7);
  CHECK(flows.io_of_command(0, 1, 7) == 0);
  flows.link_command(0, 1, 7, 2);
  flows.end(2);
  CHECK(flows.io_of_command(0, 1, 7) == 0);
}

TEST_CASE("a mapping is taken once") {
  IoFlows flows;
  flows.begin(1, 0, 0);
  flows.link_mapping(4, 0x1000, 1);
  CHECK(flows.take_mapping(5, 0x1000) == 0);
  CHECK(flows.take_mapping(4, 0x1000) == 1);
  CHECK(flows.take_mapping(4, 0x1000) == 0);
}

TEST_CASE("a thousand I/Os in flight, each with command and mapping, are all told apart, for ever") {
  IoFlows flows;
  for (std::uint64_t io = 1; io <= 50'000; ++io) {
    flows.begin(io, io, 0);
    const auto slot = static_cast<std::uint32_t>(io % 1000);
    flows.link_command(0, slot % 8, slot / 8, io);
    flows.link_mapping(1, 0xfffff000 - (std::uint64_t{slot} << 12), io);
    if (io <= 999) continue;
    const std::uint64_t oldest = io - 999;
    const auto old_slot = static_cast<std::uint32_t>(oldest % 1000);
    REQUIRE(flows.io_of_command(0, old_slot % 8, old_slot / 8) == oldest);
    REQUIRE(flows.take_mapping(1, 0xfffff000 - (std::uint64_t{old_slot} << 12)) == oldest);
    flows.unlink_command(0, old_slot % 8, old_slot / 8);
    flows.end(oldest);
  }
}

TEST_CASE("an I/O that finds its place taken is not followed, and disturbs no one") {
  IoFlows flows;
  flows.begin(1, 10, 0);
  std::uint64_t other = 2;
  while (flows.find(other) == nullptr && other < 100'000) {  // the first that shares the slot of 1
    flows.begin(other, 20, 0);
    if (flows.find(other) == nullptr) break;
    flows.end(other++);
  }
  REQUIRE(other < 100'000);
  CHECK(flows.find(1)->submitted_ns == 10);
  flows.end(other);
  CHECK(flows.find(1) != nullptr);
}
