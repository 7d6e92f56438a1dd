// SPDX-License-Identifier: Apache-2.0
// Reading a document, and laying values over it.
#include "platform/config/document.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "platform/config/toml_parser.hpp"

namespace gnomon::config {
namespace {

constexpr std::size_t max_syntax_errors = 20;

/// The byte range [begin, end) of a line, its end excluded.
std::pair<std::size_t, std::size_t> line_range(std::string_view text, unsigned line) {
  std::size_t begin = 0;
  for (unsigned l = 1; l < line; ++l) {
    const auto end = text.find('\n', begin);
    if (end == std::string_view::npos) return {text.size(), text.size()};
    begin = end + 1;
  }
  return {begin, std::min(text.find('\n', begin), text.size())};
}

/// The commonest slips, told in the terms of the file.
std::string syntax_note(std::string_view line, const SyntaxError& error) {
  const auto says = [&](std::string_view words) { return error.message.find(words) != std::string::npos; };
  if (says("string: unescaped control characters"))
    return line.find('\0') == std::string_view::npos ? "is the closing quote missing?" : "the line has a NUL byte";
  if (says("cannot redefine")) return "a key or a table is given once";
  if (says("invalid utf-8")) return "the file must be UTF-8";
  if (says("unknown escape sequence")) return "write \\\\ for a backslash, or the string in '…'";
  if (says("inline table: ")) return "an inline table stands on one line, its entries parted by commas";
  if (says("array: ")) return "is a comma missing, or the array's closing ']'?";
  if (says("saw ':'")) return "a key and its value are parted by '='";
  const auto equals = line.find('=');
  if (equals == std::string_view::npos || error.column <= equals + 1) return {};  // the key is what is wrong
  auto value = line.substr(equals + 1);
  value = value.substr(0, value.find('#'));
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\r' || value.back() == '\t'))
    value.remove_suffix(1);
  if (value.empty()) return "expected a value after '='";
  if (says("expected 'inf'") || says("expected 'nan'") || says("expected 'true'") || says("expected 'false'"))
    return "a string is written in quotes";
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == '/';
  };
  if (value.size() > 64 || !std::all_of(value.begin(), value.end(), plain)) return {};
  return fmt::format("a quantity or a name is written as a string: \"{}\"", value);
}

std::string without_prefix(std::string message) {
  const auto colon = message.starts_with("Error while parsing ") ? message.find(": ") : std::string::npos;
  if (colon == std::string::npos) return message;
  constexpr std::size_t prefix = std::string_view{"Error while parsing "}.size();
  return fmt::format("{}: {}", message.substr(prefix, colon - prefix), message.substr(colon + 2));
}

/// The parser stops at its first error. A broken `key = value` line is blanked and the rest parsed again, as long
/// as that moves the error forward; a broken header is the end, since what follows it has lost its table.
void report_syntax_errors(std::string text, const std::shared_ptr<const Source>& source, SyntaxError error,
                          Diagnostics& diagnostics) {
  for (std::size_t n = 0; n < max_syntax_errors; ++n) {
    const auto [begin, end] = line_range(text, error.line);
    const auto line = std::string_view{text}.substr(begin, end - begin);
    diagnostics.error({source, error.line, error.column}, without_prefix(error.message), syntax_note(line, error));
    const auto first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos || line[first] == '[' || line.find('=') == std::string_view::npos) return;
    text.replace(begin, end - begin, end - begin, ' ');
    SyntaxError next;
    if (parse_toml(text, source, next) || next.line <= error.line) return;
    error = std::move(next);
  }
}

}  // namespace

const Member* Node::find(std::string_view key) const {
  const auto* members = table();
  if (!members) return nullptr;
  const auto found = std::find_if(members->begin(), members->end(), [&](const Member& m) { return m.key == key; });
  return found == members->end() ? nullptr : &*found;
}

std::string_view Node::kind_name() const {
  constexpr std::array<std::string_view, 7> names{"a boolean", "an integer", "a number", "a string",
                                                  "a date",    "an array",   "a table"};
  return names[value.index()];
}

Document::Document() : root_(std::make_shared<Node>(Node{Members{}, {}, {}})) {}

std::optional<Document> parse_document(std::string text, std::string name, OriginKind kind,
                                       Diagnostics& diagnostics) {
  const auto shared = std::make_shared<const std::string>(std::move(text));
  const auto source = std::make_shared<const Source>(Source{std::move(name), kind, {}, shared});
  if (shared->size() > max_file_bytes) {
    diagnostics.error({source, 1, 1}, fmt::format("is larger than {} MiB", max_file_bytes >> 20));
    return std::nullopt;
  }
  SyntaxError error;
  auto root = parse_toml(*shared, source, error);
  if (!root) {
    report_syntax_errors(*shared, source, std::move(error), diagnostics);
    return std::nullopt;
  }
  return Document{std::move(root)};
}

std::optional<Document> read_document(const std::string& path, OriginKind kind, Diagnostics& diagnostics) {
  const auto fail = [&]() -> std::optional<Document> {
    const auto reason = std::generic_category().message(errno);
    const auto source = std::make_shared<const Source>(Source{path, kind, {}, nullptr});
    diagnostics.error({source, 1, 1}, fmt::format("cannot read: {}", reason));
    return std::nullopt;
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail();
  std::string text;
  std::array<char, 65536> block;
  ssize_t got = 0;
  while (text.size() <= max_file_bytes) {
    got = ::read(file, block.data(), block.size());
    if (got > 0) text.append(block.data(), static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  if (got < 0) {
    const auto result = fail();
    ::close(file);
    return result;
  }
  ::close(file);
  return parse_document(std::move(text), path, kind, diagnostics);
}

}  // namespace gnomon::config
