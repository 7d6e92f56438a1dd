// SPDX-License-Identifier: Apache-2.0
#include "tests/support/perfetto_trace.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <protozero/pbf_reader.hpp>
#include <tuple>

namespace gnomon::test {

namespace {

using protozero::pbf_reader;

class Reader {
 public:
  explicit Reader(PerfettoTrace& trace) : trace_(trace) {}

  void packet(pbf_reader packet);

 private:
  void descriptor(pbf_reader message);
  void interned(pbf_reader message);
  void event(pbf_reader message, bool timed, std::uint64_t at);
  void annotation(pbf_reader message, PerfettoEvent& event);
  void broken(const std::string& what) {
    trace_.broken_rules.push_back("packet " + std::to_string(trace_.packets) + ": " + what);
  }
  void unknown(const char* message, pbf_reader& reader) {
    broken(std::string("unknown field ") + std::to_string(reader.tag()) + " in " + message);
    reader.skip();
  }

  PerfettoTrace& trace_;
  std::map<std::uint64_t, std::string> event_names_;
  std::map<std::uint64_t, std::string> annotation_names_;
};

void Reader::packet(pbf_reader packet) {
  ++trace_.packets;
  bool timed = false;
  std::uint64_t at = 0;
  std::uint32_t sequence = 0;
  std::uint32_t flags = 0;
  std::vector<pbf_reader> events;
  while (packet.next()) {
    switch (packet.tag()) {
      case 8: timed = true, at = packet.get_uint64(); break;
      case 10: sequence = packet.get_uint32(); break;
      case 11: events.push_back(packet.get_message()); break;
      case 12: interned(packet.get_message()); break;
      case 13: flags = packet.get_uint32(); break;
      case 60: descriptor(packet.get_message()); break;
      default: unknown("TracePacket", packet);
    }
  }
  if (sequence == 0) broken("no packet sequence");
  if (flags != (trace_.packets == 1 ? 1u : 2u)) broken("wrong sequence flags");
  for (const pbf_reader& e : events) event(e, timed, at);
}

void Reader::interned(pbf_reader message) {
  while (message.next()) {
    if (message.tag() != 2 && message.tag() != 3) {
      unknown("InternedData", message);
      continue;
    }
    auto& names = message.tag() == 2 ? event_names_ : annotation_names_;
    pbf_reader entry = message.get_message();
    std::uint64_t iid = 0;
    std::string name;
    while (entry.next()) {
      switch (entry.tag()) {
        case 1: iid = entry.get_uint64(); break;
        case 2: name = entry.get_string(); break;
        default: unknown("InternedName", entry);
      }
    }
    if (iid == 0 || name.empty()) broken("an interned name without id or text");
    if (!names.emplace(iid, name).second) broken("id interned twice");
  }
}

void Reader::descriptor(pbf_reader message) {
  std::uint64_t uuid = 0;
  PerfettoTrack track;
  const auto named = [&](pbf_reader part, protozero::pbf_tag_type name_tag, std::string& into) {
    while (part.next()) {
      if (part.tag() == name_tag) {
        into = part.get_string();
      } else if (part.tag() == 1 || part.tag() == 2) {
        if (part.get_int64() <= 0) broken("pid or tid must be positive");
      } else {
        unknown("a descriptor", part);
      }
    }
  };
  while (message.next()) {
    switch (message.tag()) {
      case 1: uuid = message.get_uint64(); break;
      case 2: track.name = message.get_string(); break;
      case 3: track.process = true, named(message.get_message(), 6, track.name); break;
      case 4: track.thread = true, named(message.get_message(), 5, track.name); break;
      case 5: track.parent = message.get_uint64(); break;
      case 8: track.counter = true, named(message.get_message(), 6, track.unit); break;
      default: unknown("TrackDescriptor", message);
    }
  }
  if (uuid == 0 || track.name.empty()) broken("a track without uuid or name");
  if (track.process != (track.parent == 0)) broken("only a process has no parent");
  if (track.parent != 0 && trace_.tracks.count(track.parent) == 0) broken("a track before its parent");
  if (!trace_.tracks.emplace(uuid, track).second) broken("a track declared twice");
}

void Reader::annotation(pbf_reader message, PerfettoEvent& event) {
  std::uint64_t iid = 0;
  std::uint64_t value = 0;
  while (message.next()) {
    switch (message.tag()) {
      case 1: iid = message.get_uint64(); break;
      case 2: value = message.get_bool() ? 1 : 0; break;
      case 3:
      case 7: value = message.get_uint64(); break;
      default: unknown("DebugAnnotation", message);
    }
  }
  const auto name = annotation_names_.find(iid);
  if (name == annotation_names_.end()) return broken("an annotation's name is not interned");
  event.annotations[name->second] = value;
}

void Reader::event(pbf_reader message, bool timed, std::uint64_t at) {
  PerfettoEvent event;
  event.at_ns = at;
  std::uint64_t iid = 0;
  while (message.next()) {
    switch (message.tag()) {
      case 4: annotation(message.get_message(), event); break;
      case 9: event.type = message.get_enum(); break;
      case 10: iid = message.get_uint64(); break;
      case 11: event.track = message.get_uint64(); break;
      case 30: event.value = message.get_int64(); break;
      case 47: event.flows.push_back(message.get_fixed64()); break;
      case 48: event.ending_flows.push_back(message.get_fixed64()); break;
      default: unknown("TrackEvent", message);
    }
  }
  if (!timed) broken("an event without a timestamp");
  const auto track = trace_.tracks.find(event.track);
  if (track == trace_.tracks.end()) return broken("an event before its track");
  if (track->second.counter != (event.type == PerfettoEvent::counter)) broken("a counter's event or track alone");
  if (event.type == PerfettoEvent::begin || event.type == PerfettoEvent::instant) {
    const auto name = event_names_.find(iid);
    if (name == event_names_.end()) return broken("an event's name is not interned");
    event.name = name->second;
  } else if (iid != 0) {
    broken("a name where none belongs");
  }
  trace_.events.push_back(std::move(event));
}

std::vector<const PerfettoEvent*> by_time(const std::vector<PerfettoEvent>& events) {
  std::vector<const PerfettoEvent*> sorted;
  for (const PerfettoEvent& e : events) sorted.push_back(&e);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const PerfettoEvent* a, const PerfettoEvent* b) { return a->at_ns < b->at_ns; });
  return sorted;
}

template <class Events>
std::vector<PerfettoSlice> pair_up(const Events& events, std::vector<std::string>* broken) {
  std::map<std::uint64_t, std::vector<const PerfettoEvent*>> open;
  std::vector<PerfettoSlice> slices;
  for (const PerfettoEvent* e : events) {
    auto& stack = open[e->track];
    if (e->type == PerfettoEvent::begin) stack.push_back(e);
    if (e->type != PerfettoEvent::end) continue;
    if (stack.empty()) {
      if (broken != nullptr) broken->push_back("a slice ends that did not begin");
      continue;
    }
    const PerfettoEvent* b = stack.back();
    stack.pop_back();
    slices.push_back({e->track, b->name, b->at_ns, e->at_ns, b->annotations});
  }
  for (const auto& [track, stack] : open) {
    if (!stack.empty() && broken != nullptr) broken->push_back("a slice never ends");
  }
  return slices;
}

void check_nesting(PerfettoTrace& trace) {
  // As told: the file's own order. As drawn: what a viewer makes of it. Where slices cross, the two differ.
  std::vector<const PerfettoEvent*> file_order;
  for (const PerfettoEvent& e : trace.events) file_order.push_back(&e);
  auto told = pair_up(file_order, &trace.broken_rules);
  auto drawn = pair_up(by_time(trace.events), &trace.broken_rules);
  const auto less = [](const PerfettoSlice& a, const PerfettoSlice& b) {
    return std::tie(a.track, a.began_ns, a.ended_ns, a.name) < std::tie(b.track, b.began_ns, b.ended_ns, b.name);
  };
  std::sort(told.begin(), told.end(), less);
  std::sort(drawn.begin(), drawn.end(), less);
  const auto same = [](const PerfettoSlice& a, const PerfettoSlice& b) {
    return a.track == b.track && a.began_ns == b.began_ns && a.ended_ns == b.ended_ns && a.name == b.name;
  };
  if (!std::equal(told.begin(), told.end(), drawn.begin(), drawn.end(), same)) {
    trace.broken_rules.push_back("slices of one track cross");
  }
  for (const PerfettoSlice& s : told) {
    if (s.ended_ns < s.began_ns) trace.broken_rules.push_back("a slice ends before it begins");
  }
}

void check_flows(PerfettoTrace& trace) {
  struct Use {
    std::size_t count = 0;
    bool ended = false;
  };
  std::map<std::uint64_t, Use> uses;
  for (const PerfettoEvent* e : by_time(trace.events)) {
    for (const std::uint64_t id : e->flows) {
      Use& use = uses[id];
      ++use.count;
      if (use.ended) trace.broken_rules.push_back("arrow " + std::to_string(id) + " goes on after its end");
    }
    for (const std::uint64_t id : e->ending_flows) {
      Use& use = uses[id];
      ++use.count;
      use.ended = true;
    }
  }
  for (const auto& [id, use] : uses) {
    if (use.count < 2) trace.broken_rules.push_back("arrow " + std::to_string(id) + " has one end");
    if (!use.ended) trace.broken_rules.push_back("arrow " + std::to_string(id) + " never ends");
  }
}

}  // namespace

std::vector<PerfettoSlice> PerfettoTrace::slices() const {
  return pair_up(by_time(events), nullptr);
}

std::vector<PerfettoSlice> PerfettoTrace::slices_on(const std::string& track_name) const {
  std::vector<PerfettoSlice> found;
  for (PerfettoSlice& s : slices()) {
    if (tracks.at(s.track).name == track_name) found.push_back(std::move(s));
  }
  return found;
}

std::vector<std::string> PerfettoTrace::along(std::uint64_t flow) const {
  std::vector<std::string> names;
  for (const PerfettoEvent* e : by_time(events)) {
    const auto has = [flow](const std::vector<std::uint64_t>& ids) {
      return std::find(ids.begin(), ids.end(), flow) != ids.end();
    };
    if (has(e->flows) || has(e->ending_flows)) names.push_back(e->name);
  }
  return names;
}

std::vector<std::pair<std::uint64_t, std::int64_t>> PerfettoTrace::samples_of(
    const std::string& counter_name) const {
  std::vector<std::pair<std::uint64_t, std::int64_t>> samples;
  for (const PerfettoEvent& e : events) {
    if (e.type == PerfettoEvent::counter && tracks.at(e.track).name == counter_name) {
      samples.emplace_back(e.at_ns, e.value);
    }
  }
  return samples;
}

std::vector<PerfettoEvent> PerfettoTrace::instants(const std::string& name) const {
  std::vector<PerfettoEvent> found;
  for (const PerfettoEvent& e : events) {
    if (e.type == PerfettoEvent::instant && e.name == name) found.push_back(e);
  }
  return found;
}

std::size_t PerfettoTrace::lanes(const std::string& track_name) const {
  return static_cast<std::size_t>(
      std::count_if(tracks.begin(), tracks.end(), [&](const auto& t) { return t.second.name == track_name; }));
}

PerfettoTrace read_perfetto(const std::filesystem::path& file) {
  PerfettoTrace trace;
  std::ifstream in(file, std::ios::binary);
  if (!in) trace.broken_rules.push_back("no file " + file.string());
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  Reader reader{trace};
  pbf_reader top{bytes};
  while (top.next(1)) reader.packet(top.get_message());
  check_nesting(trace);
  check_flows(trace);
  return trace;
}

}  // namespace gnomon::test
