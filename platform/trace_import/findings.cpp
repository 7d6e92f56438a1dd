// SPDX-License-Identifier: Apache-2.0
// Shown as the errors of scenarios are.
#include "platform/trace_import/findings.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gnomon::trace_import {

void Findings::add(std::string_view file, std::uint64_t line, std::size_t column, std::string message,
                   std::string_view text, std::string note) {
  constexpr std::size_t longest_text = 4096;
  const std::string_view before = text.substr(0, column);
  // An editor's column counts code points: continuation bytes of UTF-8 do not.
  const auto points = std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xc0) != 0x80; });
  config::Diagnostic d;
  d.file = file;
  d.line = static_cast<unsigned>(std::min<std::uint64_t>(line, std::numeric_limits<unsigned>::max()));
  d.column = static_cast<unsigned>(points) + 1;
  d.message = std::move(message);
  if (text.size() <= longest_text) d.source_line = text;
  d.note = std::move(note);
  found_.push_back(std::move(d));
  if (found_.size() >= limit) throw TooManyFindings{};
}

std::string Findings::render() const {
  std::string out;
  for (const auto& d : found_) out += config::render(d);
  if (found_.size() >= limit) out += "and maybe more: the import stopped at the tenth\n";
  return out;
}

}  // namespace gnomon::trace_import
