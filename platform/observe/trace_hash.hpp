// SPDX-License-Identifier: Apache-2.0
// One number for a whole run: XXH3-64 over every timed event in order. Two runs are the same run if it is the same.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/trace/tracer.hpp"

namespace gnomon::observe {

/// Hashes, per event: time in ps (8 bytes), the event's index in trace::Event (4 bytes), the event's own bytes. All
/// little-endian, no padding, so the value does not depend on machine, compiler or optimisation level.
class TraceHash final : public trace::Sink {
 public:
  TraceHash();
  ~TraceHash() override;
  TraceHash(const TraceHash&) = delete;
  TraceHash& operator=(const TraceHash&) = delete;

  void on_event(Time at, const trace::Event& event) override;

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
  static void hash_block(State& state);
  void take_checkpoint();

  std::unique_ptr<State> state_;
  std::uint64_t events_ = 0;
  std::uint64_t next_checkpoint_ = 1;
  Time last_at_;
  std::vector<Checkpoint> checkpoints_;
};

}  // namespace gnomon::observe
