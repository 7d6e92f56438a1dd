// SPDX-License-Identifier: Apache-2.0
// gnomon inspect: what a .gtrace holds. Every block is read, so that a damaged one is noticed.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "apps/gnomon/commands.hpp"
#include "platform/config/diagnostics.hpp"
#include "platform/gtrace/file_source.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/gtrace/print.hpp"
#include "platform/results/verdicts.hpp"

namespace gnomon::app {
namespace {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string heading(const std::string& path, const gtrace::GtraceReader& file, std::uint64_t bytes) {
  std::string text =
      fmt::format("{}: gtrace version {}, {} streams, {} events, {} blocks, {} bytes\n", path,
                  gtrace::format_version, file.streams().size(), file.events(), file.blocks(), bytes);
  for (const gtrace::Stream& stream : file.streams()) {
    text += fmt::format("\n{}", gtrace::to_text(stream));
    text += fmt::format("  {:<16}{:>10}\n", "events", "");
    for (std::size_t i = 0; i < gtrace::event_kinds; ++i)
      if (stream.by_kind[i] != 0)
        text +=
            fmt::format("  {:<16}{:>10}\n", gtrace::name_of(static_cast<gtrace::EventKind>(i)), stream.by_kind[i]);
  }
  return text;
}

std::string json_heading(const gtrace::GtraceReader& file, std::uint64_t bytes) {
  Json streams = Json::array();
  for (const gtrace::Stream& stream : file.streams()) streams.push_back(gtrace::to_json(stream));
  Json head{{"version", gtrace::format_version}, {"bytes", bytes}, {"events", file.events()}, {"streams", streams}};
  std::string text = dumped(head, 1);
  text.resize(text.size() - 2);  // the last end of line and brace: the listing follows
  return fmt::format("{},\n \"listing\": [", text);
}

/// Reads every event and prints the first `most` of the stream that is asked for.
void list_events(gtrace::GtraceReader& file, const InspectOptions& o, std::uint64_t most) {
  constexpr std::size_t flush_at = 64 * 1024;
  std::string text;
  gtrace::Event event;
  std::uint64_t shown = 0;
  while (file.next(event)) {
    if (shown == most || (o.stream && file.stream() != *o.stream)) continue;
    if (o.json)
      text += fmt::format("{}\n  {}", shown == 0 ? "" : ",", dumped(gtrace::to_json(event, file), -1));
    else
      text += fmt::format("{}{}\n", shown == 0 ? "\n" : "", gtrace::to_text(event, file));
    ++shown;
    if (text.size() < flush_at) continue;
    print(text);
    text.clear();
  }
  print(text);
}

int refuse(const std::string& path, const std::string& message) {
  config::Diagnostic d;
  d.file = path;
  d.message = message;
  complain(config::render(d));
  return results::exit_bad_input;
}

}  // namespace

int inspect_command(const InspectOptions& o) {
  std::optional<gtrace::FileSource> source;
  try {
    source.emplace(o.file);
    gtrace::GtraceReader file{*source};
    if (o.stream && *o.stream >= file.streams().size())
      return refuse(o.file,
                    fmt::format("there is no stream {}; it holds {}, from 0", *o.stream, file.streams().size()));
    print(o.json ? json_heading(file, source->size()) : heading(o.file, file, source->size()));
    list_events(file, o, o.all_events ? ~std::uint64_t{0} : o.events);
    if (o.json) print("\n ]\n}\n");
    return 0;
  } catch (const gtrace::GtraceError& error) {
    return refuse(o.file, error.what());
  } catch (const std::system_error& error) {
    if (source) throw;  // not of opening: the output, or a disk that fails
    return refuse(o.file, fmt::format("cannot read: {}", error.code().message()));
  }
}

}  // namespace gnomon::app
