// SPDX-License-Identifier: Apache-2.0
// An observer that keeps every event, and questions to ask of what it kept.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "models/trace/tracer.hpp"

namespace gnomon::test {

struct TimedEvent {
  Time at;
  trace::Event event;
};
static_assert(std::is_trivially_copyable_v<TimedEvent>);
using Events = std::vector<TimedEvent>;

class Recorder final : public trace::Sink {
 public:
  void on_event(Time at, const trace::Event& event) override { events.push_back({at, event}); }
  Events events;
};

/// All events of one kind, with their times.
template <class E>
std::vector<std::pair<Time, E>> of_kind(const Events& events) {
  std::vector<std::pair<Time, E>> found;
  for (const TimedEvent& e : events) {
    if (const E* it = std::get_if<E>(&e.event)) found.emplace_back(e.at, *it);
  }
  return found;
}

template <class E>
std::uint64_t count_of(const Events& events) {
  return of_kind<E>(events).size();
}

}  // namespace gnomon::test
