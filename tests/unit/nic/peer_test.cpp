// SPDX-License-Identifier: Apache-2.0
// The machine at the other end: its windows, its pace, its losses.
#include "models/nic/core/peer.hpp"

#include <catch2/catch.hpp>

#include "models/spec/nic/descriptors.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::nic {
namespace {

constexpr std::uint32_t tag = flow_tag(5201, chargen_port);

TcpHeader syn(std::uint16_t local = 5201, std::uint16_t port = chargen_port, std::uint8_t scale = 7) {
  return {local, port, 0, 0, tcp_flag::syn, 0xffff, 1460, scale};
}
TcpHeader ack(std::uint64_t offset, std::uint16_t window, std::uint16_t local = 5201) {
  return {local, chargen_port, 1, static_cast<std::uint32_t>(offset + 1), tcp_flag::ack, window, 0, 0};
}

TcpHeader selecting(std::uint64_t offset, std::uint64_t first, std::uint64_t end) {
  TcpHeader header = ack(offset, 0xffff);
  header.sack[header.sack_blocks++] = {static_cast<std::uint32_t>(first + 1), static_cast<std::uint32_t>(end + 1)};
  return header;
}

/// Everything it sends now; returns the payload.
std::uint64_t drain(Peer& peer, Time at) {
  std::uint64_t bytes = 0;
  while (peer.next_send() <= at) bytes += peer.send(at).payload;
  return bytes;
}

Peer connected(const PeerConfig& config = {}) {
  Peer peer(config, {});
  peer.take(Time{}, syn(), 0, 3, 4096);
  const Train answer = peer.send(Time{});
  CHECK(answer.flow == tag);
  CHECK(answer.queue == 3);
  CHECK(answer.flags == (completion_flag::ack | completion_flag::syn));
  CHECK(peer.next_send() == Time::max());
  return peer;
}

TEST_CASE("ten segments first, then twice as many a round: slow start") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time{}) == 10 * 1448);
  peer.take(Time{}, ack(10 * 1448, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time{}) == 20 * 1448);
  peer.take(Time{}, ack(30 * 1448, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time{}) == 40 * 1448);
}

TEST_CASE("the advertised window is scaled, and bounds whole segments") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 50), 0, 3, 4096);  // 50 << 7 = 6400 = 4 segments and a piece
  CHECK(drain(peer, Time{}) == 4 * 1448);
}

TEST_CASE("the sender's own window bounds it too") {
  PeerConfig config;
  config.window = 65'536;
  config.first_window = 1000;
  Peer peer = connected(config);
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  drain(peer, Time{});
  peer.take(Time{}, ack(1000 * 1448, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time{}) == 45 * 1448);
}

TEST_CASE("an ACK overtaken by a newer one changes nothing") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  drain(peer, Time{});
  peer.take(Time{}, ack(2 * 1448, 0), 0, 3, 4096);
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time{}) == 0);
}

TEST_CASE("a loss halves the window once, and what was lost is sent before anything new") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time::us(1)) == 10 * 1448);
  peer.take(Time::us(20), selecting(0, 4 * 1448, 6 * 1448), 0, 3, 4096);
  CHECK(peer.counters().recoveries == 1);
  const Train first = peer.send(Time::us(20));
  CHECK(first.number == 1);
  CHECK(first.again);
  // Of ten segments two are selected, two lost, six under way: half of ten may be.
  CHECK(peer.next_send() == Time::max());
  peer.take(Time::us(21), selecting(0, 4 * 1448, 10 * 1448), 0, 3, 4096);
  const Train second = peer.send(Time::us(21));
  CHECK(second.number == 2 * 1448 + 1);
  CHECK(peer.counters().recoveries == 1);  // of the same flight
  CHECK(peer.counters().retransmissions == 2);
}

TEST_CASE("what was sent again and lost again is sent a third time") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  drain(peer, Time::us(1));
  peer.take(Time::us(20), selecting(0, 2 * 1448, 10 * 1448), 0, 3, 4096);
  CHECK(peer.send(Time::us(20)).number == 1);
  const Train fresh = peer.send(Time::us(21));
  CHECK_FALSE(fresh.again);
  CHECK(fresh.number == 10 * 1448 + 1);
  peer.take(Time::us(40), selecting(0, 2 * 1448, 12 * 1448), 0, 3, 4096);
  const Train again = peer.send(Time::us(40));
  CHECK(again.number == 1);
  CHECK(again.again);
}

TEST_CASE("a window that is not used does not grow") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 16), 0, 3, 4096);  // 2048: one segment
  for (std::uint64_t segments = 1; segments <= 50; ++segments) {
    CHECK(drain(peer, Time{}) == 1448);
    peer.take(Time{}, ack(segments * 1448, 16), 0, 3, 4096);
  }
  drain(peer, Time{});
  peer.take(Time{}, ack(51 * 1448, 0xffff), 0, 3, 4096);
  CHECK(drain(peer, Time{}) == 10 * 1448);
}

TEST_CASE("without progress it sends again after the loss timeout, not before") {
  PeerConfig config;
  config.loss_timeout = Time::us(100);
  Peer peer = connected(config);
  peer.take(Time::us(10), ack(0, 0xffff), 0, 3, 4096);
  drain(peer, Time::us(10));
  CHECK(peer.retry_losses(Time::us(110) - Time::ps(1)) == Time::us(110));
  CHECK(peer.counters().retransmissions == 0);
  CHECK(peer.retry_losses(Time::us(110)) == Time::max());
  CHECK(peer.counters().timeouts == 1);
  CHECK(peer.send(Time::us(110)).number == 1);
  CHECK(peer.next_send() == Time::max());  // one segment's worth
}

TEST_CASE("a rate spaces the trains") {
  PeerConfig config;
  config.rate = 1'448'000'000;  // a segment a microsecond
  Peer peer = connected(config);
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  CHECK(peer.send(Time::us(1)).payload == 2 * 1448);
  CHECK(peer.next_send() == Time::us(3));
}

TEST_CASE("connections take turns") {
  Peer peer({}, {});
  for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{2}, std::uint16_t{3}}) {
    peer.take(Time{}, syn(port), 0, port, 4096);
    peer.send(Time{});
    peer.take(Time{}, ack(0, 0xffff, port), 0, port, 4096);
  }
  std::vector<unsigned> queues;
  for (int i = 0; i < 6; ++i) queues.push_back(peer.send(Time{}).queue);
  CHECK(queues == std::vector<unsigned>{3, 1, 2, 3, 1, 2});
}

TEST_CASE("a reset ends it; nobody answers on other ports") {
  Peer peer = connected();
  peer.take(Time{}, ack(0, 0xffff), 0, 3, 4096);
  TcpHeader reset = ack(0, 0);
  reset.flags = tcp_flag::rst;
  peer.take(Time{}, reset, 0, 3, 4096);
  CHECK(peer.next_send() == Time::max());
  peer.take(Time{}, syn(1, 80), 0, 3, 4096);
  CHECK(peer.next_send() == Time::max());
}

TEST_CASE("the discard side acknowledges what comes in order, every so many bytes") {
  PeerConfig config;
  config.ack_every = 100'000;
  Peer peer(config, {});
  peer.take(Time{}, syn(5201, discard_port), 0, 0, 4096);
  peer.send(Time{});
  TcpHeader data{5201, discard_port, 1, 1, tcp_flag::ack, 0, 0, 0};
  peer.take(Time{}, data, 65'536, 0, 4096);
  CHECK(peer.next_send() == Time::max());
  data.sequence = 2;  // not what is next
  peer.take(Time{}, data, 65'536, 0, 4096);
  CHECK(peer.counters().bytes_taken == 65'536);
  data.sequence = 65'537;
  peer.take(Time{}, data, 65'536, 0, 4096);
  const Train answer = peer.send(Time{});
  CHECK(answer.number == 131'073);
  CHECK(answer.flags == completion_flag::ack);
  CHECK(peer.next_send() == Time::max());
}

TEST_CASE("sequence numbers wrap after 4 GiB") {
  PeerConfig config;
  config.window = std::uint64_t{1} << 33;
  config.first_window = 1'000'000;
  Peer peer({config}, {});
  peer.take(Time{}, syn(5201, chargen_port, 14), 0, 3, 4096);
  peer.send(Time{});
  std::uint64_t offset = 0;
  for (int round = 0; round < 6; ++round) {
    peer.take(Time{}, ack(offset, 0xffff), 0, 3, 4096);
    offset += drain(peer, Time{});
  }
  CHECK(offset > std::uint64_t{1} << 32);
}

}  // namespace
}  // namespace gnomon::nic
