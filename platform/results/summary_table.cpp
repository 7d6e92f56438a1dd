// SPDX-License-Identifier: Apache-2.0
// The table: a variant a row, and beside each published figure what was simulated.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "platform/results/summary.hpp"

namespace gnomon::results {
namespace {

constexpr std::size_t columns = 9;
using Row = std::array<std::string, columns>;

std::string scaled(double value, double step, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  while (std::abs(value) >= step && unit + 1 != units.end()) {
    value /= step;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, std::abs(value) < 10 ? 3 : std::abs(value) < 100 ? 2 : 1, *unit);
}

/// A figure in the unit its metric's name ends with; a ratio has none.
std::string figure_text(const scenario::Expectation& e, double value) {
  const std::string& metric = *e.metric;
  if (e.relative_to) return fmt::format("{:.3f}", value);
  if (metric.ends_with("bw_bytes_per_s")) return bandwidth_text(value);
  if (metric.ends_with(".mean") || metric.ends_with("_ns") || metric.find("_ns.") != std::string::npos)
    return time_text(value);
  return fmt::format("{:.6g}", value);
}

std::string figure_name(const scenario::Expectation& e) {
  if (e.status) return "status";
  return e.relative_to ? fmt::format("{} / {}", *e.metric, *e.relative_to) : *e.metric;
}

std::string published_text(const scenario::Expectation& e) {
  if (e.status) return *e.status;
  if (e.value) return figure_text(e, *e.value);
  if (e.min && e.max) return fmt::format("{} to {}", figure_text(e, *e.min), figure_text(e, *e.max));
  return fmt::format("at {} {}", e.min ? "least" : "most", figure_text(e, e.min ? *e.min : *e.max));
}

std::string error_text(const ExpectationResult& r) {
  const scenario::Expectation& e = r.expected;
  if (!e.value || !r.simulated) return "";
  const double off = *r.simulated - *e.value;
  if (e.relative_to && e.tolerance) return fmt::format("{:+.3f}", off);
  return *e.value == 0 ? fmt::format("{:+.4g}", off) : fmt::format("{:+.1f} %", 100 * off / *e.value);
}

const char* verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds: return "ok";
    case Verdict::fails: return "FAILED";
    case Verdict::skipped: return "skipped";
  }
  return "";
}

void fill_expectation(const ExpectationResult& r, Row& row) {
  row[4] = figure_name(r.expected);
  row[5] = r.expected.status ? r.simulated_status : r.simulated ? figure_text(r.expected, *r.simulated) : "";
  row[6] = published_text(r.expected);
  row[7] = error_text(r);
  row[8] = verdict_text(r.verdict);
}

std::vector<Row> rows_of(const ScenarioResult& result) {
  std::vector<Row> rows{
      {"variant", "bandwidth", "IOPS", "mean latency", "figure", "simulated", "published", "error", "verdict"}};
  for (const VariantResult& v : result.variants) {
    Row row;
    row[0] = v.name;
    const auto cell = [&](std::string_view metric, std::string (*text)(double)) {
      const auto value = v.metric(metric);
      return value ? text(*value) : std::string{};
    };
    row[1] = cell("io.bw_bytes_per_s", bandwidth_text);
    row[2] = cell("io.iops", count_text);
    row[3] = cell("io.lat_ns.mean", time_text);
    if (v.status != "ok") row[8] = v.status;
    bool first = true;
    for (const ExpectationResult& e : result.expectations) {
      if (e.expected.variant != v.name) continue;
      if (!first) rows.push_back(row), row = Row{};
      first = false;
      fill_expectation(e, row);
    }
    rows.push_back(row);
  }
  return rows;
}

std::string layout(const std::vector<Row>& rows) {
  std::array<std::size_t, columns> width{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < columns; ++i) width[i] = std::max(width[i], row[i].size());
  bool any_figure = false;
  for (std::size_t r = 1; r < rows.size(); ++r) any_figure = any_figure || !rows[r][4].empty();
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
      if (!any_figure && i >= 4 && i <= 7) continue;
      const bool left = i == 0 || i == 4 || i == 8;
      line += left ? fmt::format("{:<{}}  ", row[i], width[i]) : fmt::format("{:>{}}  ", row[i], width[i]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line;
    out.push_back('\n');
  }
  return out;
}

/// What several variants have in common is said once.
std::string notes_text(const ScenarioResult& result) {
  std::vector<std::pair<std::string, std::vector<std::string>>> notes;
  for (const VariantResult& v : result.variants) {
    if (v.skipped()) continue;
    for (const std::string& note : v.notes) {
      const auto same = std::find_if(notes.begin(), notes.end(), [&](const auto& n) { return n.first == note; });
      if (same == notes.end())
        notes.push_back({note, {v.name}});
      else
        same->second.push_back(v.name);
    }
  }
  std::string out;
  for (const auto& [note, names] : notes) out += fmt::format("note: {}: {}\n", fmt::join(names, ", "), note);
  return out;
}

std::string after_table(const ScenarioResult& result) {
  std::string out;
  for (const ExpectationResult& e : result.expectations) {
    if (!e.expected.order.empty())
      out += fmt::format("order of {}: {}  {}\n", *e.expected.metric, fmt::join(e.expected.order, " "),
                         verdict_text(e.verdict));
    if (e.verdict == Verdict::fails)
      out += fmt::format("FAILED: {}{}: {}\n", e.expected.variant.value_or("order"),
                         e.expected.metric ? fmt::format(" {}", figure_name(e.expected)) : "", e.reason);
  }
  for (const VariantResult* v : unexpected_statuses(result.variants, result.expectations))
    out += fmt::format("{}: {}: {}\n", v->name, v->status, v->explanation);
  for (const UnexpectedVerdict& u : unexpected_verdicts(result.variants, result.expectations))
    out += fmt::format("{}: the sanitizer raised {} {:.6g} times\n", u.variant,
                       u.metric.substr(u.metric.find('.') + 1), u.count);
  return out + notes_text(result);
}

}  // namespace

std::string bandwidth_text(double bytes_per_second) {
  return scaled(bytes_per_second, 1024, {"B/s", "KiB/s", "MiB/s", "GiB/s"});
}
std::string count_text(double count) {
  return count < 1000 ? fmt::format("{:.0f}", count) : scaled(count, 1000, {"", "k", "M"});
}
std::string time_text(double ns) {
  return scaled(ns, 1000, {"ns", "us", "ms", "s"});
}

std::string to_table(const ScenarioResult& result) {
  const std::string repeated = result.repeat > 1 ? fmt::format(" (means of {} seeds)", result.repeat) : "";
  return fmt::format("{}: {}{}\n\n", result.scenario, result.title, repeated) + layout(rows_of(result)) +
         after_table(result);
}

}  // namespace gnomon::results
