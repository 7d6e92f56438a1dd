// SPDX-License-Identifier: Apache-2.0
// The runs of one variant, one a seed, taken together.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/results/run_record.hpp"

namespace gnomon::results {

/// Of n independent runs. ci95 is the half-width of the 95 % confidence interval of the mean, by Student's t.
struct Statistic {
  double mean = 0;
  double stddev = 0;  ///< of the sample: over n - 1
  double ci95 = 0;
  std::size_t n = 0;
  bool operator==(const Statistic&) const = default;
};
Statistic statistic(const std::vector<double>& values);

struct VariantResult {
  std::string name;
  std::string status = "skipped";  ///< ok if every run is; else the first other one's
  std::string explanation;
  std::vector<std::pair<std::string, Statistic>> metrics;  ///< of the runs that are ok; if none is, of all
  std::vector<RunRecord> runs;
  std::vector<std::string> notes;

  /// Absent where there is no such metric. What a run did not count, as an exit reason that did not occur, is 0.
  std::optional<double> metric(std::string_view name) const;
  bool skipped() const { return status == "skipped"; }
};

VariantResult summarise(std::string name, std::vector<RunRecord> runs, std::vector<std::string> notes);

}  // namespace gnomon::results
