// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/metric_names.hpp"

#include <fmt/format.h>

#include <vector>

#include "platform/config/diagnostics.hpp"

namespace gnomon::scenario {

const observe::MetricMeaning* find_metric(std::string_view name) {
  for (const observe::MetricMeaning& metric : observe::metric_meanings()) {
    const auto open = metric.name.find('<');
    if (open == std::string_view::npos || name == metric.name) {
      if (name == metric.name) return &metric;
      continue;
    }
    const std::string_view before = metric.name.substr(0, open);
    const std::string_view after = metric.name.substr(metric.name.find('>') + 1);
    if (name.size() > before.size() + after.size() && name.starts_with(before) && name.ends_with(after))
      return &metric;
  }
  return nullptr;
}

std::string metric_hint(std::string_view name) {
  std::vector<std::string> names;
  for (const observe::MetricMeaning& metric : observe::metric_meanings()) names.emplace_back(metric.name);
  const auto near = config::nearest_name(name, names);
  return (near ? fmt::format("did you mean '{}'?\n", *near) : "") + "`gnomon list metrics` has them all";
}

}  // namespace gnomon::scenario
