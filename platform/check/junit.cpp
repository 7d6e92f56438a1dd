// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "platform/check/checked.hpp"

namespace gnomon::check {
namespace {

/// Length of the UTF-8 sequence at the start of `s`, if XML 1.0 allows the character (production 2); else 0.
std::size_t xml_character(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || s.size() < length) return 0;
  std::uint32_t code = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < least[length] || code > 0x10ffff || surrogate || code == 0xfffe || code == 0xffff ? 0 : length;
}

/// Text for an element or a double-quoted attribute, in which a line break must be written as a reference.
std::string escaped(std::string_view text, bool attribute) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = xml_character(text);
    const char c = text.front();
    if (length == 0)
      out += "\xef\xbf\xbd";
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"' && attribute)
      out += "&quot;";
    else if ((c == '\n' || c == '\t') && attribute)
      out += fmt::format("&#{};", int{c});
    else if (c == '\r')
      out += "&#13;";
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string attribute(std::string_view name, std::string_view value) {
  return fmt::format(" {}=\"{}\"", name, escaped(value, true));
}

std::string counts(std::size_t tests, std::size_t failures, std::size_t skipped, double seconds) {
  return fmt::format(" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3f}\"", tests, failures,
                     skipped, seconds);
}

std::string case_xml(const Scenario& scenario, const Case& c) {
  std::string out = "    <testcase" + attribute("classname", scenario.name) + attribute("name", c.name) +
                    attribute("file", c.file.empty() ? scenario.file : c.file);
  if (c.line != 0) out += attribute("line", fmt::format("{}", c.line));
  out += " time=\"0\"";
  if (c.outcome == Outcome::passed) return out + "/>\n";
  out += ">\n";
  if (c.outcome == Outcome::skipped)
    out += "      <skipped" + (c.message.empty() ? "" : attribute("message", c.message)) + "/>\n";
  else
    out += "      <failure type=\"expectation\"" + attribute("message", c.message) + ">" +
           escaped(c.message, false) + "</failure>\n";
  return out + "    </testcase>\n";
}

}  // namespace

std::string to_junit(const std::vector<Scenario>& scenarios) {
  std::size_t tests = 0, failures = 0, skipped = 0;
  double seconds = 0;
  std::string suites;
  for (const Scenario& s : scenarios) {
    const std::size_t failed = s.count(Outcome::failed), left_out = s.count(Outcome::skipped);
    tests += s.cases.size(), failures += failed, skipped += left_out, seconds += s.seconds;
    suites += "  <testsuite" + attribute("name", s.name) + counts(s.cases.size(), failed, left_out, s.seconds) +
              attribute("file", s.file) + ">\n";
    suites += "    <properties>\n" + fmt::format("      <property name=\"runs\" value=\"{}\"/>\n", s.runs) +
              fmt::format("      <property name=\"cached\" value=\"{}\"/>\n", s.cached) + "    </properties>\n";
    for (const Case& c : s.cases) suites += case_xml(s, c);
    if (!s.details.empty()) suites += "    <system-out>" + escaped(s.details, false) + "</system-out>\n";
    suites += "  </testsuite>\n";
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"gnomon check\"" +
         counts(tests, failures, skipped, seconds) + ">\n" + suites + "</testsuites>\n";
}

}  // namespace gnomon::check
