// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_writer.hpp"

#include <protozero/pbf_builder.hpp>
#include <utility>

namespace gnomon::observe::perfetto {

namespace {

/// A TracePacket in the making; closed by its destructor.
class Packet : public protozero::pbf_builder<TracePacket> {
 public:
  explicit Packet(protozero::pbf_writer& trace, SequenceFlag flag = needs_incremental_state)
      : protozero::pbf_builder<TracePacket>(trace, Trace::packet) {
    add_uint32(TracePacket::trusted_packet_sequence_id, sequence);
    add_uint32(TracePacket::sequence_flags, flag);
  }
};

template <class Tag>
void add_text(protozero::pbf_builder<Tag>& message, Tag tag, std::string_view text) {
  message.add_string(tag, text.data(), text.size());
}

void intern(std::string& packet_bytes, InternedData kind, std::uint64_t iid, std::string_view name) {
  protozero::pbf_writer trace{packet_bytes};
  Packet packet{trace};
  protozero::pbf_builder<InternedData> data{packet, TracePacket::interned_data};
  protozero::pbf_builder<InternedName> entry{data, kind};
  entry.add_uint64(InternedName::iid, iid);
  add_text(entry, InternedName::name, name);
}

}  // namespace

Writer::Writer(std::filesystem::path path) : file_(std::move(path)) {
  {
    protozero::pbf_writer trace{packet_};
    Packet first{trace, incremental_state_cleared};
  }
  append_packet();
}

void Writer::intern_event_name(std::uint64_t iid, std::string_view name) {
  intern(packet_, InternedData::event_names, iid, name);
  append_packet();
}

void Writer::intern_annotation_name(std::uint64_t iid, std::string_view name) {
  intern(packet_, InternedData::debug_annotation_names, iid, name);
  append_packet();
}

void Writer::declare_process(std::uint64_t uuid, std::int32_t pid, std::string_view name) {
  {
    protozero::pbf_writer trace{packet_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    protozero::pbf_builder<ProcessDescriptor> process{track, TrackDescriptor::process};
    process.add_int32(ProcessDescriptor::pid, pid);
    add_text(process, ProcessDescriptor::process_name, name);
  }
  append_packet();
}

void Writer::declare_thread(std::uint64_t uuid, std::uint64_t parent, std::int32_t pid, std::int64_t tid,
                            std::string_view name) {
  {
    protozero::pbf_writer trace{packet_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    track.add_uint64(TrackDescriptor::parent_uuid, parent);
    protozero::pbf_builder<ThreadDescriptor> thread{track, TrackDescriptor::thread};
    thread.add_int32(ThreadDescriptor::pid, pid);
    thread.add_int64(ThreadDescriptor::tid, tid);
    add_text(thread, ThreadDescriptor::thread_name, name);
  }
  append_packet();
}

void Writer::declare_track(std::uint64_t uuid, std::uint64_t parent, std::string_view name) {
  {
    protozero::pbf_writer trace{packet_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    track.add_uint64(TrackDescriptor::parent_uuid, parent);
    add_text(track, TrackDescriptor::name, name);
  }
  append_packet();
}

void Writer::declare_counter(std::uint64_t uuid, std::uint64_t parent, std::string_view name,
                             std::string_view unit) {
  {
    protozero::pbf_writer trace{packet_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    track.add_uint64(TrackDescriptor::parent_uuid, parent);
    add_text(track, TrackDescriptor::name, name);
    protozero::pbf_builder<CounterDescriptor> counter{track, TrackDescriptor::counter};
    add_text(counter, CounterDescriptor::unit_name, unit);
  }
  append_packet();
}

void Writer::instant(std::uint64_t track, std::uint64_t at, std::uint64_t name, std::span<const Flow> flows) {
  char* const first = file_.room(event_room + flows.size() * Flow::room);
  char* body = nullptr;
  char* out = put(begin_event<perfetto::instant>(first, track, at, body), TrackEvent::name_iid, name);
  for (const Flow& flow : flows) out = flow.put_at(out);
  file_.filled(close_message(first + 1, close_message(body, out)));
}

void Writer::counter(std::uint64_t track, std::uint64_t at, std::int64_t value) {
  char* const first = file_.room(event_room);
  char* body = nullptr;
  char* out = begin_event<perfetto::counter>(first, track, at, body);
  out = store(out, long_tag(TrackEvent::counter_value, WireType::varint));
  out = put(out, static_cast<std::uint64_t>(value));
  file_.filled(close_message(first + 1, close_message(body, out)));
}

void Writer::append_packet() {
  file_.write(packet_);
  packet_.clear();
}

}  // namespace gnomon::observe::perfetto
