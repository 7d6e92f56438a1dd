// SPDX-License-Identifier: Apache-2.0
// Internal to platform/scenario: one variant, bound, over its machine and kernel, as a Configuration.
#pragma once

#include "platform/scenario/resolve.hpp"

namespace gnomon::scenario {

struct Places {
  std::filesystem::path folder;  ///< of the scenario, for opening files
  std::filesystem::path shown;   ///< the same in messages
};

/// Nothing after errors, which are in `diagnostics`.
std::optional<ResolvedVariant> resolve_variant(const std::string& name, const ScenarioFile& file,
                                               const config::Origins& origins, const LoadedKernel& kernel,
                                               const Places& places, config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
