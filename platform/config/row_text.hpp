// SPDX-License-Identifier: Apache-2.0
// Internal to platform/config: what a row and its values are called in messages, listings and the effective
// configuration.
#pragma once

#include <string>

#include "platform/config/description.hpp"

namespace gnomon::config {

/// "integer", "time", "list of strings", "choice", "table", "array of tables", …
std::string type_text(const Row& row);

/// What a value may be: "1 to 4096, a power of two", "true, false", the names of a choice; empty where anything
/// goes.
std::string accepted_text(const Row& row);

/// "an integer", "a time with its unit, such as \"3.6us\"", …: what the file should hold.
std::string expected_text(const Row& row);

/// One item as TOML. `value` is what Row::get gives, not a monostate.
std::string literal(const Row& row, const FieldValue& value);

/// True where the row's only_for condition is met, or it has none. `description` is the row's.
bool applies(const Row& row, const Description& description);

}  // namespace gnomon::config
