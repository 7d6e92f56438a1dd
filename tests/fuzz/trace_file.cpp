// SPDX-License-Identifier: Apache-2.0
// A file as the user gives it: compressed, an archive, any text or none. It is imported, or there is a finding.
#include "platform/gtrace/reader.hpp"
#include "platform/trace_import/importer.hpp"
#include "tests/fuzz/target.hpp"

using namespace gnomon;
using fuzz::promise;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string out;
  gtrace::GtraceWriter writer{[&](std::string_view piece) { out += piece; }};
  trace_import::Findings findings;
  const trace_import::ImportOptions options;
  trace_import::Importer importer{options, writer, findings};
  bool reported = false;
  try {
    importer.import(
        "input", [&](trace_import::Pipe& pipe) { pipe.push(bytes); },
        [&](const std::string&, trace_import::Pipe&) {
          reported = true;
          throw trace_import::InputError{"no trace-cmd here"};
        });
  } catch (const trace_import::TooManyFindings&) {
  }
  promise(!findings.none() || !importer.streams().empty(), "there is a stream or a finding");
  promise(!reported || !findings.none(), "what cannot be reported is a finding");
  static_cast<void>(findings.render());
  if (!findings.none()) return 0;
  writer.finish();
  gtrace::MemorySource source{out};
  promise(gtrace::GtraceReader{source}.streams() == importer.streams(), "streams are read as they were written");
  return 0;
}
