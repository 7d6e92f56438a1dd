// SPDX-License-Identifier: Apache-2.0
// Figures common to both reports.
#include "guest/fio/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "models/base/wide.hpp"

namespace gnomon::fio {

std::vector<EntryReport> merge_entries(std::span<const JobSpec> jobs, std::span<const JobStatistics> threads) {
  std::vector<EntryReport> entries;
  for (const ReportEntry& plan : plan_report(jobs)) {
    EntryReport entry{&jobs[plan.first_job], plan.threads, plan.first_thread + 1, threads[plan.first_thread]};
    for (const auto& thread : threads.subspan(plan.first_thread + 1, plan.threads - 1))
      entry.statistics.merge(thread);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::uint64_t per_second(std::uint64_t amount, std::uint64_t runtime_ms) {
  if (runtime_ms == 0) return 0;
  return static_cast<std::uint64_t>(static_cast<Wide>(amount) * 1000 / runtime_ms);
}

GroupTotals group_totals(const RunReport& run, std::uint32_t group_id, Direction d) {
  GroupTotals totals;
  bool first = true;
  for (const EntryReport& entry : run.entries) {
    const DirectionStatistics& s = entry.statistics[d];
    if (entry.job->group_id != group_id || s.runtime_ms == 0) continue;
    const std::uint64_t bandwidth = per_second(s.bytes, s.runtime_ms);
    totals.bytes += s.bytes;
    totals.min_run_ms = first ? s.runtime_ms : std::min(totals.min_run_ms, s.runtime_ms);
    totals.max_run_ms = std::max(totals.max_run_ms, s.runtime_ms);
    totals.min_bandwidth = first ? bandwidth : std::min(totals.min_bandwidth, bandwidth);
    totals.max_bandwidth = std::max(totals.max_bandwidth, bandwidth);
    first = false;
  }
  totals.bandwidth = per_second(totals.bytes, totals.max_run_ms);
  return totals;
}

double share_of_group(const RateSummary& summary, const GroupTotals& totals) {
  if (summary.samples == 0) return 0.0;
  if (totals.bandwidth <= 1024) return 100.0;
  const auto mean = static_cast<double>(static_cast<std::int64_t>(summary.mean));  // fio passes it as an int
  return std::min(100.0, mean * 100.0 / (static_cast<double>(totals.bandwidth) / 1024.0));
}

double share(std::uint64_t count, std::uint64_t total, double least) {
  if (count == 0 || total == 0) return 0.0;
  return std::max(least, static_cast<double>(count) / static_cast<double>(total) * 100.0);
}

std::string calendar_time(std::uint64_t timestamp_ms) {
  using namespace std::chrono;
  constexpr std::string_view day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_time<milliseconds> instant{milliseconds(static_cast<std::int64_t>(timestamp_ms))};
  const auto day = floor<days>(instant);
  const year_month_day date{day};
  const hh_mm_ss clock{floor<seconds>(instant - day)};
  return fmt::format("{} {} {:2} {:02}:{:02}:{:02} {}", day_names[weekday{day}.c_encoding()],
                     month_names[static_cast<unsigned>(date.month()) - 1], static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     static_cast<int>(date.year()));
}

}  // namespace gnomon::fio
