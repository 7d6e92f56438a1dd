// SPDX-License-Identifier: Apache-2.0
// The result of a scenario as cases: its expectations, what nobody expected, and its golden transcript.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/check/checked.hpp"
#include "platform/results/summary.hpp"

namespace gnomon::check {

struct ResultContext {
  std::string file;                         ///< of the scenario, as shown
  std::vector<unsigned> expectation_lines;  ///< where each stands, 0 where unknown
  std::string source;                       ///< the scenario's own, for expectations that name none
};

/// A case an expectation, and one for each status and verdict of the sanitizer that none of them foresees.
std::vector<Case> expectation_cases(const results::ScenarioResult& result, const ResultContext& context);

/// A case a variant that ran, and one for each section of the file whose variant the scenario no longer has.
std::vector<Case> golden_cases(const results::ScenarioResult& result, std::string_view golden,
                               const std::string& golden_file);

/// Latencies and the like of every variant that ended well, and how far each figure is from its published value.
std::vector<Figure> trend_figures(const results::ScenarioResult& result);

}  // namespace gnomon::check
