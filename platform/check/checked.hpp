// SPDX-License-Identifier: Apache-2.0
// What a check found, before it is written in any format.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gnomon::check {

enum class Outcome { passed, failed, skipped };

/// One thing that was held against one other.
struct Case {
  std::string name;  ///< unique in its scenario: "strict: io.lat_ns.mean / host"
  Outcome outcome = Outcome::passed;
  std::string message;  ///< one line, of what failed: scenario, variant, metric, both values and the source
  std::string file;     ///< where what was expected is written; as shown to the user
  unsigned line = 0;    ///< 0: the file as a whole
};

/// A figure for a trend: smaller is better.
struct Figure {
  std::string name;
  std::string unit;
  double value = 0;
  double range = 0;  ///< half-width of the 95 % confidence interval; 0: none
  std::string extra;
};

struct Scenario {
  std::string name;
  std::string file;
  std::vector<Case> cases;
  std::vector<Figure> figures;
  std::size_t runs = 0;
  std::size_t cached = 0;  ///< of the runs, those that were not simulated again
  double seconds = 0;
  int exit_code = 0;    ///< the contract's
  std::string details;  ///< of what failed, several lines: the table, or the messages about a scenario in error

  std::size_t count(Outcome outcome) const {
    std::size_t n = 0;
    for (const Case& c : cases) n += c.outcome == outcome ? 1 : 0;
    return n;
  }
};

/// JUnit XML as Jenkins, GitLab and GitHub actions read it: a suite a scenario, a case an expectation. Bytes that
/// XML cannot hold become U+FFFD.
std::string to_junit(const std::vector<Scenario>& scenarios);

/// A page for $GITHUB_STEP_SUMMARY: what failed first, then a row a scenario.
std::string to_markdown(const std::vector<Scenario>& scenarios);

/// The array that github-action-benchmark reads as customSmallerIsBetter.
std::string to_bench_json(const std::vector<Scenario>& scenarios);

/// GitHub's workflow commands, a line a failure: "::error file=...,line=...,title=...::...".
std::string to_annotations(const std::vector<Scenario>& scenarios);

}  // namespace gnomon::check
