// SPDX-License-Identifier: Apache-2.0
// The part of a run that is held against a file a person has read: how many events of each kind there were, and the
// first events of the measured window, line by line.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/trace/tracer.hpp"
#include "platform/observe/exit_reason_name.hpp"

namespace gnomon::observe {

class Transcript final : public trace::Sink {
 public:
  static constexpr std::size_t kept = 24;  ///< events from the opening of the window

  explicit Transcript(ExitSpelling exits = ExitSpelling::vmx) : exits_(exits) {}
  void on_event(Time at, const trace::Event& event) override;

  /// Lines "events KIND COUNT", in alphabetical order, of the kinds that occurred; then "+PS TEXT", the time since
  /// the line before and what `gnomon run --log` says of the event. Whole picoseconds and counts, no host time, no
  /// pointers: two runs that behave alike have the same text.
  std::string text() const;

 private:
  ExitSpelling exits_;
  std::array<std::uint64_t, trace::event_kinds> counts_{};
  bool open_ = false;
  std::vector<std::pair<Time, trace::Event>> events_;
};

}  // namespace gnomon::observe
