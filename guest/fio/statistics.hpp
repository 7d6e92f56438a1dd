// SPDX-License-Identifier: Apache-2.0
// What fio keeps of one thread, or of a group of them: latencies, depths, bandwidth and IOPS samples. Plain records
// on the hot path; nothing allocates after construction.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "guest/fio/job_spec.hpp"
#include "guest/fio/latency.hpp"
#include "models/base/time.hpp"

namespace gnomon::fio {

/// Samples of a rate, summarised; merging adds the rates of threads that ran side by side, as fio's group_reporting
/// does.
struct RateSummary {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  double mean = 0;
  double squared_deviations = 0;
  std::uint64_t samples = 0;
  double stddev() const;
  void merge(const RateSummary& other);
};

struct DirectionStatistics {
  std::uint64_t issued = 0;  ///< I/Os
  std::uint64_t bytes = 0;   ///< completed
  std::uint64_t runtime_ms = 0;
  Latency slat, clat, lat;
  RateSummary bandwidth;  ///< KiB/s
  RateSummary iops;
};

/// Counts of I/Os or calls per class of a depth: 1, 2-3, 4-7, ..., >=64 for `level`; 0, 1-4, 5-8, 9-16, ... for the
/// others.
using DepthCounts = std::array<std::uint64_t, 7>;
/// Counts per completion latency: the upper bounds, exclusive, are 2 4 10 20 50 100 250 500 750 1000 of each unit.
inline constexpr std::size_t latency_classes_ns = 10, latency_classes_us = 10, latency_classes_ms = 12;
using LatencyClasses = std::array<std::uint64_t, latency_classes_ns + latency_classes_us + latency_classes_ms>;

constexpr std::size_t depth_level_class(std::uint32_t depth) {
  const int log2 = depth == 0 ? 0 : static_cast<int>(std::bit_width(depth)) - 1;
  return static_cast<std::size_t>(log2 < 6 ? log2 : 6);
}
constexpr std::size_t batch_class(std::uint32_t count) {
  if (count == 0) return 0;
  const auto doublings = static_cast<int>(std::bit_width((count - 1) / 4));  // of 4 needed to reach count
  return static_cast<std::size_t>(doublings < 6 ? doublings + 1 : 6);
}
/// Index into LatencyClasses.
std::size_t latency_class(std::uint64_t ns);

class JobStatistics {
 public:
  explicit JobStatistics(const JobSpec& job);

  /// The thread starts at `now`; what happens before now + ramp_time is not counted.
  void start(Time now);

  /// One I/O prepared at `begun` is in the device's hands at `submitted`, with `depth` (itself included) in flight.
  void record_submission(Direction d, Time begun, Time submitted, std::uint32_t depth) {
    if (submitted < measured_from_) return;
    DirectionStatistics& s = direction_[d];
    ++s.issued;
    ++depth_level[depth_level_class(depth)];
    if (asynchronous_) s.slat.record((submitted - begun).ns());
  }
  /// A call that submitted, or reaped, `count` I/Os.
  void record_submit_call(std::uint32_t count, Time now) {
    if (now >= measured_from_) ++depth_submit[batch_class(count)];
  }
  void record_reap_call(std::uint32_t count, Time now) {
    if (now >= measured_from_) ++depth_complete[batch_class(count)];
  }
  void record_completion(Direction d, std::uint64_t bytes, Time begun, Time submitted, Time completed) {
    if (completed < measured_from_) return;
    if (completed >= window_end_) close_windows(completed);
    DirectionStatistics& s = direction_[d];
    s.bytes += bytes;
    s.clat.record((completed - submitted).ns());
    s.lat.record((completed - begun).ns());
    ++latency_classes[latency_class((completed - submitted).ns())];
    window_bytes_[d] += bytes;
    ++window_ios_[d];
  }

  /// The thread is done: runtimes are known, the last full sampling window is closed. Once.
  void finish(Time now);

  /// Adds a finished thread to this finished one, as one entry of a report.
  void merge(const JobStatistics& other);

  const DirectionStatistics& operator[](Direction d) const { return direction_[d]; }
  std::uint64_t total_issued() const { return direction_.read.issued + direction_.write.issued; }

  DepthCounts depth_level{};
  DepthCounts depth_submit{};
  DepthCounts depth_complete{};
  LatencyClasses latency_classes{};
  std::uint64_t run_ms = 0;  ///< summed over threads
  Time user_time;            ///< of the CPU, within the measured time; the owner's to fill in
  Time system_time;
  std::uint64_t context_switches = 0;

 private:
  void close_windows(Time now);

  PerDirection<DirectionStatistics> direction_;
  PerDirection<std::uint64_t> window_bytes_;  ///< completed within the open sampling window
  PerDirection<std::uint64_t> window_ios_;
  PerDirection<Moments> bandwidth_;
  PerDirection<Moments> iops_;
  Time measured_from_;
  Time window_end_;
  Time ramp_time_;
  bool asynchronous_;  ///< only then fio has a submission latency apart
};

}  // namespace gnomon::fio
