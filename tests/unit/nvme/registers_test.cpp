// SPDX-License-Identifier: Apache-2.0
// Enabling, resetting, breaking down.
#include <catch2/catch.hpp>

#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

TEST_CASE("the controller becomes ready after its delay") {
  FakeHost host;
  CHECK(host.core.next_action() == Time::max());
  CHECK(host.core.mmio_read(reg::cap, 8) == 0x0000'0020'0101'3fff);
  CHECK(host.core.mmio_read(reg::cap + 4, 4) == 0x20);
  CHECK(host.core.mmio_read(reg::vs, 4) == 0x0001'0400);
  host.now = Time::us(7);
  host.write32(reg::aqa, encode_aqa(32, 32));
  host.core.mmio_write(host.now, reg::asq, 0x1'2345'6fff, 8);
  host.write32(reg::acq, 0x2000);
  host.write32(reg::acq + 4, 0x3);
  CHECK(host.core.mmio_read(reg::asq, 8) == 0x1'2345'6000);  // bits 11:0 are reserved
  CHECK(host.core.mmio_read(reg::acq, 8) == 0x3'0000'2000);
  host.write32(reg::cc, 0x0046'0001);
  CHECK(host.core.mmio_read(reg::csts, 4) == 0);
  CHECK(host.core.next_action() == Time::us(57));
  host.core.advance(Time::us(57) - 1_ps);
  CHECK(host.core.mmio_read(reg::csts, 4) == 0);
  host.core.advance(Time::us(57));
  CHECK(host.core.mmio_read(reg::csts, 4) == csts::rdy);
  CHECK(host.core.mmio_read(reg::cc, 4) == 0x0046'0001);
  host.write32(reg::aqa, 0);  // locked while enabled
  CHECK(host.core.mmio_read(reg::aqa, 4) == 0x001f'001f);
}

TEST_CASE("a configuration that cannot be served is a fatal status, cleared by reset") {
  const auto cc = GENERATE(0x0046'0011u, 0x0046'0081u, 0x0046'0801u, 0x0045'0001u, 0x0036'0001u);
  FakeHost host;
  host.write32(reg::aqa, encode_aqa(32, 32));
  host.write32(reg::cc, cc);
  host.run();
  CHECK(host.core.mmio_read(reg::csts, 4) == csts::cfs);
  host.write32(reg::cc, 0);
  CHECK(host.core.mmio_read(reg::csts, 4) == 0);
  host.enable();
  CHECK(host.core.mmio_read(reg::csts, 4) == csts::rdy);
}

TEST_CASE("admin queues of one entry are refused") {
  FakeHost host;
  host.write32(reg::aqa, encode_aqa(1, 32));
  host.write32(reg::cc, 0x0046'0001);
  CHECK(host.core.mmio_read(reg::csts, 4) == csts::cfs);
}

TEST_CASE("accesses that mean nothing change nothing") {
  FakeHost host;
  host.write32(doorbell_offset({0, false}, 0), 1);  // not ready
  CHECK(host.core.next_action() == Time::max());
  host.enable();
  host.core.mmio_write(host.now, 0x1000, 1, 8);  // a doorbell is a dword
  host.core.mmio_write(host.now, 0x1002, 1, 4);  // misaligned
  host.core.mmio_write(host.now, 0x1000, 1, 2);  // half a dword
  host.write32(0x1000, 32);                      // past the queue's end
  host.write32(0x1004, 32);
  host.write32(doorbell_offset({1, false}, 0), 1);  // no such queue
  host.write32(doorbell_offset({1, true}, 0), 1);
  host.write32(doorbell_offset({33, false}, 0), 1);  // nor could there be
  host.write32(doorbell_offset({65535, true}, 0) + 4, 1);
  CHECK(host.core.next_action() == Time::max());
  CHECK(host.bus.doorbells.empty());
  CHECK(host.core.mmio_read(0x1000, 4) == 0);
  CHECK(host.core.mmio_read(0x02, 4) == 0);
  CHECK(host.core.mmio_read(reg::cap, 2) == 0);
}

TEST_CASE("shutdown is complete at once: nothing is volatile") {
  FakeHost host;
  host.enable();
  host.write32(reg::cc, 0x0046'4001);
  CHECK(host.core.mmio_read(reg::csts, 4) == (csts::rdy | csts::shst_complete));
}

TEST_CASE("a reset forgets commands in flight, and the controller works again") {
  FakeHost host;
  host.enable();
  host.create_queue(1);
  for (std::uint16_t cid = 0; cid < 20; ++cid) host.put(1, write_page(cid, cid));
  host.ring(1);
  host.run(host.now + Time::us(6));
  CHECK(host.core.in_flight() > 0);
  host.write32(reg::cc, 0x0046'0000);
  CHECK(host.core.in_flight() == 0);
  CHECK(host.core.next_action() == Time::max());
  CHECK(host.core.mmio_read(reg::csts, 4) == 0);
  std::fill(host.bus.memory.begin(), host.bus.memory.end(), std::byte{});
  host.enable();
  host.create_queue(1);
  host.submit(1, write_page(99));
  host.run();
  const auto done = host.reap(1);
  REQUIRE(done.size() == 1);
  CHECK(done[0].cid == 99);
}

TEST_CASE("a reset between doorbell and fetch, or during a fetch, leaves the fetching able to go on") {
  auto config = plain_config();
  config.fetches_in_flight = 1;
  FakeHost host(config);
  host.enable();
  host.create_queue(1);
  host.create_queue(2);
  host.submit(1, write_page(1));
  SECTION("not yet fetched") {}
  SECTION("being fetched, another queue waiting") {
    host.submit(2, write_page(2));
    host.run(host.now + 500_ns);
    CHECK(host.bus.reads.size() == 1);
  }
  host.write32(reg::cc, 0);
  std::fill(host.bus.memory.begin(), host.bus.memory.end(), std::byte{});
  host.enable();
  host.create_queue(1);
  host.create_queue(2);
  host.submit(1, write_page(3));
  host.submit(2, write_page(4));
  host.run();
  CHECK(host.reap(1).size() == 1);
  CHECK(host.reap(2).size() == 1);
}

TEST_CASE("a fault on the queues themselves is fatal") {
  FakeHost host;
  host.enable();
  host.create_queue(1);
  SECTION("fetching an entry") {
    host.bus.faulty_pages.insert(host.queues[1].sq >> page_shift);
    host.submit(1, write_page(1));
    host.run();
    CHECK(host.bus.completed.empty());
  }
  SECTION("writing a completion") {
    host.bus.faulty_pages.insert(host.queues[1].cq >> page_shift);
    host.submit(1, write_page(1));
    host.run();
    CHECK(host.bus.interrupts.empty());
  }
  CHECK(host.core.mmio_read(reg::csts, 4) == (csts::rdy | csts::cfs));
  CHECK(host.core.in_flight() == 0);
  host.submit(1, write_page(2));
  CHECK(host.core.next_action() == Time::max());  // deaf until reset
}

TEST_CASE("configurations that cannot be are refused with a sentence") {
  const auto broken = [](auto change) {
    NvmeConfig config;
    change(config);
    return config;
  };
  CHECK_NOTHROW(validate(NvmeConfig{}));
  CHECK_THROWS_WITH(validate(broken([](auto& c) { c.media.channels = 0; })), Catch::Contains("channel"));
  CHECK_THROWS_WITH(validate(broken([](auto& c) { c.capacity = 1000; })), Catch::Contains("capacity"));
  CHECK_THROWS_WITH(validate(broken([](auto& c) { c.max_transfer = 12288; })), Catch::Contains("power of two"));
  CHECK_THROWS_WITH(validate(broken([](auto& c) { c.queue_entries = 65537; })), Catch::Contains("entries"));
  CHECK_THROWS_WITH(validate(broken([](auto& c) { c.arbitration_burst = 3; })), Catch::Contains("arbitration"));
  CHECK_THROWS_AS(FakeHost(broken([](auto& c) { c.command_slots = 0; })), std::invalid_argument);
}

}  // namespace
}  // namespace gnomon::nvme
