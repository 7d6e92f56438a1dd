// SPDX-License-Identifier: Apache-2.0
// Progress as text. Floating point is for the eyes only.
#include "platform/run/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace gnomon::run {
namespace {

constexpr std::size_t bar_width = 20;
constexpr std::size_t longest_name = 24;
constexpr double time_constant_s = 3;
constexpr double shortest_sample_s = 0.1;

// UTF-8: a character begins where a byte is no continuation. Control characters would move the cursor.
std::string printable(std::string_view text, std::size_t columns) {
  std::string out;
  std::size_t used = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80 && used++ == columns) break;
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return out;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out = printable(text, width);
  out.append(width - std::min(width, width_of(out)), ' ');
  return out;
}

double fraction_of(const Progress& p) {
  return std::min(1.0, static_cast<double>(p.simulated_ps) / static_cast<double>(p.horizon_ps));
}

std::string bar(double fraction) {
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(bar_width));
  return fmt::format("[{:#<{}}{:.<{}}]", "", filled, "", bar_width - filled);
}

}  // namespace

std::string format_simulated_time(std::uint64_t ps, std::uint64_t reference_ps) {
  static constexpr std::array<std::pair<double, std::string_view>, 5> units{
      {{1e12, "s"}, {1e9, "ms"}, {1e6, "us"}, {1e3, "ns"}, {1, "ps"}}};
  for (const auto& [size, name] : units) {
    if (static_cast<double>(reference_ps) < size && size > 1) continue;
    const double value = static_cast<double>(ps) / size;
    if (size == 1) return fmt::format("{} ps", ps);
    const double largest = static_cast<double>(std::max(ps, reference_ps)) / size;
    const int decimals = largest < 10 ? 3 : largest < 100 ? 2 : largest < 1000 ? 1 : 0;
    return fmt::format("{:.{}f} {}", value, decimals, name);
  }
  return {};
}

std::string format_rate(double per_second) {
  static constexpr std::array<std::pair<double, std::string_view>, 3> units{
      {{1e9, " G"}, {1e6, " M"}, {1e3, " k"}}};
  for (const auto& [size, name] : units)
    if (per_second >= size) return fmt::format("{:.3g}{}", per_second / size, name);
  return fmt::format("{:.0f}", per_second);
}

std::string format_duration(double seconds) {
  constexpr double unforeseeable = 1000.0 * 24 * 3600;
  if (!(seconds < unforeseeable)) return "> 999 d";
  const auto s = static_cast<std::uint64_t>(std::ceil(std::max(0.0, seconds)));
  if (s >= 24 * 3600) return fmt::format("{} d {:02}:{:02}", s / (24 * 3600), s / 3600 % 24, s / 60 % 60);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string format_progress_row(const ProgressRow& row, std::size_t name_width, std::size_t columns) {
  const Progress& p = row.progress;
  std::string line = padded(row.name, name_width);
  if (p.horizon_ps > 0) {
    const double fraction = fraction_of(p);
    line += fmt::format("  {} {:3}%  {} of {}", bar(fraction), static_cast<int>(fraction * 100),
                        format_simulated_time(p.simulated_ps, p.horizon_ps),
                        format_simulated_time(p.horizon_ps, p.horizon_ps));
  } else {
    line += fmt::format("  {}", format_simulated_time(p.simulated_ps, p.simulated_ps));
  }
  if (row.events_per_s) line += fmt::format("  {} events/s", format_rate(*row.events_per_s));
  if (row.remaining_s) line += fmt::format("  ETA {}", format_duration(*row.remaining_s));
  return printable(line, columns);
}

void Speed::sample(TimePoint now, double total) {
  const double span = std::chrono::duration<double>(now - last_).count();
  if (span < shortest_sample_s) return;
  const double current = (total - last_total_) / span;
  const double weight = 1 - std::exp(-span / time_constant_s);
  speed_ = speed_ ? *speed_ + weight * (current - *speed_) : current;
  last_ = now;
  last_total_ = total;
}

void ProgressBoard::started(std::size_t job, TimePoint now) {
  const auto at = std::find_if(running_.begin(), running_.end(), [job](const auto& r) { return r.job > job; });
  running_.insert(at, RunningJob{job, {}, Speed{now}, Speed{now}});
}

void ProgressBoard::progressed(std::size_t job, const Progress& progress, TimePoint now) {
  for (RunningJob& running : running_) {
    if (running.job != job) continue;
    running.progress = progress;
    running.events.sample(now, static_cast<double>(progress.events));
    running.simulated_ps.sample(now, static_cast<double>(progress.simulated_ps));
  }
}

// A job that never started (cancelled) ends as well, and counts.
void ProgressBoard::finished(std::size_t job) {
  std::erase_if(running_, [job](const auto& r) { return r.job == job; });
  ++finished_;
}

ProgressRow ProgressBoard::row(const RunningJob& running) const {
  ProgressRow row{names_[running.job], running.progress, running.events.per_second(), std::nullopt};
  const Progress& p = running.progress;
  if (p.horizon_ps >= p.simulated_ps && p.horizon_ps > 0 && running.simulated_ps.per_second().value_or(0) > 0)
    row.remaining_s = static_cast<double>(p.horizon_ps - p.simulated_ps) / *running.simulated_ps.per_second();
  return row;
}

std::vector<std::string> ProgressBoard::render(std::size_t columns, std::size_t lines) const {
  std::size_t name_width = 0;
  for (const std::string& name : names_) name_width = std::max(name_width, std::min(longest_name, width_of(name)));
  std::vector<std::string> out;
  const std::size_t shown = std::min(running_.size(), std::max<std::size_t>(lines, 2) - 1);
  for (std::size_t i = 0; i < shown; ++i) out.push_back(format_progress_row(row(running_[i]), name_width, columns));

  std::string count = fmt::format("{} of {} done, {} running", finished_, names_.size(), running_.size());
  if (shown < running_.size()) count += fmt::format(" ({} not shown)", running_.size() - shown);
  out.push_back(printable(count, columns));
  return out;
}

}  // namespace gnomon::run
