// SPDX-License-Identifier: Apache-2.0
// Internal to platform/config: one node as the value of one row.
#pragma once

#include <optional>
#include <string>

#include "platform/config/description.hpp"

namespace gnomon::config {

/// The value of a scalar or list row, checked against its kind, unit, bounds and names. Nothing after an error.
std::optional<FieldValue> decode(const Row& row, const Node& node, const std::string& path,
                                 Diagnostics& diagnostics);

void report_wrong_kind(const Row& row, const Node& node, const std::string& path, Diagnostics& diagnostics);

}  // namespace gnomon::config
