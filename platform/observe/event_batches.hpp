// SPDX-License-Identifier: Apache-2.0
// Hands events by the thousand to observers that write files, one observer after the other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/trace/tracer.hpp"

namespace gnomon::observe {

/// What it is told, its sinks are told later, each in the same order. The code of an I/O fills the host's
/// instruction cache, and that of a timeline comes on top of it for every event; in a batch it is alone there.
/// Observers that only count are better told at once.
class EventBatches final : public trace::Sink {
 public:
  static constexpr std::size_t batch_events = 2048;

  EventBatches() : told_(batch_events) {}

  /// Before this is added to a tracer itself.
  void add(trace::Sink& sink);

  trace::KindSet wants() const override { return wanted_; }
  void on_event(Time at, const trace::Event& event) override {
    kinds_[count_] = static_cast<std::uint8_t>(event.index());
    told_[count_] = {at, event};
    if (++count_ == batch_events) pass_on();
  }

  /// Before a sink is asked for anything: it has been told everything then.
  void pass_on();

 private:
  struct Told {
    Time at;
    trace::Event event;
  };
  struct Listener {
    trace::Sink* sink;
    std::array<bool, trace::event_kinds> wants;
  };

  std::vector<Listener> listeners_;
  trace::KindSet wanted_;
  std::vector<Told> told_;
  std::array<std::uint8_t, batch_events> kinds_{};
  std::size_t count_ = 0;
};

}  // namespace gnomon::observe
