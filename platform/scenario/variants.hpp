// SPDX-License-Identifier: Apache-2.0
// Which variants a scenario has, [matrix] included, and what they may set.
#pragma once

#include <vector>

#include "platform/scenario/scenario_file.hpp"

namespace gnomon::scenario {

inline constexpr std::size_t max_variants = 1'000;

/// The variants to run, in order: those of the file, or one named "default"; times every combination of [matrix],
/// whose values join the name as "strict,vcpus=4". A value of the form { name = "bare", set = { … } } sets what it
/// says and joins the name as "strict-bare"; its key is then only a label. Reports bad or repeated names and keys that
/// are not theirs to set.
std::vector<Variant> expand_variants(const ScenarioFile& file, const config::Origins& origins,
                                     config::Diagnostics& diagnostics);

/// The rules across the keys of each [[expect]].
void check_expectations(const ScenarioFile& file, const config::Document& document,
                        const std::vector<Variant>& variants, const config::Origins& origins,
                        config::Diagnostics& diagnostics);

/// The expectations of a file without errors, in order: one whose variant has a star, "guest-full-*", is one for each
/// variant it fits, and a star in its relative_to is what the first stood for.
std::vector<Expectation> expand_expectations(const std::vector<Expectation>& expectations,
                                             const std::vector<Variant>& variants);

}  // namespace gnomon::scenario
