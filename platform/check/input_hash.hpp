// SPDX-License-Identifier: Apache-2.0
// Everything a run's result depends on, as one number.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "platform/scenario/resolve.hpp"

namespace gnomon::check {

/// 32 hexadecimal digits, XXH3-128, over: the bytes of the running program, the effective configuration of the
/// variant (which holds scenario, machine and kernel with every default; not where each value is from), the bytes
/// of every file beside the scenario that the configuration names, what those include, the environment variables
/// they ask for, and the seed. Equal inputs, equal hash. Empty where the program's own bytes cannot be read.
std::string input_hash(const scenario::ResolvedScenario& scenario, const scenario::ResolvedVariant& variant,
                       std::uint64_t seed);

}  // namespace gnomon::check
