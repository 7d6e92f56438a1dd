// SPDX-License-Identifier: Apache-2.0
// Golden transcripts: SCENARIO.golden beside SCENARIO.toml holds, a section a variant, how the run ended, its
// metrics as integers, and observe::Transcript's lines. A difference is a change of behaviour; `gnomon check
// --update` approves it, and a reviewer reads the diff.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "platform/results/variant_result.hpp"

namespace gnomon::check {

std::filesystem::path golden_path(const std::filesystem::path& scenario);

/// The lines of one variant: "status ok", "metric NAME INTEGER" and the transcript. Metrics that are 0, metrics of
/// the host's own time and memory are left out, as are fractions; what has a unit of time or a rate is rounded to a
/// whole one.
std::vector<std::string> golden_lines(const results::VariantResult& variant);

/// The file of several variants, in their order.
std::string golden_text(const std::string& scenario, const std::vector<results::VariantResult>& variants);

struct GoldenLine {
  unsigned number = 0;  ///< in the file, from 1
  std::string text;
};
/// Sections by variant. Lines before the first section, and comments, are nobody's.
std::map<std::string, std::vector<GoldenLine>, std::less<>> read_golden(std::string_view text);

struct GoldenDifference {
  unsigned line = 0;     ///< of the golden file; 0: it has no such line
  std::string what;      ///< "metric io.completed", "events IoReaped", "event 7 of the window"
  std::string expected;  ///< its value or its text; empty: there is none
  std::string found;
};

/// The differences, in order: of metrics and counts each, of the window's events the first.
std::vector<GoldenDifference> differences(const std::vector<GoldenLine>& golden,
                                          const std::vector<std::string>& run);

}  // namespace gnomon::check
