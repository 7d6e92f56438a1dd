// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "platform/report/comparison.hpp"

namespace gnomon::report {
namespace {

using nlohmann::ordered_json;
using Row = std::array<std::string, 5>;

std::string figure(double value) {
  if (std::trunc(value) == value && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, std::abs(value) < 10 ? 4 : std::abs(value) < 1000 ? 2 : 1);
}

std::string layout(const std::vector<Row>& rows) {
  std::array<std::size_t, 5> width{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string out;
  for (const Row& row : rows) {
    std::string line = fmt::format("  {:<{}}", row[0], width[0]);
    for (std::size_t i = 1; i < row.size(); ++i) line += fmt::format("  {:>{}}", row[i], width[i]);
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string percent_text(const MetricChange& c) {
  const auto percent = c.percent();
  return percent ? fmt::format("{:+.2f} %", *percent) : "from 0";
}

std::string variant_text(const VariantComparison& v) {
  std::string out = fmt::format("\n{}: {} of {} metrics changed\n", v.name, v.changed.size(), v.compared);
  std::vector<Row> rows;
  if (!v.changed.empty()) rows.push_back({"metric", "A", "B", "change", "95 % interval of B - A"});
  for (const MetricChange& c : v.changed)
    rows.push_back(
        {c.metric, figure(c.a), figure(c.b), percent_text(c),
         c.ci95 ? fmt::format("{} to {}", figure(c.b - c.a - *c.ci95), figure(c.b - c.a + *c.ci95)) : ""});
  out += layout(rows);
  rows.clear();
  if (!v.blame.empty()) rows.push_back({"latency, ns an I/O", "A", "B", "B - A", ""});
  for (const BlameChange& b : v.blame)
    rows.push_back({b.cause, figure(b.a), figure(b.b), fmt::format("{:+.1f}", b.b - b.a), ""});
  return out + layout(rows) + v.parting;
}

}  // namespace

std::string comparison_text(const Comparison& c) {
  std::string out = fmt::format("A: {}\nB: {}\n", c.a, c.b);
  for (const std::string& note : c.notes) out += "note: " + note + "\n";
  for (const VariantComparison& variant : c.variants) out += variant_text(variant);
  return out;
}

ordered_json comparison_json(const Comparison& c) {
  const auto optional = [](const std::optional<double>& v) { return v ? ordered_json(*v) : ordered_json(nullptr); };
  ordered_json j{{"schema", 1}, {"a", c.a}, {"b", c.b}, {"notes", c.notes}, {"variants", ordered_json::array()}};
  for (const VariantComparison& v : c.variants) {
    ordered_json changed = ordered_json::array(), blame = ordered_json::array();
    for (const MetricChange& m : v.changed)
      changed.push_back({{"metric", m.metric},
                         {"a", m.a},
                         {"b", m.b},
                         {"change_percent", optional(m.percent())},
                         {"ci95", optional(m.ci95)}});
    for (const BlameChange& b : v.blame) blame.push_back({{"cause", b.cause}, {"a", b.a}, {"b", b.b}});
    j["variants"].push_back({{"name", v.name},
                             {"compared", v.compared},
                             {"changed", std::move(changed)},
                             {"blame", std::move(blame)},
                             {"parting", v.parting}});
  }
  return j;
}

}  // namespace gnomon::report
