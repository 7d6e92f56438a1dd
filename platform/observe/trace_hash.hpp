// SPDX-License-Identifier: Apache-2.0
// One number for a whole run: XXH3-64 over every timed event in order. Two runs are the same run if it is the same.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/trace/tracer.hpp"
#include "platform/observe/event_batches.hpp"

namespace gnomon::observe {

/// Hashes events as packed_events.hpp packs them, so the value does not depend on machine, compiler or optimisation
/// level. What lies packed for it is also what batches are read from.
class TraceHash final : public trace::Sink {
 public:
  TraceHash();
  ~TraceHash() override;
  TraceHash(const TraceHash&) = delete;
  TraceHash& operator=(const TraceHash&) = delete;

  void on_event(Time at, const trace::Event& event) override { handler(event.index())(*this, at, event); }
  Handler handler(std::size_t kind) const override;

  /// Tells `batches` of every event from now on, some time after it happened. Before the first one.
  void pass_on_to(EventBatches& batches);
  /// Of all that happened so far.
  void pass_on();

  std::uint64_t value() const;  ///< of all events so far; may be asked at any time, and changes nothing

  /// value() after the first `events` events, the last of them at `at`.
  struct Checkpoint {
    std::uint64_t events;
    Time at;
    std::uint64_t hash;
    bool operator==(const Checkpoint&) const = default;
  };
  /// Taken at fixed counts, the same in every run, so that two runs can be compared: each of the first 64, then 32 an
  /// octave. Where two runs part is so known to one in 32 of the events before, for some 30 hashes a doubling.
  const std::vector<Checkpoint>& checkpoints() const { return checkpoints_; }
  static constexpr std::uint64_t checkpoint_after(std::uint64_t events) {
    return events < 64 ? events + 1 : events + (std::bit_floor(events) >> 5);
  }

  /// trace.hashes: a comment, then a line a checkpoint and one for the end: events, picoseconds, hash.
  std::string checkpoints_text() const;

 private:
  struct State;
  template <std::size_t kind>
  static void add(trace::Sink& self, Time at, const trace::Event& event);
  void take_checkpoint();

  std::unique_ptr<State> state_;
  std::uint64_t events_ = 0;
  std::uint64_t next_checkpoint_ = 1;
  Time last_at_;
  std::vector<Checkpoint> checkpoints_;
};

}  // namespace gnomon::observe
