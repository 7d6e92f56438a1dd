// SPDX-License-Identifier: Apache-2.0
// Internal to platform/config: the seam in front of the TOML library, and the check of depth before it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "platform/config/document.hpp"

namespace gnomon::config {

/// A syntax error: position in the text, and what the parser says.
struct SyntaxError {
  unsigned line = 1;
  unsigned column = 1;
  std::string message;
};

/// The root table of `text`, which is `source`'s or a variation of it; or null and `error` set. Total: checks depth
/// first.
NodePtr parse_toml(std::string_view text, const std::shared_ptr<const Source>& source, SyntaxError& error);

/// The first place where `text` nests deeper than max_depth, counting tables, arrays and dots of keys. The TOML
/// library bounds brackets but not dotted keys, and recurses over what they make.
std::optional<SyntaxError> find_excessive_depth(std::string_view text);

}  // namespace gnomon::config
