// SPDX-License-Identifier: Apache-2.0
// The logs fio 3.33 writes with write_{bw,lat,iops}_log: one row an I/O, or one a log_avg_msec and direction.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "guest/fio/job_spec.hpp"
#include "models/base/time.hpp"

namespace gnomon::fio {

/// Of one thread. Grows with its I/Os unless log_avg_msec is given, as fio's does.
class JobLogs {
 public:
  explicit JobLogs(const JobSpec& job);
  /// Whether the job asks for any.
  static bool wanted(const JobSpec& job);

  void start(Time now);  ///< rows count from here; I/Os of ramp_time have none
  void submitted(Direction d, std::uint64_t bytes, std::uint64_t offset, Time begun, Time submitted);
  void completed(Direction d, std::uint64_t bytes, std::uint64_t offset, Time begun, Time submitted,
                 Time completed);
  void finish(Time now);  ///< what is left of the last windows

  /// (name, text) of each file. `number`: of the thread, from 1. A row is `time in ms, value, direction, block
  /// size, priority`, with the offset before the priority under log_offset; averages have block size 0.
  std::vector<std::pair<std::string, std::string>> files(std::uint32_t number) const;

 private:
  struct Row {
    std::uint64_t ms, value, bytes, offset;
    Direction direction;
  };
  struct Window {
    std::uint64_t sum = 0, samples = 0, last_ms = 0;
  };
  struct Log {
    std::vector<Row> rows;
    PerDirection<Window> windows;
  };
  enum Kind : std::size_t { slat, clat, lat, bandwidth, iops };

  bool measured(Time now) const { return now >= measured_from_; }
  std::uint64_t ms_at(Time now) const { return (now - started_).ns() / 1'000'000; }
  void add(Kind kind, Direction d, std::uint64_t value, std::uint64_t bytes, std::uint64_t offset, Time now);
  void close_rates(std::uint64_t now_ms);

  const JobSpec& job_;
  std::vector<Log> logs_{5};
  PerDirection<std::uint64_t> window_bytes_, window_ios_;
  std::uint64_t rates_from_ms_ = 0;
  Time started_, measured_from_;
};

}  // namespace gnomon::fio
