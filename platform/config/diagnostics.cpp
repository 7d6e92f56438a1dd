// SPDX-License-Identifier: Apache-2.0
// Rendering and ordering of findings.
#include "platform/config/diagnostics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace gnomon::config {
namespace {

constexpr std::size_t shown_columns = 100;
constexpr std::size_t shown_message = 400;
constexpr std::size_t longest_line = 16'384;  // bytes; no person wrote a longer one, and a hundred copies are kept
constexpr std::string_view indent = "    ";

/// The code points of a printable text, so that a column is an index.
std::vector<std::string_view> code_points(std::string_view text) {
  std::vector<std::string_view> points;
  while (!text.empty()) {
    const auto length = std::max<std::size_t>(utf8_length(text), 1);
    points.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return points;
}

std::string join(std::span<const std::string_view> points) {
  std::string out;
  for (const auto point : points) out += point;
  return out;
}

std::string shortened(std::string_view text) {
  const auto clean = printable(text);
  const auto points = code_points(clean);
  if (points.size() <= shown_message) return clean;
  return join(std::span{points}.first(shown_message)) + "...";
}

std::string excerpt(std::string_view line, unsigned column) {
  const auto clean = printable(line);
  const auto points = code_points(clean);
  const std::size_t caret = std::min<std::size_t>(column == 0 ? 0 : column - 1, points.size());
  std::size_t first = 0;
  if (points.size() > shown_columns && caret > shown_columns / 2)
    first = std::min(caret - shown_columns / 2, points.size() - shown_columns);
  const std::size_t count = std::min(shown_columns, points.size() - first);
  const std::string_view before = first > 0 ? "..." : "";
  const std::string_view after = first + count < points.size() ? "..." : "";
  return fmt::format("{0}{1}{2}{3}\n{0}{4:{5}}^\n", indent, before, join(std::span{points}.subspan(first, count)),
                     after, "", before.size() + caret - first);
}

}  // namespace

std::string render(const Diagnostic& d) {
  auto out = fmt::format("{}:{}:{}: {}: {}\n", printable(d.file), d.line, d.column,
                         d.severity == Severity::error ? "error" : "warning", shortened(d.message));
  if (!d.source_line.empty()) out += excerpt(d.source_line, d.column);
  std::string_view note = d.note;
  while (!note.empty()) {
    const auto end = note.find('\n');
    out += fmt::format("{}{}\n", indent, printable(note.substr(0, end)));
    note.remove_prefix(end == std::string_view::npos ? note.size() : end + 1);
  }
  return out;
}

void Diagnostics::add(Severity severity, const Location& where, std::string message, std::string note) {
  if (severity == Severity::error) ++errors_;
  if (full()) {
    ++not_kept_;
    return;
  }
  const auto line = line_at(where);
  Diagnostic d{std::string{where.file()},
               where.line,
               where.column,
               severity,
               std::move(message),
               std::string{line.size() <= longest_line ? line : std::string_view{}},
               std::move(note)};
  if (std::find(found_.begin(), found_.end(), d) == found_.end()) found_.push_back(std::move(d));
}

void Diagnostics::error(const Location& where, std::string message, std::string note) {
  add(Severity::error, where, std::move(message), std::move(note));
}

void Diagnostics::warning(const Location& where, std::string message, std::string note) {
  add(Severity::warning, where, std::move(message), std::move(note));
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  std::vector<std::string_view> files;
  const auto rank = [&](const Diagnostic& d) {
    return std::find(files.begin(), files.end(), d.file) - files.begin();
  };
  for (const auto& d : found_)
    if (rank(d) == std::ssize(files)) files.push_back(d.file);
  auto result = found_;
  std::stable_sort(result.begin(), result.end(), [&](const Diagnostic& a, const Diagnostic& b) {
    return std::tuple{rank(a), a.line, a.column} < std::tuple{rank(b), b.line, b.column};
  });
  return result;
}

std::string Diagnostics::render() const {
  std::string out;
  for (const auto& d : sorted()) out += config::render(d);
  if (not_kept_ != 0) out += fmt::format("and {} more, not shown\n", not_kept_);
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, previous);
    std::swap(previous, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known) {
  constexpr std::size_t longest = 64;  // beyond it no known name is near, and the work stays bounded
  if (name.empty() || name.size() > longest) return std::nullopt;
  std::size_t best = std::max<std::size_t>(name.size() / 3, 1) + 1;
  std::optional<std::string> nearest;
  for (const auto& candidate : known) {
    if (candidate.size() > longest) continue;
    const auto distance = edit_distance(name, candidate);
    if (distance < best && distance < std::max(name.size(), candidate.size())) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string hint(std::string_view name, std::span<const std::string> accepted) {
  std::string out;
  if (const auto nearest = nearest_name(name, accepted)) out = fmt::format("did you mean '{}'?\n", *nearest);
  if (!accepted.empty()) out += fmt::format("accepted: {}", fmt::join(accepted, ", "));
  return out;
}

}  // namespace gnomon::config
