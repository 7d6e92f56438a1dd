// SPDX-License-Identifier: Apache-2.0
// Where events come from and where they go. Models and guest software hold a Tracer; observers are Sinks behind it.
#pragma once

#include <array>
#include <bitset>
#include <variant>
#include <vector>

#include "models/base/time.hpp"
#include "models/trace/events.hpp"

namespace gnomon::trace {

inline constexpr std::size_t event_kinds = std::variant_size_v<Event>;
/// Kinds of events, by their index in Event.
using KindSet = std::bitset<event_kinds>;

/// The set that holds the given kinds.
template <class... E>
KindSet kinds() {
  KindSet set;
  (set.set(Event{E{}}.index()), ...);
  return set;
}

/// An observer of the event stream. It may not influence what it observes.
class Sink {
 public:
  virtual ~Sink() = default;
  /// What it is told of. Asked once, when it is added.
  virtual KindSet wants() const { return KindSet{}.set(); }
  /// `at` never decreases from one call to the next, within one run.
  virtual void on_event(Time at, const Event& event) = 0;

  /// What is called for events of a kind that it wants, in place of on_event().
  using Handler = void (*)(Sink& sink, Time at, const Event& event);
  virtual Handler handler(std::size_t /*kind*/) const {
    return [](Sink& sink, Time at, const Event& event) { sink.on_event(at, event); };
  }
};

/// Fans events out to its sinks, in the order the sinks were added. Sinks must outlive the tracer's use.
class Tracer {
 public:
  void add(Sink& sink) {
    const KindSet wanted = sink.wants();
    for (std::size_t kind = 0; kind < event_kinds; ++kind) {
      if (wanted.test(kind)) listeners_[kind].push_back({&sink, sink.handler(kind)});
    }
  }

  /// `at`: global simulated time. A processor that runs ahead of it must sync before it emits.
  void emit(Time at, const Event& event) {
    ++events_;
    for (const Listener& listener : listeners_[event.index()]) listener.handler(*listener.sink, at, event);
  }

  std::uint64_t events() const { return events_; }

 private:
  struct Listener {
    Sink* sink;
    Sink::Handler handler;
  };
  std::array<std::vector<Listener>, event_kinds> listeners_;  // by kind
  std::uint64_t events_ = 0;
};

}  // namespace gnomon::trace
