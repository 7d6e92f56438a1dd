// SPDX-License-Identifier: Apache-2.0
// Which metric names a run can report.
#pragma once

#include <string>
#include <string_view>

#include "platform/observe/metrics.hpp"

namespace gnomon::scenario {

/// The meaning of `name`, with <reason>, <lock> or <job> filled in or not; null for what is no metric.
const observe::MetricMeaning* find_metric(std::string_view name);
inline bool is_metric(std::string_view name) {
  return find_metric(name) != nullptr;
}

/// "did you mean …" for a name that is no metric, and how to list them.
std::string metric_hint(std::string_view name);

}  // namespace gnomon::scenario
