// SPDX-License-Identifier: Apache-2.0
// Whether two figures differ by more than their runs do among themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace gnomon::report {

/// A metric of n runs with different seeds.
struct Sample {
  double mean = 0;
  double stddev = 0;  ///< of the sample, over n - 1
  std::uint64_t n = 1;
};

/// b - a.
struct Difference {
  double value = 0;
  std::optional<double> ci95;  ///< half-width of its 95 % confidence interval; none where no noise is known
  double p = 0;  ///< chance of a difference this large if there is none; 0 or 1 where no noise is known
};

/// Welch's t interval where both are repeated. Of one run against n, whether it could be the next one of them (a
/// prediction interval). Runs are deterministic: without repeats, or where repeats agree to the last bit, any
/// difference is one.
Difference difference(const Sample& a, const Sample& b);

/// Which of `p` are findings when at most a share `rate` of the findings may be chance (Benjamini and Hochberg,
/// 1995).
std::vector<bool> significant(const std::vector<double>& p, double rate);

}  // namespace gnomon::report
