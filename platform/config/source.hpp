// SPDX-License-Identifier: Apache-2.0
// Where a configuration value comes from: a named text and a position in it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace gnomon::config {

enum class OriginKind { default_value, scenario, machine_profile, kernel_file, variant, command_line };

/// "default", "scenario", "machine profile", "kernel file", "variant" or "--set".
std::string_view name_of(OriginKind kind);

/// A text that was read: a file, or one --set argument.
struct Source {
  std::string name;                         ///< as the user gave it: a path, or "--set"
  OriginKind kind = OriginKind::scenario;   ///< what the text is to the run
  std::string detail;                       ///< the variant's name, for OriginKind::variant
  std::shared_ptr<const std::string> text;  ///< the bytes as read; null where the file could not be read
};

/// A position in a source. Lines and columns count from 1; a column is one code point, as editors count.
struct Location {
  std::shared_ptr<const Source> source;
  unsigned line = 1;
  unsigned column = 1;

  std::string_view file() const { return source ? std::string_view{source->name} : std::string_view{}; }
};

/// The line `where` points into, without its end. Empty where there is none.
std::string_view line_at(const Location& where);

/// True where `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

/// Length in bytes of the well-formed UTF-8 sequence `text` starts with; 0 where it starts with none.
std::size_t utf8_length(std::string_view text);

/// `text` safe for a terminal on one line: control characters and malformed UTF-8 become U+FFFD, a tab a space.
std::string printable(std::string_view text);

}  // namespace gnomon::config
