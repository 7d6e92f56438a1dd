// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/recording.hpp"

#include <algorithm>
#include <unordered_map>

#include "platform/gtrace/format.hpp"
#include "platform/replay/trace_file.hpp"

namespace gnomon::conform {

using gtrace::Event;
using gtrace::EventKind;

namespace {

constexpr std::uint64_t most_cpus = 1024;

/// An IOTLB invalidation of a whole domain, or of everything, as qi_submit shows it (VT-d 6.5.2.3).
bool flushes_domain(const Event& event) {
  constexpr std::uint64_t iotlb = 2, pages = 3;
  const std::uint64_t granularity = event.word[0] >> 4 & 3;
  return event.kind == EventKind::command && (event.word[0] & 0xf) == iotlb && granularity != pages &&
         granularity != 0;
}

class Reader {
 public:
  explicit Reader(const gtrace::GtraceReader& file) : file_(file) {}

  void add(const Event& e) {
    switch (e.kind) {
      case EventKind::map: return map(e);
      case EventKind::unmap: return unmap(e);
      case EventKind::mark:
        if (file_.string(e.name) == timer_mark) step(RecordedStep::Kind::flush_timer, e, 0);
        if (file_.string(e.name) == flush_mark) out.flushes_marked = true;
        return;
      case EventKind::command:
        if (flushes_domain(e)) step(RecordedStep::Kind::flush_seen, e, 0);
        return;
      default: return;
    }
  }

  Recording out;

 private:
  void step(RecordedStep::Kind kind, const Event& e, std::uint32_t mapping) {
    RecordedStep step;
    step.kind = kind;
    step.cpu = static_cast<std::uint16_t>(e.lane);
    step.time_ns = e.time_ns;
    step.iova = e.address;
    step.bytes = e.bytes;
    step.mapping = mapping;
    out.steps.push_back(step);
    out.cpus = std::max(out.cpus, unsigned{step.cpu} + 1);
    if (kind == RecordedStep::Kind::flush_timer || kind == RecordedStep::Kind::flush_seen)
      out.flushes_marked = true;
  }

  void map(const Event& e) {
    const auto number = static_cast<std::uint32_t>(out.mappings.size());
    out.mappings.push_back({e.address, e.bytes, e.direction, e.runs});
    live_.insert_or_assign(e.address, number);
    step(RecordedStep::Kind::map, e, number);
  }

  // What was mapped before the trace began is no business of this comparison: its IOVA's origin is not in it.
  void unmap(const Event& e) {
    const auto found = live_.find(e.address);
    if (found == live_.end()) {
      ++out.mapped_before;
      return;
    }
    step(RecordedStep::Kind::unmap, e, found->second);
    live_.erase(found);
  }

  const gtrace::GtraceReader& file_;
  std::unordered_map<std::uint64_t, std::uint32_t> live_;  // by IOVA; never iterated
};

}  // namespace

Recording read_recording(gtrace::GtraceReader& file) {
  const auto stream = replay::stream_of_mappings(file);
  if (!stream) throw gtrace::GtraceError("there is no mapping in this trace");
  Reader reader{file};
  Event event;
  for (file.rewind(stream); file.next(event);) {
    if (event.lane >= most_cpus) throw gtrace::GtraceError("an event of a CPU beyond the 1024th");
    reader.add(event);
  }
  return std::move(reader.out);
}

}  // namespace gnomon::conform
