// SPDX-License-Identifier: Apache-2.0
// What is wrong with the traces given: the first ten findings, then the import stops.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/diagnostics.hpp"

namespace gnomon::trace_import {

/// Thrown with the tenth finding.
struct TooManyFindings {};

class Findings {
 public:
  static constexpr std::size_t limit = 10;

  /// `column` counts bytes of `text` from 0; a file as a whole is at fault at line 1, column 1 with no text.
  void add(std::string_view file, std::uint64_t line, std::size_t column, std::string message,
           std::string_view text, std::string note = {});

  const std::vector<config::Diagnostic>& all() const { return found_; }
  bool none() const { return found_.empty(); }
  std::string render() const;

 private:
  std::vector<config::Diagnostic> found_;
};

}  // namespace gnomon::trace_import
