// SPDX-License-Identifier: Apache-2.0
// The run as text, for people: one line an event.
#pragma once

#include <spdlog/logger.h>

#include <memory>

#include <fmt/format.h>

#include "models/trace/tracer.hpp"
#include "platform/observe/exit_reason_name.hpp"

namespace gnomon::observe {

/// Notable events (the measured window, verdicts, faults, requeues, whatever failed) at level info, all others at
/// trace. A line starts with the simulated time in us, exact to the picosecond. The logger's own level decides
/// which lines are made at all.
class HumanLog final : public trace::Sink {
 public:
  explicit HumanLog(std::shared_ptr<spdlog::logger> logger, ExitSpelling exits = ExitSpelling::vmx);

  void on_event(Time at, const trace::Event& event) override;

  static bool notable(const trace::Event& event);
  /// Appends what a line says after its time.
  static void describe(fmt::memory_buffer& out, Time at, const trace::Event& event, ExitSpelling exits);

 private:
  std::shared_ptr<spdlog::logger> logger_;
  ExitSpelling exits_;
  fmt::memory_buffer line_;  // reused: no allocation for a line
};

}  // namespace gnomon::observe
