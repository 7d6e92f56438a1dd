// SPDX-License-Identifier: Apache-2.0
// One number for a whole run: XXH3-64 over every timed event in order. Two runs are the same run if it is the same.
#pragma once

#include <cstdint>
#include <memory>

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

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gnomon::observe
