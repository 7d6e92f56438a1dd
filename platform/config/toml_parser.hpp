// SPDX-License-Identifier: Apache-2.0
// Internal to platform/config: the seam in front of the TOML library, and the guard before it.
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

/// The root table of `text`, which is `source`'s or a variation of it; or null and `error` set. Total: guarded.
NodePtr parse_toml(std::string_view text, const std::shared_ptr<const Source>& source, SyntaxError& error);

/// Makes `text` safe for the TOML library, which for two kinds of input is not total:
/// - it bounds the depth of brackets but not of dotted keys, and recurses over what they make. Where `text` nests
/// deeper
///   than max_depth, counting tables, arrays and dots, that place is the result;
/// - its test for white space is undefined for many characters beyond ASCII (toml++ 3.3). TOML allows them in
/// strings
///   and comments only; elsewhere each is replaced by a '?', which is as illegal there and takes one column too.
std::optional<SyntaxError> guard(std::string& text);

}  // namespace gnomon::config
