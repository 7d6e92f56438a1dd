// SPDX-License-Identifier: Apache-2.0
#include "platform/results/variant_result.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <map>

#include "platform/scenario/metric_names.hpp"

namespace gnomon::results {

Statistic statistic(const std::vector<double>& values) {
  Statistic s;
  s.n = values.size();
  if (s.n == 0) return s;
  const auto n = static_cast<double>(s.n);
  for (const double v : values) s.mean += v / n;
  if (s.n < 2) return s;
  double squares = 0;
  for (const double v : values) squares += (v - s.mean) * (v - s.mean);
  s.stddev = std::sqrt(squares / (n - 1));
  const boost::math::students_t distribution(n - 1);
  s.ci95 = quantile(complement(distribution, 0.025)) * s.stddev / std::sqrt(n);
  return s;
}

std::optional<double> VariantResult::metric(std::string_view wanted) const {
  for (const auto& [key, value] : metrics)
    if (key == wanted) return value.mean;
  const observe::MetricMeaning* meaning = scenario::find_metric(wanted);
  const bool one_of_many = meaning != nullptr && meaning->name.find('<') != std::string_view::npos;
  return one_of_many && !metrics.empty() ? std::optional{0.0} : std::nullopt;
}

VariantResult summarise(std::string name, std::vector<RunRecord> runs, std::vector<std::string> notes) {
  VariantResult out;
  out.name = std::move(name);
  out.notes = std::move(notes);
  out.runs = std::move(runs);
  if (out.runs.empty()) return out;
  const auto bad = std::find_if(out.runs.begin(), out.runs.end(), [](const RunRecord& r) { return !r.ok(); });
  out.status = bad == out.runs.end() ? "ok" : bad->status;
  if (bad != out.runs.end()) out.explanation = bad->explanation;
  const bool any_ok = std::any_of(out.runs.begin(), out.runs.end(), [](const RunRecord& r) { return r.ok(); });

  std::vector<std::string> order;
  std::map<std::string, std::vector<double>> values;
  std::size_t counted = 0;
  for (const RunRecord& record : out.runs) {
    if (any_ok && !record.ok()) continue;
    for (const auto& [key, value] : record.metrics) {
      auto& of_key = values[key];
      if (of_key.empty() && std::find(order.begin(), order.end(), key) == order.end()) order.push_back(key);
      of_key.resize(counted);  // runs that did not count it: 0
      of_key.push_back(value);
    }
    ++counted;
  }
  for (const std::string& key : order) {
    values[key].resize(counted);
    out.metrics.emplace_back(key, statistic(values[key]));
  }
  return out;
}

}  // namespace gnomon::results
