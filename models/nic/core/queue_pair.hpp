// SPDX-License-Identifier: Apache-2.0
// The NIC's side of a queue pair: what software programmed, and how far each ring has come.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "models/base/address.hpp"
#include "models/base/time.hpp"
#include "models/spec/nic/descriptors.hpp"

namespace gnomon::nic {

/// A ring of descriptors, read ahead into a cache in bursts. One read at a time keeps them in order.
class DescriptorRing {
 public:
  Iova base;
  std::uint32_t size = 0;
  std::uint32_t tail = 0;     ///< what the doorbell said last
  std::uint32_t fetched = 0;  ///< descriptors before it have been asked for
  std::uint32_t head = 0;     ///< descriptors before it have been used
  std::uint32_t asked = 0;    ///< descriptors under way
  bool fetching = false;

  explicit DescriptorRing(std::uint32_t cache) : cache_(cache) {}

  std::uint32_t cached() const { return count_; }
  std::uint32_t room() const { return static_cast<std::uint32_t>(cache_.size()) - count_; }
  bool unread() const { return fetched != tail; }
  /// The i-th from the front, i < cached().
  const Descriptor& peek(std::uint32_t i) const { return cache_[(first_ + i) % cache_.size()]; }
  /// The i-th of those asked for: at hand when they have arrived.
  void ask(std::uint32_t i, const Descriptor& d) { cache_[(first_ + count_ + i) % cache_.size()] = d; }
  void arrive() { count_ += std::exchange(asked, 0); }
  void drop(std::uint32_t count) {
    first_ = (first_ + count) % static_cast<std::uint32_t>(cache_.size());
    count_ -= count;
    head = (head + count) & (size - 1);
  }
  void rewind() {
    tail = fetched = head = asked = first_ = count_ = 0;
    fetching = false;
  }

 private:
  std::vector<Descriptor> cache_;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

/// Completion entries: reserved before they are due, gathered to a burst, written, seen by software.
struct CompletionRing {
  Iova base;
  std::uint32_t size = 0;
  std::uint32_t head = 0;      ///< what the doorbell said last
  std::uint32_t reserved = 0;  ///< entries due, or written and not seen
  std::uint32_t written = 0;   ///< counts on: the next entry's place and phase
  std::uint32_t gathered = 0;
  std::array<CompletionEntry, 64> burst{};
  Time landed;  ///< when the last burst lands

  bool has_room(std::uint32_t entries) const { return reserved + entries < size; }
  std::uint32_t unseen() const { return (written - head) & (size - 1); }
  void rewind() {
    head = reserved = written = gathered = 0;
    landed = Time{};
  }
};

struct QueuePair {
  explicit QueuePair(std::uint32_t cache) : receive(cache), transmit(cache) {}

  bool enabled = false;
  std::uint32_t generation = 0;  ///< counts enables and disables: what is under way of an earlier one is forgotten
  std::uint32_t buffer_bytes = static_cast<std::uint32_t>(page_size);
  std::uint32_t vector = 0;
  std::uint32_t moderation_count = 1;
  Time moderation_time;
  DescriptorRing receive;
  DescriptorRing transmit;
  CompletionRing completion;
  std::uint32_t landing = 0;  ///< trains whose payload is under way
  std::uint32_t frames = 0;   ///< being read or sent
  Time frame_read;            ///< when the last of them has been
  std::uint32_t dropped = 0;  ///< packets
  bool armed = false;
  bool waiting = false;           ///< a moderation timer runs
  std::uint32_t wait = 0;         ///< numbers the waits, so that a timer of an earlier one is recognised
  std::uint32_t unsignalled = 0;  ///< completions since the interrupt, or since it was armed

  void rewind() {
    receive.rewind();
    transmit.rewind();
    completion.rewind();
    landing = frames = dropped = unsignalled = 0;
    frame_read = Time{};
    armed = waiting = false;
    ++wait;
    ++generation;
  }
};

}  // namespace gnomon::nic
