// SPDX-License-Identifier: Apache-2.0
// Lines and code points of a configuration text.
#include "platform/config/source.hpp"

namespace gnomon::config {

std::string_view name_of(OriginKind kind) {
  switch (kind) {
    case OriginKind::default_value: return "default";
    case OriginKind::scenario: return "scenario";
    case OriginKind::machine_profile: return "machine profile";
    case OriginKind::kernel_file: return "kernel file";
    case OriginKind::variant: return "variant";
    case OriginKind::command_line: return "--set";
  }
  return "";
}

std::string_view line_at(const Location& where) {
  if (!where.source || !where.source->text) return {};
  std::string_view text = *where.source->text;
  for (unsigned line = 1; line < where.line; ++line) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  if (where.line == 1 && text.starts_with("\xEF\xBB\xBF"))
    text.remove_prefix(3);  // a byte order mark has no column
  return text;
}

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  // RFC 3629 section 4: the second byte excludes overlong forms, surrogates and what lies above U+10FFFF.
  const unsigned second = byte(1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
      (lead == 0xF4 && second > 0x8F))
    return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    const bool c1_control = length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (lead == '\t') {
      out += ' ';
    } else if (length == 0 || lead < 0x20 || lead == 0x7F || c1_control) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace gnomon::config
