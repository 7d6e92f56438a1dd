// SPDX-License-Identifier: Apache-2.0
// Receiving: descriptors, drops, ring wraps, completion entries, and interrupts to the picosecond.
#include <catch2/catch.hpp>

#include "tests/support/time_text.hpp"
#include "tests/unit/nic/fake_nic_host.hpp"

namespace gnomon::nic {
namespace {

constexpr Time wire_of(std::uint64_t bytes) {
  return Time::ps(bytes * 80);
}  // at 12.5 GB/s

/// Connected, and everything of the handshake seen.
void connect(FakeHost& h, std::uint32_t buffers) {
  h.post(buffers);
  h.syn();
  h.run(h.now + Time::us(100));
  const auto entries = h.poll_all();
  REQUIRE(entries.size() == 2);  // the SYN has been sent, the SYN-ACK received
  REQUIRE(has(entries[0], completion_flag::transmit));
  REQUIRE(entries[1].flags == (completion_flag::phase | completion_flag::ack | completion_flag::syn));
  REQUIRE(entries[1].flow == flow_tag(5201, chargen_port));
  h.ring_head(false);
}

TEST_CASE("a queue pair that cannot be is not enabled") {
  FakeHost h;
  CHECK(h.get(QueueRegister::control) == 1);
  h.set(QueueRegister::control, 0);
  h.set(QueueRegister::receive_size, 63);
  h.set(QueueRegister::control, 1);
  CHECK(h.get(QueueRegister::control) == 0);
  h.set(QueueRegister::receive_size, 64);
  h.set(QueueRegister::vector, 64);
  h.set(QueueRegister::control, 1);
  CHECK(h.get(QueueRegister::control) == 0);
}

TEST_CASE("settings do not change under an enabled queue pair") {
  FakeHost h;
  h.set(QueueRegister::receive_size, 128);
  CHECK(h.get(QueueRegister::receive_size) == 64);
  CHECK(h.core.mmio_read(offset_of(0, QueueRegister::receive_base), 8) == FakeHost::receive_ring);
}

TEST_CASE("two packets of 1448 bytes share a buffer") {
  FakeHost h;
  connect(h, 63);
  h.ack(0, 2 * 1448);
  h.run(h.now + Time::us(100));
  const auto entries = h.poll_all();
  REQUIRE(entries.size() == 2);
  CHECK(entries[1].bytes == 2896);
  CHECK(entries[1].packets == 2);
  CHECK(entries[1].number == 1);
  CHECK(entries[1].id == 1);  // the SYN-ACK took 0
  CHECK(h.payload.back() == Segment{Iova{FakeHost::buffers + 4096}, 2 * 1514});
}

TEST_CASE("the window is kept: not a segment more") {
  FakeHost h;
  connect(h, 63);
  h.ack(0, 5 * 1448 + 1447);
  h.run(h.now + Time::ms(1));
  CHECK(h.drain() == 5 * 1448);
}

TEST_CASE("an empty ring drops, and every packet dropped is counted") {
  FakeHost h;
  connect(h, 3);  // one for the SYN-ACK
  h.ack(0, 10 * 1448);
  h.run(h.now + Time::ms(1));
  CHECK(h.drain() == 4 * 1448);
  CHECK(h.dropped == 6);
  CHECK(h.core.counters().packets_dropped == 6);
  CHECK(h.get(QueueRegister::packets_dropped) == 6);
}

TEST_CASE("dropped packets come again when the tail's probe has shown what is missing") {
  FakeHost h;
  connect(h, 3);
  h.ack(0, 10 * 1448);
  h.run(h.now + Time::ms(1));
  REQUIRE(h.drain() == 4 * 1448);
  h.post(20);
  h.ack(4 * 1448, 6 * 1448);
  h.run(h.now + Time::us(100));
  CHECK(h.drain() == 0);  // nothing new is allowed, nothing is known to be lost
  h.run(h.now + Time::ms(3));
  const auto probe = h.poll_all();
  REQUIRE(probe.size() == 1);  // the tail
  CHECK(probe[0].number == 8 * 1448 + 1);
  h.ack(4 * 1448, 6 * 1448, {{8 * 1448, 10 * 1448}});
  h.run(h.now + Time::us(100));
  CHECK(h.drain() == 2 * 1448);  // half of six segments may be under way, and trains have two
  h.ack(6 * 1448, 4 * 1448, {{8 * 1448, 10 * 1448}});
  h.run(h.now + Time::us(100));
  CHECK(h.drain() == 2 * 1448);
  CHECK(h.core.peer().retransmissions == 3);
  CHECK(h.core.peer().recoveries == 1);
  CHECK(h.again == 6);
}

TEST_CASE("an ACK that selects what came behind a gap brings what is missing at once") {
  FakeHost h;
  connect(h, 3);
  h.ack(0, 10 * 1448);
  h.run(h.now + Time::us(200));
  REQUIRE(h.drain() == 4 * 1448);
  h.post(20);
  h.ack(4 * 1448, 8 * 1448);
  h.run(h.now + Time::us(100));
  REQUIRE(h.drain() == 2 * 1448);  // new data, behind what was dropped
  h.ack(4 * 1448, 8 * 1448, {{10 * 1448, 12 * 1448}});
  h.run(h.now + Time::us(200));
  CHECK(h.core.peer().retransmissions == 2);
  CHECK(h.drain() == 4 * 1448);  // half of eight segments
}

TEST_CASE("all rings wrap, several times, and nothing is lost or repeated") {
  NicConfig config;
  config.completion_burst = GENERATE(1u, 4u);
  config.peer.first_window = 100;  // no slow start
  FakeHost h(config);
  connect(h, 63);
  std::uint64_t received = 0;
  std::uint32_t expected_id = 1;
  std::uint32_t expected_number = 1;
  std::uint32_t acks = 0;
  for (int round = 0; round < 100; ++round) {
    h.ack(received, 12 * 1448);
    ++acks;
    h.run(h.now + Time::us(100));
    std::uint32_t buffers = 0;
    for (const CompletionEntry& e : h.poll_all()) {
      if (has(e, completion_flag::transmit)) {
        CHECK(e.id == acks % 64);
        continue;
      }
      CHECK(e.id == expected_id);
      CHECK(e.number == expected_number);
      expected_id = (expected_id + 1) % 64;
      expected_number += e.bytes;
      received += e.bytes;
      ++buffers;
    }
    h.post(buffers);
    h.ring_head(false);
  }
  CHECK(received == 100 * 12 * 1448);
  CHECK(h.dropped == 0);
  CHECK(h.get(QueueRegister::receive_head) == (1 + 600) % 64);
}

TEST_CASE("completion entries are written by the burst while more are to come, and none waits for ever") {
  NicConfig config;
  config.peer.first_window = 100;
  FakeHost h(config);
  connect(h, 63);
  const unsigned before = h.completion_writes;
  h.ack(0, 20 * 1448);  // 10 buffers
  h.run(h.now + Time::us(200));
  CHECK(h.drain() == 20 * 1448);
  CHECK(h.completion_writes - before < 8);
}

TEST_CASE("the time line of one packet: wire, payload, completion, interrupt") {
  FakeHost h;
  connect(h, 63);
  h.ring_head(true);
  const Time begin = h.now;
  h.ack(0, 1448);
  h.run(h.now + Time::us(100));
  const Time sent = begin + h.latency + h.latency + wire_of(wire_bytes(1, 0));  // descriptor, header, wire
  REQUIRE(h.interrupts.size() == 1);  // of the frame sent: it disarmed the queue pair
  CHECK(h.interrupts[0] == FakeHost::Interrupt{sent + h.latency, 7});
  h.poll_all();
  h.interrupts.clear();
  h.ring_head(true);
  h.ack(1448, 1448);
  h.run(h.now + Time::us(10));  // the frame is sent, the packet not yet here
  REQUIRE(h.poll_all().size() == 1);
  h.interrupts.clear();
  const Time armed = h.now;
  h.ring_head(true);
  h.run(armed + Time::us(100));
  const Time arrived = armed - Time::us(10) + 2 * h.latency + wire_of(wire_bytes(1, 0)) + Time::us(20) +
                       wire_of(wire_bytes(1, 1448));
  REQUIRE(h.interrupts.size() == 1);
  CHECK(h.interrupts[0] == FakeHost::Interrupt{arrived + 2 * h.latency, 7});
}

TEST_CASE("moderation by count: the interrupt comes with the last of them, not before") {
  FakeHost h({}, 3, Time::us(50));
  connect(h, 63);
  h.ring_head(true);
  h.interrupts.clear();
  h.ack(0, 0);
  h.run(h.now + Time::us(5));
  h.ack(0, 0);
  h.run(h.now + Time::us(5));
  CHECK(h.interrupts.empty());
  const Time third = h.now;
  h.ack(0, 0);
  h.run(h.now + Time::us(5));
  REQUIRE(h.interrupts.size() == 1);
  CHECK(h.interrupts[0].at == third + 3 * h.latency + wire_of(wire_bytes(1, 0)));
  h.ack(0, 0);
  h.run(h.now + Time::us(200));
  CHECK(h.interrupts.size() == 1);  // it is not armed any more
}

TEST_CASE("moderation by time: exactly so long after the first of them") {
  FakeHost h({}, 3, Time::us(50));
  connect(h, 63);
  h.ring_head(true);
  h.interrupts.clear();
  const Time first = h.now + 3 * h.latency + wire_of(wire_bytes(1, 0));
  h.ack(0, 0);
  h.run(h.now + Time::us(20));
  h.ack(0, 0);
  h.run(first + Time::us(50) - Time::ps(1));
  CHECK(h.interrupts.empty());
  h.run(first + Time::us(50));
  REQUIRE(h.interrupts.size() == 1);
  CHECK(h.interrupts[0].at == first + Time::us(50));
}

TEST_CASE("armed with entries unseen: they count as if they came now") {
  FakeHost h;
  connect(h, 63);
  h.interrupts.clear();
  h.ack(0, 1448);
  h.run(h.now + Time::us(100));
  CHECK(h.interrupts.empty());
  const Time armed = h.now;
  h.ring_head(true);  // software has not looked again
  h.run(armed + Time::us(1));
  REQUIRE(h.interrupts.size() == 1);
  CHECK(h.interrupts[0].at == armed);
}

TEST_CASE("armed with everything seen: no interrupt without cause") {
  FakeHost h;
  connect(h, 63);
  h.interrupts.clear();
  h.ring_head(true);
  h.run(h.now + Time::ms(1));
  CHECK(h.interrupts.empty());
}

TEST_CASE("doorbells of what cannot be are ignored") {
  FakeHost h;
  connect(h, 10);
  h.set(QueueRegister::receive_tail, 64);
  CHECK(h.get(QueueRegister::receive_tail) == 10);
  h.set(QueueRegister::completion_head, encode(CompletionDoorbell{100, true}));  // never written
  CHECK(decode_completion_doorbell(h.get(QueueRegister::completion_head)) == CompletionDoorbell{2, false});
}

TEST_CASE("a payload's fault is told, and the buffer given back") {
  FakeHost h;
  connect(h, 63);
  h.faulty.insert((FakeHost::buffers >> page_shift) + 1);
  h.ack(0, 1448);
  h.run(h.now + Time::us(100));
  const auto entries = h.poll_all();
  REQUIRE(entries.size() == 2);
  CHECK(has(entries[1], completion_flag::error));
  CHECK(entries[1].id == 1);
}

TEST_CASE("a ring's fault stops the queue pair, and says so") {
  FakeHost h;
  h.faulty.insert(FakeHost::receive_ring >> page_shift);
  h.post(10);
  h.run(h.now + Time::us(10));
  CHECK(h.get(QueueRegister::control) == 0);
  CHECK(h.core.mmio_read(reg::status, 4) == (status::ready | status::error));
}

TEST_CASE("a disabled queue pair lets nothing more happen in memory") {
  FakeHost h;
  connect(h, 63);
  h.ack(0, 40 * 1448);
  h.run(h.now + Time::us(22));  // in the middle of it
  h.set(QueueRegister::control, 0);
  h.run(h.now + Time::us(1));
  const std::size_t payload = h.payload.size();
  const unsigned writes = h.completion_writes;
  h.run(h.now + Time::ms(10));
  CHECK(h.payload.size() == payload);
  CHECK(h.completion_writes == writes);
}

TEST_CASE("more than the packet buffer holds is dropped, not kept") {
  NicConfig config;
  config.packet_buffer = 16 * 1024;
  config.peer.first_window = 64;
  FakeHost h(config);
  connect(h, 63);
  h.latency = Time::us(50);  // payload goes through far slower than the wire
  h.ack(0, 40 * 1448);
  h.run(h.now + Time::ms(1));
  CHECK(h.dropped > 0);
  CHECK(h.drain() / 1448 + h.dropped == 40);
}

TEST_CASE("configurations that cannot be are refused") {
  const auto refused = [](auto change) {
    NicConfig c;
    change(c);
    CHECK_THROWS_AS(validate(c), std::invalid_argument);
  };
  CHECK_NOTHROW(validate(NicConfig{}));
  refused([](auto& c) { c.queue_pairs = 0; });
  refused([](auto& c) { c.queue_pairs = 1025; });
  refused([](auto& c) { c.ring_shift = 16; });
  refused([](auto& c) { c.completion_burst = 3; });
  refused([](auto& c) { c.completion_burst = 128; });
  refused([](auto& c) { c.posted_bytes = 4095; });
  refused([](auto& c) { c.packing.stride = 8192; });
  refused([](auto& c) { c.packing.stride = 1500; });
  refused([](auto& c) { c.peer.loss_timeout = Time{}; });
}

}  // namespace
}  // namespace gnomon::nic
