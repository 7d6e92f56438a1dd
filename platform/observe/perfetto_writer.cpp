// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <protozero/pbf_builder.hpp>
#include <utility>

#include "platform/observe/perfetto_schema.hpp"

namespace gnomon::observe::perfetto {

namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;
constexpr std::size_t packet_room = 4 * 1024;  // a packet may begin just below the limit
constexpr std::uint32_t sequence = 1;

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

void intern(std::string& buffer, InternedData kind, std::uint64_t iid, std::string_view name) {
  protozero::pbf_writer trace{buffer};
  Packet packet{trace};
  protozero::pbf_builder<InternedData> data{packet, TracePacket::interned_data};
  protozero::pbf_builder<InternedName> entry{data, kind};
  entry.add_uint64(InternedName::iid, iid);
  add_text(entry, InternedName::name, name);
}

}  // namespace

Writer::Writer(std::filesystem::path path) : path_(std::move(path)), part_(path_) {
  part_ += ".part";
  buffer_.reserve(buffer_bytes + packet_room);
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) fail(errno);
  protozero::pbf_writer trace{buffer_};
  Packet first{trace, incremental_state_cleared};
}

Writer::~Writer() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(part_.c_str());
}

void Writer::intern_event_name(std::uint64_t iid, std::string_view name) {
  intern(buffer_, InternedData::event_names, iid, name);
  flush_if_full();
}

void Writer::intern_annotation_name(std::uint64_t iid, std::string_view name) {
  intern(buffer_, InternedData::debug_annotation_names, iid, name);
  flush_if_full();
}

void Writer::declare_process(std::uint64_t uuid, std::int32_t pid, std::string_view name) {
  {
    protozero::pbf_writer trace{buffer_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    protozero::pbf_builder<ProcessDescriptor> process{track, TrackDescriptor::process};
    process.add_int32(ProcessDescriptor::pid, pid);
    add_text(process, ProcessDescriptor::process_name, name);
  }
  flush_if_full();
}

void Writer::declare_thread(std::uint64_t uuid, std::uint64_t parent, std::int32_t pid, std::int64_t tid,
                            std::string_view name) {
  {
    protozero::pbf_writer trace{buffer_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    track.add_uint64(TrackDescriptor::parent_uuid, parent);
    protozero::pbf_builder<ThreadDescriptor> thread{track, TrackDescriptor::thread};
    thread.add_int32(ThreadDescriptor::pid, pid);
    thread.add_int64(ThreadDescriptor::tid, tid);
    add_text(thread, ThreadDescriptor::thread_name, name);
  }
  flush_if_full();
}

void Writer::declare_track(std::uint64_t uuid, std::uint64_t parent, std::string_view name) {
  {
    protozero::pbf_writer trace{buffer_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    track.add_uint64(TrackDescriptor::parent_uuid, parent);
    add_text(track, TrackDescriptor::name, name);
  }
  flush_if_full();
}

void Writer::declare_counter(std::uint64_t uuid, std::uint64_t parent, std::string_view name,
                             std::string_view unit) {
  {
    protozero::pbf_writer trace{buffer_};
    Packet packet{trace};
    protozero::pbf_builder<TrackDescriptor> track{packet, TracePacket::track_descriptor};
    track.add_uint64(TrackDescriptor::uuid, uuid);
    track.add_uint64(TrackDescriptor::parent_uuid, parent);
    add_text(track, TrackDescriptor::name, name);
    protozero::pbf_builder<CounterDescriptor> counter{track, TrackDescriptor::counter};
    add_text(counter, CounterDescriptor::unit_name, unit);
  }
  flush_if_full();
}

void Writer::slice(std::uint64_t track, std::uint64_t began, std::uint64_t ended, const Label& label) {
  event(slice_begin, track, began, label);
  {
    protozero::pbf_writer trace{buffer_};
    Packet packet{trace};
    packet.add_uint64(TracePacket::timestamp, ended);
    protozero::pbf_builder<TrackEvent> end{packet, TracePacket::track_event};
    end.add_enum(TrackEvent::type, slice_end);
    end.add_uint64(TrackEvent::track_uuid, track);
  }
  flush_if_full();
}

void Writer::instant(std::uint64_t track, std::uint64_t at, const Label& label) {
  event(perfetto::instant, track, at, label);
  flush_if_full();
}

void Writer::counter(std::uint64_t track, std::uint64_t at, std::int64_t value) {
  {
    protozero::pbf_writer trace{buffer_};
    Packet packet{trace};
    packet.add_uint64(TracePacket::timestamp, at);
    protozero::pbf_builder<TrackEvent> sample{packet, TracePacket::track_event};
    sample.add_enum(TrackEvent::type, perfetto::counter);
    sample.add_uint64(TrackEvent::track_uuid, track);
    sample.add_int64(TrackEvent::counter_value, value);
  }
  flush_if_full();
}

void Writer::event(int type, std::uint64_t track, std::uint64_t at, const Label& label) {
  protozero::pbf_writer trace{buffer_};
  Packet packet{trace};
  packet.add_uint64(TracePacket::timestamp, at);
  protozero::pbf_builder<TrackEvent> event{packet, TracePacket::track_event};
  event.add_enum(TrackEvent::type, type);
  event.add_uint64(TrackEvent::track_uuid, track);
  event.add_uint64(TrackEvent::name_iid, label.name_iid);
  for (const Annotation& a : label.annotations) {
    protozero::pbf_builder<DebugAnnotation> annotation{event, TrackEvent::debug_annotations};
    annotation.add_uint64(DebugAnnotation::name_iid, a.name_iid);
    switch (a.kind) {
      case Annotation::Kind::number: annotation.add_uint64(DebugAnnotation::uint_value, a.value); break;
      case Annotation::Kind::pointer: annotation.add_uint64(DebugAnnotation::pointer_value, a.value); break;
      case Annotation::Kind::truth: annotation.add_bool(DebugAnnotation::bool_value, a.value != 0); break;
    }
  }
  if (label.flow.id != 0) {
    event.add_fixed64(label.flow.ends ? TrackEvent::terminating_flow_ids : TrackEvent::flow_ids, label.flow.id);
  }
}

void Writer::flush_if_full() {
  if (buffer_.size() >= buffer_bytes) flush();
}

void Writer::flush() {
  std::string_view rest = buffer_;
  while (!error_ && !rest.empty()) {
    const ::ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      fail(errno);
    }
  }
  buffer_.clear();
}

void Writer::fail(int error_number) {
  if (!error_) error_.assign(error_number, std::generic_category());
}

std::error_code Writer::close() {
  if (file_ < 0) return error_;
  flush();
  // Where space is only reserved at write-back, close() is the last call that can say so.
  if (::close(std::exchange(file_, -1)) != 0) fail(errno);
  if (!error_ && ::rename(part_.c_str(), path_.c_str()) != 0) fail(errno);
  if (error_) ::unlink(part_.c_str());
  return error_;
}

}  // namespace gnomon::observe::perfetto
