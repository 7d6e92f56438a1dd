// SPDX-License-Identifier: Apache-2.0
// What is wrong with the user's input, said the way compilers say it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/source.hpp"

namespace gnomon::config {

enum class Severity { error, warning };

/// One finding. `note` says what would be accepted; it may have several lines, or none.
struct Diagnostic {
  std::string file;
  unsigned line = 1;
  unsigned column = 1;
  Severity severity = Severity::error;
  std::string message;
  std::string source_line;
  std::string note;
  bool operator==(const Diagnostic&) const = default;
};

/// FILE:LINE:COLUMN: error: MESSAGE, the line with a caret under the column, and the note, each ended by a newline.
/// A line too long for a terminal is cut around the column; what a terminal could not show is replaced.
std::string render(const Diagnostic& diagnostic);

/// All findings of one job. Files stay in the order they were first mentioned; within a file, findings are in the
/// order of their position. The same finding is kept once, so every variant of a scenario may report into one
/// object.
class Diagnostics {
 public:
  static constexpr std::size_t limit = 100;  ///< errors kept; the rest are only counted

  void error(const Location& where, std::string message, std::string note = {});
  void warning(const Location& where, std::string message, std::string note = {});

  bool has_errors() const { return errors_ != 0; }
  bool full() const { return found_.size() >= limit; }  ///< no further one will be kept: spare the hints
  std::vector<Diagnostic> sorted() const;
  std::string render() const;

 private:
  void add(Severity severity, const Location& where, std::string message, std::string note);

  std::vector<Diagnostic> found_;
  std::size_t errors_ = 0;
  std::size_t not_kept_ = 0;
};

/// Damerau-Levenshtein distance (optimal string alignment: insert, delete, replace, swap neighbours), ASCII case
/// ignored.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The name a typing error away from `name`: distance at most a third of its length, at least 1. The first of
/// equals.
std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known);

/// "did you mean 'x'?" where one is near, then "accepted: a, b, c".
std::string hint(std::string_view name, std::span<const std::string> accepted);

}  // namespace gnomon::config
