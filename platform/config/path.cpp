// SPDX-License-Identifier: Apache-2.0
// Dotted paths and TOML strings as text.
#include <fmt/format.h>

#include <algorithm>

#include "platform/config/document.hpp"

namespace gnomon::config {
namespace {

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::optional<std::vector<PathPart>> split_path(std::string_view path) {
  std::vector<PathPart> parts;
  std::size_t at = 0;
  while (parts.size() < max_depth) {
    const std::size_t offset = columns(path.substr(0, at));
    if (at < path.size() && (path[at] == '"' || path[at] == '\'')) {
      const auto end = path.find(path[at], at + 1);
      if (end == std::string_view::npos) return std::nullopt;
      parts.push_back({std::string{path.substr(at + 1, end - at - 1)}, offset});
      at = end + 1;
    } else {
      const auto begin = at;
      while (at < path.size() && is_bare(path[at])) ++at;
      if (at == begin) return std::nullopt;
      parts.push_back({std::string{path.substr(begin, at - begin)}, offset});
    }
    if (at == path.size()) return parts;
    if (path[at] != '.') return std::nullopt;
    ++at;
  }
  return std::nullopt;
}

std::string join_path(std::string_view parent, std::string_view key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), is_bare);
  return fmt::format("{}{}{}", parent, parent.empty() ? "" : ".", bare ? std::string{key} : quoted(key));
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

}  // namespace gnomon::config
