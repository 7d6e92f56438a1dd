// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string_view>

#include "platform/check/checked.hpp"

namespace gnomon::check {
namespace {

/// Text in a cell or a list item: what Markdown or HTML would read as its own is escaped, a line break is a blank.
std::string plain(std::string_view text) {
  constexpr std::string_view special = "\\`*_{}[]<>|#~&";
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

/// GitHub: %, CR and LF are written as percent codes; in a property : and , as well.
std::string command_text(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    const bool coded = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    if (coded)
      out += fmt::format("%{:02X}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out;
}

std::string failures_of(const std::vector<Scenario>& scenarios) {
  std::string out;
  for (const Scenario& s : scenarios) {
    for (const Case& c : s.cases)
      if (c.outcome == Outcome::failed) out += fmt::format("- {}\n", plain(c.message));
  }
  return out.empty() ? "" : "### What failed\n\n" + out + "\n";
}

}  // namespace

std::string to_markdown(const std::vector<Scenario>& scenarios) {
  std::size_t failed = 0, all = 0;
  std::string rows;
  std::size_t refused = 0;
  for (const Scenario& s : scenarios) {
    failed += s.count(Outcome::failed), all += s.cases.size();
    if (s.runs == 0 && s.count(Outcome::failed) == 0) {
      ++refused;
      continue;
    }
    rows +=
        fmt::format("| {} | {} | {} | {} | {} | {} ({}) | {:.1f} s |\n",
                    s.count(Outcome::failed) == 0 ? "ok" : "**failed**", plain(s.name), s.count(Outcome::passed),
                    s.count(Outcome::failed), s.count(Outcome::skipped), s.runs, s.cached, s.seconds);
  }
  if (refused > 0) rows += fmt::format("\n{} files that are there to be refused are.\n", refused);
  std::string out = fmt::format("## gnomon check: {}\n\n", failed == 0 ? fmt::format("all {} hold", all)
                                                                       : fmt::format("{} of {} fail", failed, all));
  out += failures_of(scenarios);
  return out +
         "| | scenario | passed | failed | skipped | runs (cached) | time |\n|---|---|--:|--:|--:|--:|--:|\n" +
         rows;
}

std::string to_annotations(const std::vector<Scenario>& scenarios) {
  std::string out;
  for (const Scenario& s : scenarios) {
    for (const Case& c : s.cases) {
      if (c.outcome != Outcome::failed) continue;
      out += fmt::format("::error file={},line={},title={}::{}\n",
                         command_text(c.file.empty() ? s.file : c.file, true), std::max(1u, c.line),
                         command_text("gnomon check: " + s.name, true), command_text(c.message, false));
    }
  }
  return out;
}

}  // namespace gnomon::check
