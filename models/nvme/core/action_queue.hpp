// SPDX-License-Identifier: Apache-2.0
// What the controller has to do, ordered by time, then by when it was decided.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/base/time.hpp"

namespace gnomon::nvme {

enum class Step : std::uint32_t {
  become_ready,     ///< CSTS.RDY
  fetch,            ///< look for submission entries to read
  entries_landed,   ///< a: queue, b: first command of the chain
  break_down,       ///< a DMA of the queues themselves faulted
  execute,          ///< a: command
  list_landed,      ///< a: command; a page of its PRP list
  payload_landed,   ///< a: command
  enter_channel,    ///< a: command; through the bandwidth of its direction
  media_done,       ///< a: command
  complete,         ///< a: command; its status is known
  drain,            ///< a: completion queue in which the host made room
  entry_landed,     ///< a: completion queue, b: vector
  aggregation_due,  ///< a: vector, b: which wait
  late_read,        ///< a: entry of the planted fault's list
  stray,
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

}  // namespace gnomon::nvme
