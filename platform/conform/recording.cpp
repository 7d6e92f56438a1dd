// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/recording.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "platform/gtrace/format.hpp"
#include "platform/replay/trace_file.hpp"

namespace gnomon::conform {

using gtrace::Event;
using gtrace::EventKind;

namespace {

constexpr std::uint64_t most_cpus = 1024;
constexpr std::size_t most_devices = 64;

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
  /// Of one of several devices.
  Reader(const gtrace::GtraceReader& file, std::uint64_t device) : file_(file), device_(device) {
    out.device = file.string(device);
  }

  void add(const Event& e) {
    const bool mapping = e.kind == EventKind::map || e.kind == EventKind::unmap;
    if (device_ != 0 && (!mapping || e.device != device_)) {
      out.unnamed += mapping && e.device == 0;
      return;
    }
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

  bool has(std::uint64_t iova) const { return live_.contains(iova); }
  void add_unnamed(const Event& e) {
    unmap(e);
    --out.unnamed;
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
    live_[e.address].push_back(number);
    step(RecordedStep::Kind::map, e, number);
  }

  // What was mapped before the trace began is no business of this comparison: its IOVA's origin is not in it.
  void unmap(const Event& e) {
    const auto found = live_.find(e.address);
    if (found == live_.end()) {
      ++out.mapped_before;
      return;
    }
    step(RecordedStep::Kind::unmap, e, found->second.back());  // where devices are mixed, one address may be twice
    found->second.pop_back();
    if (found->second.empty()) live_.erase(found);
  }

  const gtrace::GtraceReader& file_;
  std::uint64_t device_ = 0;                                            // 0: whatever it is
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> live_;  // by IOVA; never iterated
};

}  // namespace

std::vector<Recording> read_recordings(gtrace::GtraceReader& file) {
  const auto stream = replay::stream_of_mappings(file);
  if (!stream) throw gtrace::GtraceError("there is no mapping in this trace");
  std::set<std::uint64_t> devices;
  Event event;
  for (file.rewind(stream); file.next(event);)
    if (event.kind == EventKind::map && event.device != 0) devices.insert(event.device);
  if (devices.size() < 2) return {read_recording(file)};
  if (devices.size() > most_devices) throw gtrace::GtraceError("mappings of more than 64 devices");
  std::vector<Reader> readers;
  for (const std::uint64_t device : devices) readers.emplace_back(file, device);
  for (file.rewind(stream); file.next(event);) {
    if (event.lane >= most_cpus) throw gtrace::GtraceError("an event of a CPU beyond the 1024th");
    for (Reader& reader : readers) reader.add(event);
    if (event.kind != EventKind::unmap || event.device != 0) continue;
    const auto mapped = [&](const Reader& reader) { return reader.has(event.address); };
    if (std::count_if(readers.begin(), readers.end(), mapped) == 1)  // it can be of one only
      std::find_if(readers.begin(), readers.end(), mapped)->add_unnamed(event);
  }
  std::vector<Recording> out;
  for (Reader& reader : readers) out.push_back(std::move(reader.out));
  return out;
}

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
