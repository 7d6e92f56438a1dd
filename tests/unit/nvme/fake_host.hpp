// SPDX-License-Identifier: Apache-2.0
// The other side of the controller, for tests: memory as a byte array, and a driver that uses it as an operating
// system would.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <stdexcept>
#include <vector>

#include "models/nvme/core/controller_core.hpp"
#include "models/spec/nvme/prp.hpp"

namespace gnomon::nvme {

/// Identity translation, a fixed time an access, and everything written down.
class FakeBus : public Bus {
 public:
  struct Access {
    Time at;
    std::uint64_t address;
    std::size_t bytes;
    bool operator==(const Access&) const = default;
  };
  struct Transfer {
    Time at;
    std::vector<Segment> segments;
    Direction direction;
    bool operator==(const Transfer&) const = default;
  };
  struct Interrupt {
    Time at;
    unsigned vector;
    bool operator==(const Interrupt&) const = default;
  };
  struct Fetched {
    Time at;
    unsigned queue, cid;
    bool operator==(const Fetched&) const = default;
  };
  struct Served {
    unsigned queue, cid, channel;
    Time begin, end;
    bool operator==(const Served&) const = default;
  };
  struct Completed {
    Time at;
    unsigned queue, cid;
    Status status;
    bool operator==(const Completed&) const = default;
  };
  struct Rung {
    Time at;
    unsigned queue;
    bool completion;
    std::uint32_t value;
    bool operator==(const Rung&) const = default;
  };

  explicit FakeBus(std::size_t bytes = 8u << 20) : memory(bytes) {}

  DmaResult read(Time at, Iova address, std::span<std::byte> into) override {
    check(at, address.value, into.size());
    reads.push_back({at, address.value, into.size()});
    if (faulty(address.value)) return {false, at + read_time};
    std::memcpy(into.data(), memory.data() + address.value, into.size());
    return {true, at + read_time};
  }
  DmaResult write(Time at, Iova address, std::span<const std::byte> from) override {
    check(at, address.value, from.size());
    writes.push_back({at, address.value, from.size()});
    if (faulty(address.value)) return {false, at + write_time};
    std::memcpy(memory.data() + address.value, from.data(), from.size());
    return {true, at + write_time};
  }
  DmaResult transfer(Time at, std::span<const Segment> segments, Direction direction) override {
    bool ok = true;
    for (const Segment& s : segments) {
      if (s.bytes == 0 || s.address.offset_in_page() + s.bytes > page_size)
        throw std::logic_error("segment leaves its page");
      ok = ok && !faulty(s.address.value);
    }
    if (at < latest) throw std::logic_error("time went back");
    latest = at;
    if (record_transfers) transfers.push_back({at, {segments.begin(), segments.end()}, direction});
    return {ok, at + transfer_time};
  }
  void interrupt(Time at, unsigned vector) override { interrupts.push_back({at, vector}); }
  void on_doorbell(Time at, unsigned queue, bool completion, std::uint32_t value) override {
    doorbells.push_back({at, queue, completion, value});
  }
  void on_fetch(Time at, unsigned queue, unsigned cid) override { fetched.push_back({at, queue, cid}); }
  void on_media(unsigned queue, unsigned cid, unsigned channel, Time begin, Time end) override {
    served.push_back({queue, cid, channel, begin, end});
  }
  void on_completion(Time at, unsigned queue, unsigned cid, Status status, const CommandTimes& times) override {
    last_times = times;
    completed.push_back({at, queue, cid, status});
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

  std::vector<std::byte> memory;
  Time read_time = Time::ns(1'000);
  Time write_time = Time::ns(500);
  Time transfer_time = Time::ns(2'000);
  std::set<std::uint64_t> faulty_pages;
  bool record_transfers = true;
  Time latest;

  std::vector<Access> reads, writes;
  std::vector<Transfer> transfers;
  std::vector<Interrupt> interrupts;
  CommandTimes last_times;
  std::vector<Fetched> fetched;
  std::vector<Served> served;
  std::vector<Completed> completed;
  std::vector<Rung> doorbells;

 private:
  bool faulty(std::uint64_t address) const { return faulty_pages.count(address >> page_shift) != 0; }
  void check(Time at, std::uint64_t address, std::size_t bytes) {
    if (at < latest) throw std::logic_error("time went back");
    latest = at;
    if (bytes == 0 || pages_spanned(Iova{address}, bytes) != 1)
      throw std::logic_error("a structure leaves its page");
    if (address + bytes > memory.size()) throw std::logic_error("outside of memory");
  }
};

/// A drive whose times are round numbers and never random.
inline NvmeConfig plain_config() {
  NvmeConfig config;
  config.capacity = 1u << 30;
  config.ready_delay = Time::us(50);
  config.command_overhead = Time::us(1);
  config.media.read_latency = Time::us(40);
  config.media.write_latency = Time::us(10);
  config.media.read_jitter = config.media.write_jitter = Time{};
  config.media.slow_per_million = 0;
  config.media.read_bandwidth = config.media.write_bandwidth = 4'096'000'000;  // a page a microsecond
  return config;
}

/// The driver: admin queues of 32 entries, I/O queues on demand, each with memory of its own.
class FakeHost {
 public:
  static constexpr std::uint64_t admin_sq = 0x1000, admin_cq = 0x2000;

  explicit FakeHost(const NvmeConfig& config = plain_config(), const NvmeFaults& faults = {},
                    std::uint64_t seed = 1)
      : core(config, faults, RandomStream(seed, "nvme"), bus) {}

  void write32(std::uint64_t offset, std::uint32_t value) { core.mmio_write(now, offset, value, 4); }

  void enable() {
    write32(reg::aqa, encode_aqa(32, 32));
    core.mmio_write(now, reg::asq, admin_sq, 8);
    core.mmio_write(now, reg::acq, admin_cq, 8);
    write32(reg::cc, 0x0046'0001);
    run();
    queues.assign(1, Queue{admin_sq, admin_cq, 32, 32});
  }

  /// Advances to each action in turn until nothing is left, or to `until`.
  void run(Time until = Time::max()) {
    while (core.next_action() != Time::max() && core.next_action() <= until) {
      if (core.next_action() < now) throw std::logic_error("an action in the past");
      now = core.next_action();
      core.advance(now);
    }
    if (until != Time::max()) now = until;
  }

  void put(unsigned queue, const SubmissionEntry& entry) {
    Queue& q = queues[queue];
    bus.store(q.sq + std::uint64_t{q.tail} * 64, entry);
    q.tail = (q.tail + 1) % q.sq_entries;
  }
  void ring(unsigned queue) {
    write32(doorbell_offset({static_cast<std::uint16_t>(queue), false}, 0), queues[queue].tail);
  }
  void submit(unsigned queue, const SubmissionEntry& entry) {
    put(queue, entry);
    ring(queue);
  }

  /// The next new completion entry, by its phase; does not ring.
  std::optional<CompletionEntry> poll(unsigned queue) {
    Queue& q = queues[queue];
    const auto entry = bus.load<CompletionEntry>(q.cq + std::uint64_t{q.head} * 16);
    if (phase_of(entry) != q.phase) return std::nullopt;
    if (++q.head == q.cq_entries) {
      q.head = 0;
      q.phase = !q.phase;
    }
    return entry;
  }
  void ring_head(unsigned queue) {
    write32(doorbell_offset({static_cast<std::uint16_t>(queue), true}, 0), queues[queue].head);
  }
  /// Everything new in the queue, acknowledged by one doorbell.
  std::vector<CompletionEntry> reap(unsigned queue) {
    std::vector<CompletionEntry> all;
    while (const auto entry = poll(queue)) all.push_back(*entry);
    if (!all.empty()) ring_head(queue);
    return all;
  }

  CompletionEntry admin(const SubmissionEntry& entry) {
    submit(0, entry);
    run();
    const auto all = reap(0);
    if (all.size() != 1) throw std::logic_error("an admin command completes once");
    return all.front();
  }

  /// Queue pair `queue`, the next one in order, with interrupts on vector `queue`.
  void create_queue(std::uint16_t queue, std::uint32_t sq_entries = 64, std::uint32_t cq_entries = 64) {
    const std::uint64_t sq = 0x100000 + std::uint64_t{queue} * 0x40000, cq = sq + 0x20000;
    queues.push_back({sq, cq, sq_entries, cq_entries});
    if (status_of(admin(create_io_cq(1, queue, cq_entries, cq, queue))) != Status::success ||
        status_of(admin(create_io_sq(2, queue, sq_entries, sq, queue))) != Status::success) {
      throw std::logic_error("queue refused");
    }
    bus.reads.clear();
    bus.writes.clear();
    bus.interrupts.clear();
    bus.fetched.clear();
    bus.completed.clear();
    bus.doorbells.clear();
  }

  struct Queue {
    std::uint64_t sq, cq;
    std::uint32_t sq_entries, cq_entries;
    std::uint32_t tail = 0, head = 0;
    bool phase = true;
  };

  FakeBus bus;
  ControllerCore core;
  std::vector<Queue> queues;
  Time now;
};

inline SubmissionEntry write_page(std::uint16_t cid, std::uint64_t page = 0, std::uint64_t prp = 0x70'0000) {
  return io_command(IoOpcode::write, cid, page * 8, 8, prp, 0);
}
inline SubmissionEntry read_page(std::uint16_t cid, std::uint64_t page = 0, std::uint64_t prp = 0x70'0000) {
  return io_command(IoOpcode::read, cid, page * 8, 8, prp, 0);
}

}  // namespace gnomon::nvme
