// SPDX-License-Identifier: Apache-2.0
// What changed between two results, variant by variant.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "platform/report/result_folder.hpp"

namespace gnomon::report {

struct MetricChange {
  std::string metric;
  double a = 0, b = 0;         ///< means over repeats
  std::optional<double> ci95;  ///< of b - a; none: exact
  /// Of a; none where a is 0.
  std::optional<double> percent() const {
    return a == 0 ? std::nullopt : std::optional{100 * (b - a) / (a < 0 ? -a : a)};
  }
};

/// A cause of latency, ns an I/O: the metrics blame.CAUSE_ns, changed or not.
struct BlameChange {
  std::string cause;
  double a = 0, b = 0;
};

struct VariantComparison {
  std::string name;  ///< "strict", or "strict -> lazy" where two variants are compared
  std::size_t compared = 0;
  std::vector<MetricChange> changed;  ///< in the order metrics are reported in
  std::vector<BlameChange> blame;     ///< largest difference first
  std::string parting;                ///< of the first runs' traces; empty where one has none
};

struct Comparison {
  std::string a, b;  ///< the folders
  std::vector<std::string> notes;
  std::vector<VariantComparison> variants;

  bool any_change() const;
};

struct ComparisonOptions {
  double threshold_percent = 0;     ///< smaller changes are not told
  double false_discoveries = 0.05;  ///< share of told changes that may be chance, where there are repeats
};

/// Variants of the same name; or where both folders are variants', these two. The host's own time and memory
/// (sim.wall_s, sim.cpu_s, sim.peak_rss_bytes) are never compared. Throws Unreadable, also where nothing is
/// comparable.
Comparison compare(const ResultFolder& a, const ResultFolder& b, const ComparisonOptions& options);

std::string comparison_text(const Comparison& comparison);
/// {schema, a, b, notes, variants: [{name, compared, changed: [{metric, a, b, change_percent, ci95}], blame:
/// [{cause, a, b}], parting}]}
nlohmann::ordered_json comparison_json(const Comparison& comparison);

}  // namespace gnomon::report
