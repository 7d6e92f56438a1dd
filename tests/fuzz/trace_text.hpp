// SPDX-License-Identifier: Apache-2.0
// Any text at all, imported as one format: every line is accounted for or placed as wrong, and what was accepted
// can be read again.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "platform/gtrace/reader.hpp"
#include "platform/trace_import/line_import.hpp"
#include "tests/fuzz/target.hpp"

namespace gnomon::fuzz {

struct TextImport {
  std::string bytes;
  gtrace::Stream stream;
  trace_import::Findings findings;
};

inline void import_text(trace_import::Format format, std::string_view text, std::size_t piece, TextImport& out) {
  const trace_import::Knowledge knowledge{"0000:00:03.0", 512, {"kept_event"}};
  gtrace::GtraceWriter writer{[&](std::string_view bytes) { out.bytes += bytes; }};
  trace_import::LineImport import{format, "input", knowledge, writer, out.findings};
  try {
    for (std::size_t at = 0; at < text.size(); at += piece) import.push(text.substr(at, piece));
    import.finish();
  } catch (const trace_import::TooManyFindings&) {
  }
  out.stream = writer.end_stream(import.stream());
  writer.finish();
}

inline void check_text(trace_import::Format format, std::string_view text) {
  TextImport whole, pieces;
  import_text(format, text, text.size() + 1, whole);
  import_text(format, text, 13, pieces);
  promise(whole.findings.all() == pieces.findings.all(), "findings do not depend on how the bytes come");
  promise(whole.bytes == pieces.bytes, "events do not depend on how the bytes come");
  const auto lines = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const config::Diagnostic& d : whole.findings.all()) {
    promise(!d.message.empty(), "a finding says what it is");
    promise(d.line >= 1 && d.line <= lines && d.column >= 1 && d.column <= text.size() + 1,
            "a finding is in the text");
    static_cast<void>(config::render(d));
  }
  std::uint64_t told = 0, used = 0;
  for (const gtrace::Tally& tally : whole.stream.tallies) {
    told += tally.used + tally.ignored;
    used += tally.used;
  }
  promise(!whole.findings.none() || told == whole.stream.lines, "every line is used or ignored");
  promise(whole.stream.events <= used, "no event without a line");
  gtrace::MemorySource source{whole.bytes};
  gtrace::GtraceReader reader{source};
  gtrace::Event event;
  std::uint64_t events = 0;
  while (reader.next(event)) ++events;
  promise(events == whole.stream.events, "what is written is read");
}

}  // namespace gnomon::fuzz
