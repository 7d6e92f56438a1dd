// SPDX-License-Identifier: Apache-2.0
// A scenario's expectations held against what was simulated, and what a run is worth as an exit code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "platform/results/variant_result.hpp"
#include "platform/scenario/scenario_file.hpp"

namespace gnomon::results {

enum class Verdict { holds, fails, skipped };

struct ExpectationResult {
  scenario::Expectation expected;
  Verdict verdict = Verdict::skipped;
  std::optional<double> simulated;  ///< the metric, or the ratio; of an order none
  std::string simulated_status;     ///< of an expected status
  std::optional<double> tolerance;  ///< absolute
  std::string reason;               ///< one clause, of what fails
};

/// In the order of the file. `variants` holds every variant of the scenario; those that did not run are skipped,
/// and with them what was expected of them.
std::vector<ExpectationResult> evaluate(const std::vector<scenario::Expectation>& expectations,
                                        const std::vector<VariantResult>& variants);

/// A verdict of the sanitizer that no expectation foresees.
struct UnexpectedVerdict {
  std::string variant;
  std::string metric;  ///< "sanitizer.stale_dma"
  double count = 0;
};
std::vector<UnexpectedVerdict> unexpected_verdicts(const std::vector<VariantResult>& variants,
                                                   const std::vector<ExpectationResult>& expectations);

/// Variants whose status is neither ok nor the expected one.
std::vector<const VariantResult*> unexpected_statuses(const std::vector<VariantResult>& variants,
                                                      const std::vector<ExpectationResult>& expectations);

inline constexpr int exit_expectation_failed = 1;
inline constexpr int exit_bad_input = 2;
inline constexpr int exit_not_finished = 3;
inline constexpr int exit_guest_panic = 4;

/// The contract's exit code of a scenario that ran. `check`: failed expectations count.
int exit_code(const std::vector<VariantResult>& variants, const std::vector<ExpectationResult>& expectations,
              bool check);

}  // namespace gnomon::results
