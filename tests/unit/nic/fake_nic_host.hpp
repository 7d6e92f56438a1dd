// SPDX-License-Identifier: Apache-2.0
// The other side of the NIC, for tests: memory as a byte array, and software that programs queue pair 0.
#pragma once

#include <cstring>
#include <optional>
#include <set>
#include <stdexcept>
#include <vector>

#include "models/nic/core/nic_core.hpp"

namespace gnomon::nic {

class FakeHost final : public Bus {
 public:
  struct Interrupt {
    Time at;
    unsigned vector;
    bool operator==(const Interrupt&) const = default;
  };
  static constexpr std::uint64_t receive_ring = 0x1000, transmit_ring = 0x3000, completion_ring = 0x5000,
                                 headers = 0x9000, buffers = 0x10'0000;
  static constexpr std::uint32_t ring_size = 64, completion_size = 128;

  explicit FakeHost(const NicConfig& config = {}, unsigned count = 1, Time wait = {})
      : memory(8u << 20), core(config, *this) {
    core.mmio_write(now, reg::control, 1, 4);
    run(now + config.ready_delay);
    set(QueueRegister::receive_base, receive_ring, 8);
    set(QueueRegister::receive_size, ring_size);
    set(QueueRegister::transmit_base, transmit_ring, 8);
    set(QueueRegister::transmit_size, ring_size);
    set(QueueRegister::completion_base, completion_ring, 8);
    set(QueueRegister::completion_size, completion_size);
    set(QueueRegister::vector, 7);
    set(QueueRegister::buffer_bytes, 4096);
    set(QueueRegister::moderation_count, count);
    set(QueueRegister::moderation_time, wait.ns());
    set(QueueRegister::control, 1);
  }

  void set(QueueRegister r, std::uint64_t value, unsigned bytes = 4) {
    core.mmio_write(now, offset_of(0, r), value, bytes);
  }
  std::uint32_t get(QueueRegister r) const {
    return static_cast<std::uint32_t>(core.mmio_read(offset_of(0, r), 4));
  }

  void run(Time until) {
    while (core.next_action() <= until) {
      if (core.next_action() < now) throw std::logic_error("an action in the past");
      now = core.next_action();
      core.advance(now);
    }
    now = until;
  }

  /// Posts `count` buffers; the descriptor's index is its id.
  void post(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      store(receive_ring + 16 * receive_tail,
            Descriptor{buffers + 4096 * std::uint64_t{receive_tail}, encode_length(4096), 0,
                       static_cast<std::uint16_t>(receive_tail)});
      receive_tail = (receive_tail + 1) % ring_size;
    }
    set(QueueRegister::receive_tail, receive_tail);
  }
  void send(const TcpHeader& header) {
    const std::uint64_t at = headers + 128 * std::uint64_t{transmit_tail};
    store(at, encode(header));
    store(transmit_ring + 16 * transmit_tail, Descriptor{at, encode_length(header_length(header)),
                                                         descriptor_flag::header | descriptor_flag::end_of_frame,
                                                         static_cast<std::uint16_t>(transmit_tail)});
    transmit_tail = (transmit_tail + 1) % ring_size;
    set(QueueRegister::transmit_tail, transmit_tail);
  }
  void syn(std::uint16_t port = chargen_port, std::uint16_t segment = 1460) {
    send({5201, port, 0, 0, tcp_flag::syn, 0xffff, segment, 0});
  }
  /// Opens the window to `bytes` beyond what is acknowledged.
  /// `selected`: stream offsets that came out of order.
  void ack(std::uint64_t offset, std::uint16_t bytes, const std::vector<ByteRange>& selected = {}) {
    const auto number = [](std::uint64_t o) { return static_cast<std::uint32_t>(o + 1); };
    TcpHeader header{5201, chargen_port, 1, number(offset), tcp_flag::ack, bytes, 0, 0};
    for (const ByteRange& range : selected)
      header.sack.at(header.sack_blocks++) = {number(range.first), number(range.end)};
    send(header);
  }
  std::optional<CompletionEntry> poll() {
    const auto entry = load<CompletionEntry>(completion_ring + 16 * (seen % completion_size));
    if (phase_of(entry) != ((seen / completion_size) % 2 == 0)) return std::nullopt;
    ++seen;
    return entry;
  }
  std::vector<CompletionEntry> poll_all() {
    std::vector<CompletionEntry> all;
    while (const auto entry = poll()) all.push_back(*entry);
    return all;
  }
  void ring_head(bool arm) {
    set(QueueRegister::completion_head, encode(CompletionDoorbell{seen % completion_size, arm}));
  }
  /// Buffers filled with data, not acknowledgments; also counts what they carry.
  std::uint64_t drain() {
    std::uint64_t bytes = 0;
    for (const CompletionEntry& e : poll_all()) bytes += e.bytes;
    return bytes;
  }

  template <class T>
  T load(std::uint64_t address) const {
    T value;
    std::memcpy(&value, memory.data() + address, sizeof value);
    return value;
  }
  template <class T>
  void store(std::uint64_t address, const T& value) {
    std::memcpy(memory.data() + address, &value, sizeof value);
  }

  DmaResult read(Time at, Iova address, std::span<std::byte> into) override {
    check(at, address, into.size());
    std::memcpy(into.data(), memory.data() + address.value, into.size());
    return {faulty.count(address.page()) == 0, at + latency};
  }
  DmaResult write(Time at, Iova address, std::span<const std::byte> from) override {
    check(at, address, from.size());
    ++completion_writes;
    std::memcpy(memory.data() + address.value, from.data(), from.size());
    return {faulty.count(address.page()) == 0, at + latency};
  }
  DmaResult transfer(Time at, std::span<const Segment> segments, Direction) override {
    bool ok = true;
    for (const Segment& s : segments) {
      check(at, s.address, s.bytes);
      payload.push_back(s);
      ok = ok && faulty.count(s.address.page()) == 0;
    }
    return {ok, at + latency};
  }
  void interrupt(Time at, unsigned vector) override { interrupts.push_back({at, vector}); }
  void on_drop(Time, unsigned, unsigned packets, std::uint32_t) override { dropped += packets; }
  void on_retransmission(Time, unsigned, unsigned packets, std::uint32_t) override { again += packets; }

  std::vector<std::byte> memory;
  Time latency = Time::ns(500);
  std::set<std::uint64_t> faulty;
  Time latest;
  Time now;
  std::uint32_t receive_tail = 0, transmit_tail = 0, seen = 0;
  std::vector<Interrupt> interrupts;
  std::vector<Segment> payload;
  unsigned completion_writes = 0;
  unsigned dropped = 0;
  unsigned again = 0;  // packets the peer sent before
  NicCore core;

 private:
  void check(Time at, Iova address, std::uint64_t bytes) {
    if (at < latest) throw std::logic_error("time went back");
    latest = at;
    if (bytes == 0 || pages_spanned(address, bytes) != 1) throw std::logic_error("an access leaves its page");
    if (address.value + bytes > memory.size()) throw std::logic_error("outside of memory");
  }
};

}  // namespace gnomon::nic
