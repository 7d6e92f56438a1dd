// SPDX-License-Identifier: Apache-2.0
// Where events come from and where they go. Models and guest software hold a Tracer; observers are Sinks behind it.
#pragma once

#include <vector>

#include "models/base/time.hpp"
#include "models/trace/events.hpp"

namespace gnomon::trace {

/// An observer of the event stream. It may not influence what it observes.
class Sink {
 public:
  virtual ~Sink() = default;
  /// `at` never decreases from one call to the next, within one run.
  virtual void on_event(Time at, const Event& event) = 0;
};

/// Fans events out to its sinks, in the order the sinks were added. Sinks must outlive the tracer's use.
class Tracer {
 public:
  void add(Sink& sink) { sinks_.push_back(&sink); }

  /// `at`: global simulated time. A processor that runs ahead of it must sync before it emits.
  void emit(Time at, const Event& event) {
    ++events_;
    for (Sink* sink : sinks_) sink->on_event(at, event);
  }

  std::uint64_t events() const { return events_; }

 private:
  std::vector<Sink*> sinks_;
  std::uint64_t events_ = 0;
};

}  // namespace gnomon::trace
