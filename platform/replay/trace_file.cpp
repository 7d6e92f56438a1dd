// SPDX-License-Identifier: Apache-2.0
#include "platform/replay/trace_file.hpp"

#include "platform/gtrace/file_source.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/replay/script_builder.hpp"

namespace gnomon::replay {

using gtrace::EventKind;

namespace {
constexpr std::uint64_t most_cpus = 1024;
}

std::optional<std::uint32_t> stream_of_mappings(const gtrace::GtraceReader& file) {
  std::optional<std::uint32_t> best;
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < file.streams().size(); ++i) {
    const std::uint64_t maps = file.streams()[i].by_kind[static_cast<std::size_t>(EventKind::map)];
    if (maps <= most) continue;
    most = maps;
    best = static_cast<std::uint32_t>(i);
  }
  return best;
}

LoadedTrace load_trace(gtrace::GtraceReader& file) {
  const auto stream = stream_of_mappings(file);
  if (!stream)
    throw gtrace::GtraceError(
        "there is no mapping in this trace: a replay needs iommu:map or dma:dma_map_* events");
  ScriptBuilder builder;
  gtrace::Event event;
  for (file.rewind(stream); file.next(event);) {
    if (event.lane >= most_cpus) throw gtrace::GtraceError("an event of a CPU beyond the 1024th");
    builder.add(event);
  }
  LoadedTrace out;
  out.stream = file.streams()[*stream].name;
  out.notes = sentences(builder.doubts());
  out.script = std::make_shared<const guest::ReplayScript>(builder.take());
  return out;
}

LoadedTrace load_trace(const std::string& path) {
  gtrace::FileSource source{path};
  gtrace::GtraceReader file{source};
  return load_trace(file);
}

}  // namespace gnomon::replay
