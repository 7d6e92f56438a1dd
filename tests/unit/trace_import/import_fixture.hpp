// SPDX-License-Identifier: Apache-2.0
// Text in, events out, by way of a gtrace in memory.
#pragma once

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "platform/gtrace/reader.hpp"
#include "platform/trace_import/importer.hpp"

namespace gnomon::trace_import::test {

struct Imported {
  std::string bytes;  ///< of the gtrace
  std::vector<gtrace::Stream> streams;
  std::vector<gtrace::Event> events;  ///< of all streams
  std::vector<std::string> strings;
  std::vector<config::Diagnostic> findings;
  std::vector<std::string> skipped;
  bool again = false;  ///< a second pass was needed

  std::uint64_t count(gtrace::EventKind kind) const {
    std::uint64_t sum = 0;
    for (const auto& stream : streams) sum += stream.by_kind[static_cast<std::size_t>(kind)];
    return sum;
  }
  const std::string& string(std::uint64_t number) const { return strings.at(number); }
  const gtrace::Tally& tally(const std::string& name) const {
    for (const auto& stream : streams)
      for (const auto& tally : stream.tallies)
        if (tally.name == name) return tally;
    throw std::out_of_range{name};
  }
  std::uint64_t note(const std::string& start) const {
    for (const auto& stream : streams)
      for (const auto& note : stream.notes)
        if (note.text.starts_with(start)) return note.count;
    return 0;
  }
};

/// Every text is one file; `piece` bytes of it are pushed at a time.
inline Imported import_texts(const std::vector<std::string>& texts, const ImportOptions& options = {},
                             std::size_t piece = 4096) {
  Imported out;
  std::vector<RunEvidence> evidence;
  for (int pass = 0; pass < 2; ++pass) {
    out.bytes.clear();
    gtrace::GtraceWriter writer{[&](std::string_view bytes) { out.bytes += bytes; }};
    Findings findings;
    Importer importer{options, writer, findings, pass == 0 ? nullptr : &evidence};
    try {
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto read = [&](Pipe& pipe) {
          for (std::size_t at = 0; at < texts[i].size(); at += piece)
            pipe.push(std::string_view{texts[i]}.substr(at, piece));
        };
        importer.import("file" + std::to_string(i), read,
                        [](const std::string&, Pipe&) { throw InputError{"no trace-cmd here"}; });
      }
    } catch (const TooManyFindings&) {
    }
    out.findings = findings.all();
    out.skipped = importer.skipped();
    if (!findings.none()) return out;
    writer.finish();
    if (pass == 1 || !importer.needs_another_pass()) break;
    out.again = true;
    evidence = importer.take_evidence();
  }
  gtrace::MemorySource source{out.bytes};
  gtrace::GtraceReader reader{source};
  out.streams = reader.streams();
  for (std::size_t i = 0; i < reader.strings(); ++i) out.strings.emplace_back(reader.string(i));
  gtrace::Event event;
  while (reader.next(event)) out.events.push_back(event);
  return out;
}

inline Imported import_text(const std::string& text, const ImportOptions& options = {}) {
  return import_texts({text}, options);
}

inline std::string excerpt(const std::string& name) {
  std::ifstream in{"tests/data/traces/" + name, std::ios::binary};
  if (!in) throw std::runtime_error{"no excerpt " + name};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// A line of ftrace: context flags, microseconds, the event.
inline std::string ftrace_line(const char* flags, unsigned us, const std::string& event, unsigned cpu = 0,
                               const std::string& task = "fio-7") {
  char prefix[96];
  std::snprintf(prefix, sizeof prefix, "%16s [%03u] %s     1.%06u: ", task.c_str(), cpu, flags, us);
  return prefix + event + "\n";
}
inline std::string map_line(unsigned us, unsigned long long iova, unsigned long long bytes,
                            unsigned long long physical, unsigned cpu = 0, const char* flags = ".....") {
  char text[160];
  std::snprintf(text, sizeof text, "map: IOMMU: iova=0x%016llx - 0x%016llx paddr=0x%016llx size=%llu", iova,
                iova + bytes, physical, bytes);
  return ftrace_line(flags, us, text, cpu);
}
inline std::string unmap_line(unsigned us, unsigned long long iova, unsigned long long bytes, unsigned cpu = 0,
                              const char* flags = "d.h1.") {
  char text[160];
  std::snprintf(text, sizeof text, "unmap: IOMMU: iova=0x%016llx - 0x%016llx size=%llu unmapped_size=%llu", iova,
                iova + bytes, bytes, bytes);
  return ftrace_line(flags, us, text, cpu);
}

}  // namespace gnomon::trace_import::test
