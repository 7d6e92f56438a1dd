// SPDX-License-Identifier: Apache-2.0
// summary.json, and the table a person reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/results/verdicts.hpp"

namespace gnomon::results {

/// The version of summary.json's layout; it changes when a reader has to.
inline constexpr int summary_schema = 1;

struct ScenarioResult {
  std::string scenario;  ///< its name
  std::string title;
  std::uint64_t seed = 1;
  std::uint64_t repeat = 1;  ///< runs a variant; above 1 every metric is a statistic
  std::vector<VariantResult> variants;
  std::vector<ExpectationResult> expectations;
};

/// Two blanks a level, a final newline. Metrics are numbers, or {mean, stddev, ci95, n} where repeat > 1.
/// "sim.trace_hash" is the one metric that is a string (a list of them where repeat > 1); it stands beside the
/// metrics as "trace_hash" as well.
std::string to_json(const ScenarioResult& result);

/// One row a variant, then the orders, the sanitizer's findings and what went wrong.
std::string to_table(const ScenarioResult& result);

/// "2.50 GiB/s", "487.0 k", "3.602 us".
std::string bandwidth_text(double bytes_per_second);
std::string count_text(double count);
std::string time_text(double ns);

}  // namespace gnomon::results
