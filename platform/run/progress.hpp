// SPDX-License-Identifier: Apache-2.0
// What a person reads while jobs run: pure text, and the speeds behind it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/run/channel.hpp"

namespace gnomon::run {

/// One running job, as far as it is known.
struct ProgressRow {
  std::string_view name;
  Progress progress;
  std::optional<double> events_per_s{};
  std::optional<double> remaining_s{};
};

/// "strict   [#####...............]  25%  500.0 ms of 2.000 s    3.10 M events/s  ETA 0:12", at most `columns`
/// columns of printable characters; what does not fit is cut from the right. `name_width` pads and cuts the name.
std::string format_progress_row(const ProgressRow& row, std::size_t name_width, std::size_t columns);

/// "1.234 us": four digits and the unit that fits `reference_ps`.
std::string format_simulated_time(std::uint64_t ps, std::uint64_t reference_ps);
/// "12.3 k".
std::string format_rate(double per_second);
/// "0:12", "1:02:03", "4 d 02:03".
std::string format_duration(double seconds);

/// A speed over the last few seconds: an average whose weights fall by e each `time_constant`.
class Speed {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Speed(TimePoint start) : last_(start) {}
  void sample(TimePoint now, double total);  ///< samples closer than 100 ms to the last are left out
  std::optional<double> per_second() const { return speed_; }

 private:
  TimePoint last_;
  double last_total_ = 0;
  std::optional<double> speed_;
};

/// All jobs: who runs, how far, how fast. Times are arguments, so that tests have their own.
class ProgressBoard {
 public:
  using TimePoint = Speed::TimePoint;

  explicit ProgressBoard(std::vector<std::string> names) : names_(std::move(names)) {}
  void started(std::size_t job, TimePoint now);
  void progressed(std::size_t job, const Progress& progress, TimePoint now);
  void finished(std::size_t job);

  /// A line for each running job in their order, as many as fit in `lines` (>= 2), then one that counts.
  std::vector<std::string> render(std::size_t columns, std::size_t lines) const;

 private:
  struct RunningJob {
    std::size_t job;
    Progress progress;
    Speed events;
    Speed simulated_ps;
  };
  ProgressRow row(const RunningJob& running) const;

  std::vector<std::string> names_;
  std::vector<RunningJob> running_;
  std::size_t finished_ = 0;
};

}  // namespace gnomon::run
