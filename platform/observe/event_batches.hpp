// SPDX-License-Identifier: Apache-2.0
// Hands events by the thousand to observers that write files, one observer after the other.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "models/trace/tracer.hpp"

namespace gnomon::observe {

/// Its sinks are told of events that lie in a block (packed_events.hpp), each in the same order. The code of an I/O
/// fills the host's instruction cache, and that of a timeline comes on top of it for every event; behind a block of
/// them it is alone there. Observers that only count are better told at once.
class EventBatches {
 public:
  EventBatches();

  void add(trace::Sink& sink);
  bool empty() const { return listeners_.empty(); }
  /// `records` lie in a block of packed::reach bytes more.
  void tell(std::span<const unsigned char> records);

 private:
  struct Listener {
    trace::Sink* sink;
    std::array<trace::Sink::Handler, trace::event_kinds> handlers;  // none: it does not want the kind
  };

  std::vector<Listener> listeners_;
  std::array<trace::Event, trace::event_kinds> events_;  // one of each kind, for the one that is told
};

}  // namespace gnomon::observe
