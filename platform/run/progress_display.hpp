// SPDX-License-Identifier: Apache-2.0
// The progress board on a terminal, redrawn in place.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "platform/run/progress.hpp"

namespace gnomon::run {

/// Writes to `fd`, standard error as a rule, only if it is a terminal that can move its cursor, and at most ten
/// times a second. Whoever prints beside it calls clear() first. Its three calls fit Options of the supervisor.
class ProgressDisplay {
 public:
  ProgressDisplay(std::vector<std::string> names, int fd, bool quiet);
  ~ProgressDisplay() { clear(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  bool visible() const { return visible_; }
  void started(std::size_t job);
  void progressed(std::size_t job, const Progress& progress);
  void finished(std::size_t job);
  void clear();  ///< removes the lines; the next call draws them again

 private:
  void draw();
  void put(const std::string& text) const;

  ProgressBoard board_;
  const int fd_;
  const bool visible_;
  std::size_t drawn_lines_ = 0;
  std::optional<std::chrono::steady_clock::time_point> last_drawn_;
};

}  // namespace gnomon::run
