// SPDX-License-Identifier: Apache-2.0
// The effective configuration as TOML: every value, defaults included, each with its origin in a comment.
#pragma once

#include <string>

#include "platform/config/origins.hpp"

namespace gnomon::config {

/// Reads back (OriginKind::scenario) to the same values. Rows whose only_for condition does not hold, and absent
/// optional tables, are left out; an empty optional is a comment.
std::string effective_toml(const Description& description, const Origins& origins);

}  // namespace gnomon::config
