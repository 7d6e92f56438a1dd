// SPDX-License-Identifier: Apache-2.0
// What the NIC has to do, ordered by time, then by when it was decided.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/base/time.hpp"

namespace gnomon::nic {

enum class Step : std::uint32_t {
  become_ready,
  wire,           ///< look for something the peer may send
  train_arrived,  ///< the train on the wire is in the packet buffer
  receive_rung,   ///< a: queue, b: its generation, as in the next four
  transmit_rung,
  receive_fetched,  ///< the descriptors asked for are there
  transmit_fetched,
  fetch_failed,      ///< or will never be
  buffer_looked_at,  ///< the packet buffer, whose first train may go on
  payload_landed,    ///< the oldest payload write
  frame_read,        ///< a: frame
  frame_sent,        ///< a: frame; its last bit is on the wire
  frame_at_peer,     ///< a: frame
  room_made,         ///< a: queue, b: its generation; in its completion ring
  interrupt,         ///< a: queue, b: its generation
  moderation_due,    ///< a: queue, b: which wait
  losses_due,        ///< the peer looks for connections without progress
};

struct Action {
  Time at;
  std::uint64_t order = 0;
  Step step{};
  std::uint32_t a = 0;
  std::uint32_t b = 0;
};

/// A binary heap in one array, which grows to the largest number of actions ever outstanding and stays there.
class ActionQueue {
 public:
  explicit ActionQueue(std::size_t expected) { heap_.reserve(expected); }

  void push(Time at, Step step, std::uint32_t a = 0, std::uint32_t b = 0) {
    heap_.push_back({at, order_++, step, a, b});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  /// Requires !empty().
  Action pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Action action = heap_.back();
    heap_.pop_back();
    return action;
  }
  bool empty() const { return heap_.empty(); }
  Time next() const { return heap_.empty() ? Time::max() : heap_.front().at; }
  void clear() { heap_.clear(); }

 private:
  static bool later(const Action& x, const Action& y) { return x.at != y.at ? x.at > y.at : x.order > y.order; }

  std::vector<Action> heap_;
  std::uint64_t order_ = 0;
};

}  // namespace gnomon::nic
