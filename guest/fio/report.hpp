// SPDX-License-Identifier: Apache-2.0
// All that a fio report says of a run, gathered for the two writers: fio_json and fio_text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "guest/fio/job_file.hpp"
#include "guest/fio/job_spec.hpp"
#include "guest/fio/statistics.hpp"

namespace gnomon::fio {

/// One entry: a thread, or a group of them merged.
struct EntryReport {
  const JobSpec* job = nullptr;  ///< names the entry
  std::uint32_t threads = 1;
  std::uint32_t pid = 1;  ///< of the first thread
  JobStatistics statistics;
};

/// The block device under the jobs, as /proc/diskstats counts.
struct DiskReport {
  std::string name;
  PerDirection<std::uint64_t> ios;
  PerDirection<std::uint64_t> merges;
  PerDirection<std::uint64_t> ticks_ms;
  std::uint64_t in_queue_ms = 0;
  double utilisation = 0;  ///< percent
};

struct RunReport {
  std::uint64_t timestamp_ms = 0;  ///< end of the run, ms since 1970, UTC
  std::uint64_t elapsed_s = 0;     ///< start to end, rounded as fio's "elapsed"
  std::span<const OptionText> global_options;
  std::span<const JobSpec> jobs;
  std::vector<EntryReport> entries;
  std::vector<DiskReport> disks;
};

inline constexpr const char* fio_version = "fio-3.33";  ///< the version whose formats these are

/// Entries of a run: `threads` are the finished statistics of every thread, all clones of all jobs in order.
std::vector<EntryReport> merge_entries(std::span<const JobSpec> jobs, std::span<const JobStatistics> threads);

/// Totals of a reporting group in one direction.
struct GroupTotals {
  std::uint64_t bytes = 0;
  std::uint64_t min_run_ms = 0, max_run_ms = 0;
  std::uint64_t min_bandwidth = 0, max_bandwidth = 0;  ///< bytes/s, of an entry
  std::uint64_t bandwidth = 0;                         ///< bytes/s, of the group
};
GroupTotals group_totals(const RunReport& run, std::uint32_t group_id, Direction d);

/// Bytes or I/Os per second, rounded down; 0 for no runtime.
std::uint64_t per_second(std::uint64_t amount, std::uint64_t runtime_ms);

/// Share of the group's bandwidth that `summary`'s mean is, percent, at most 100, as fio computes it.
double share_of_group(const RateSummary& summary, const GroupTotals& totals);

/// 100 * count / total, but never below `least` for a count above 0: fio shows that something was there.
double share(std::uint64_t count, std::uint64_t total, double least);
inline constexpr double least_depth_share = 0.1, least_latency_share = 0.01;

/// "Fri Nov 20 22:13:45 2026", UTC.
std::string calendar_time(std::uint64_t timestamp_ms);

}  // namespace gnomon::fio
