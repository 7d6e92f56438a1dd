// SPDX-License-Identifier: Apache-2.0
// Goes by the description of the fields, so that none is forgotten.
#include "platform/gtrace/print.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "platform/gtrace/fields.hpp"

namespace gnomon::gtrace {
namespace {

using Json = nlohmann::ordered_json;

std::string seconds(std::uint64_t ns) {
  return fmt::format("{}.{:09}", ns / 1'000'000'000, ns % 1'000'000'000);
}

template <class Field>
std::string text_of(Style style, const Field& field, const GtraceReader& file) {
  if constexpr (std::is_same_v<Field, std::vector<Run>>) {
    std::string out;
    for (const Run& run : field) out += fmt::format("{}{:#x}+{}", out.empty() ? "" : ",", run.address, run.bytes);
    return out;
  } else if constexpr (std::is_enum_v<Field>) {
    return field == Field::unknown ? "" : std::string{name_of(field)};
  } else {
    switch (style) {
      case Style::string: return std::string{file.string(field)};
      case Style::address: return fmt::format("{:#x}", field);
      case Style::maybe: return field == unknown ? "" : std::to_string(field);
      default: return std::to_string(field);
    }
  }
}

template <class Field>
Json json_of(Style style, const Field& field, const GtraceReader& file) {
  if constexpr (std::is_same_v<Field, std::vector<Run>>) {
    Json runs = Json::array();
    for (const Run& run : field) runs.push_back({{"address", run.address}, {"bytes", run.bytes}});
    return runs;
  } else if constexpr (std::is_enum_v<Field>) {
    return field == Field::unknown ? Json{} : Json(name_of(field));
  } else {
    if (style == Style::maybe && field == unknown) return {};
    if (style != Style::string) return field;
    return field == 0 ? Json{} : Json(file.string(field));
  }
}

const char* said_of(Style style) {
  switch (style) {
    case Style::string: return "string";
    case Style::number: return "number";
    case Style::maybe: return "number or unknown";
    case Style::address: return "number, as a difference";
    case Style::choice: return "one byte";
    case Style::runs: return "count, then address and bytes of each";
  }
  return "";
}

}  // namespace

std::string to_text(const Event& event, const GtraceReader& file) {
  const Stream& stream = file.streams()[file.stream()];
  std::string out = seconds(event.time_ns);
  if (stream.lane != "none") out += fmt::format("  {} {}", stream.lane, event.lane);
  if (event.task != 0) out += fmt::format("  task {}", event.task);
  out += fmt::format("  {}", name_of(event.kind));
  for_each_field(event, [&](const char* name, Style style, const auto& field) {
    const std::string text = text_of(style, field, file);
    if (!text.empty()) out += fmt::format(" {}={}", name, text);
  });
  return out;
}

Json to_json(const Event& event, const GtraceReader& file) {
  Json out{{"stream", file.stream()},
           {"time_ns", event.time_ns},
           {"lane", event.lane},
           {"task", event.task},
           {"kind", name_of(event.kind)}};
  for_each_field(
      event, [&](const char* name, Style style, const auto& field) { out[name] = json_of(style, field, file); });
  return out;
}

std::string to_text(const Stream& s) {
  std::string out = fmt::format("{}: {}, {} lines, {} events", s.name, s.format, s.lines, s.events);
  if (s.events != 0) out += fmt::format(", {} s to {} s", seconds(s.first_ns), seconds(s.last_ns));
  out += fmt::format("\n  clock: {}\n", s.clock);
  std::size_t width = 5;
  for (const Tally& tally : s.tallies) width = std::max(width, tally.name.size());
  if (!s.tallies.empty()) out += fmt::format("  {:<{}}  {:>10}  {:>10}\n", "lines", width, "used", "ignored");
  for (const Tally& t : s.tallies) {
    out += fmt::format("  {:<{}}  {:>10}  {:>10}", t.name, width, t.used, t.ignored);
    out += t.why.empty() ? "\n" : fmt::format("  {}\n", t.why);
  }
  for (const Note& note : s.notes) out += fmt::format("  note: {}: {}\n", note.text, note.count);
  return out;
}

Json to_json(const Stream& s) {
  Json kinds = Json::object(), lines = Json::array(), notes = Json::array();
  for (std::size_t i = 0; i < event_kinds; ++i)
    if (s.by_kind[i] != 0) kinds[std::string{name_of(static_cast<EventKind>(i))}] = s.by_kind[i];
  for (const Tally& t : s.tallies)
    lines.push_back({{"name", t.name}, {"used", t.used}, {"ignored", t.ignored}, {"why", t.why}});
  for (const Note& note : s.notes) notes.push_back({{"text", note.text}, {"count", note.count}});
  return {{"name", s.name},   {"format", s.format},    {"clock", s.clock},       {"lane", s.lane},
          {"lines", s.lines}, {"events", s.events},    {"first_ns", s.first_ns}, {"last_ns", s.last_ns},
          {"by_kind", kinds}, {"source_lines", lines}, {"notes", notes}};
}

std::string markdown_kinds() {
  std::string out = "| code | kind | meaning | fields, in order |\n|---|---|---|---|\n";
  for (std::size_t i = 0; i < event_kinds; ++i) {
    Event event;
    event.kind = static_cast<EventKind>(i);
    std::string fields;
    for_each_field(event, [&](const char* name, Style style, const auto&) {
      fields += fmt::format("{}`{}` ({})", fields.empty() ? "" : ", ", name, said_of(style));
    });
    out += fmt::format("| {} | `{}` | {} | {} |\n", i, name_of(event.kind), meaning_of(event.kind), fields);
  }
  return out;
}

}  // namespace gnomon::gtrace
