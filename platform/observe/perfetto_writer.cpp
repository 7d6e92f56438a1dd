// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <protozero/pbf_builder.hpp>
#include <utility>

#include "platform/observe/perfetto_schema.hpp"

namespace gnomon::observe::perfetto {

namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;
constexpr std::size_t packet_room = 4 * 1024;  // a packet may begin just below the limit
constexpr std::uint32_t sequence = 1;
constexpr std::size_t event_room = 128;      // the most an event takes, its annotations apart
constexpr std::size_t annotation_room = 32;  // the most an annotation takes
constexpr std::size_t flow_room = 10;
static_assert(event_room + most_more_flows * flow_room < packet_room);

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

namespace {

// Events are most of the file, so they are encoded by hand: protozero grows a string byte by byte, and moves every
// message it closes. Lengths are written in place of one byte, and what follows moves only where that is too short.

template <class Field>
constexpr char tag(Field field, protozero::pbf_wire_type type) {
  static_assert(sizeof(field) == sizeof(protozero::pbf_tag_type));
  return static_cast<char>(static_cast<unsigned>(field) << 3 | static_cast<unsigned>(type));
}
constexpr auto varint = protozero::pbf_wire_type::varint;
constexpr auto fixed64 = protozero::pbf_wire_type::fixed64;
constexpr auto message = protozero::pbf_wire_type::length_delimited;

char* put(char* out, std::uint64_t value) {
  for (; value > 127; value >>= 7) *out++ = static_cast<char>(value | 128);
  *out++ = static_cast<char>(value);
  return out;
}

template <class Field>
char* put(char* out, Field field, std::uint64_t value) {
  if (static_cast<unsigned>(field) < 16) {
    *out++ = tag(field, varint);
  } else {
    out = put(out, static_cast<unsigned>(field) << 3);
  }
  return put(out, value);
}

/// Closes the message whose length belongs at `length`, the byte before its first. Returns its end.
char* close_message(char* length, char* end) {
  const auto bytes = static_cast<std::size_t>(end - length - 1);
  if (bytes < 128) {
    *length = static_cast<char>(bytes);
    return end;
  }
  const auto more = static_cast<std::size_t>((std::bit_width(bytes) + 6) / 7 - 1);
  std::memmove(length + 1 + more, length + 1, bytes);
  put(length, bytes);
  return end + more;
}

char* put(char* out, const Annotation& a) {
  *out++ = tag(TrackEvent::debug_annotations, message);
  char* const length = out++;
  out = put(out, DebugAnnotation::name_iid, a.name_iid);
  switch (a.kind) {
    case Annotation::Kind::number: out = put(out, DebugAnnotation::uint_value, a.value); break;
    case Annotation::Kind::pointer: out = put(out, DebugAnnotation::pointer_value, a.value); break;
    case Annotation::Kind::truth: out = put(out, DebugAnnotation::bool_value, a.value != 0); break;
  }
  return close_message(length, out);
}

char* put(char* out, const Flow& flow) {
  out = put(out, static_cast<unsigned>(flow.ends ? TrackEvent::terminating_flow_ids : TrackEvent::flow_ids) << 3 |
                     static_cast<unsigned>(fixed64));
  for (unsigned i = 0; i < 8; ++i) *out++ = static_cast<char>(flow.id >> 8 * i);
  return out;
}

}  // namespace

void Writer::slice(std::uint64_t track, std::uint64_t began, std::uint64_t ended, const Label& label) {
  event(slice_begin, track, began, label, 0);
  event(slice_end, track, ended, {}, 0);
}

void Writer::instant(std::uint64_t track, std::uint64_t at, const Label& label) {
  event(perfetto::instant, track, at, label, 0);
}

void Writer::counter(std::uint64_t track, std::uint64_t at, std::int64_t value) {
  event(perfetto::counter, track, at, {}, value);
}

void Writer::event(int type, std::uint64_t track, std::uint64_t at, const Label& label, std::int64_t value) {
  const std::size_t room =
      event_room + label.annotations.size() * annotation_room + label.more_flows.size() * flow_room;
  if (scratch_.size() < room) scratch_.resize(room);
  char* out = scratch_.data();
  *out++ = tag(Trace::packet, message);
  char* const packet = out++;
  out = put(out, TracePacket::timestamp, at);
  out = put(out, TracePacket::trusted_packet_sequence_id, sequence);
  out = put(out, TracePacket::sequence_flags, needs_incremental_state);
  *out++ = tag(TracePacket::track_event, message);
  char* const body = out++;
  out = put(out, TrackEvent::type, static_cast<unsigned>(type));
  out = put(out, TrackEvent::track_uuid, track);
  if (label.name_iid != 0) out = put(out, TrackEvent::name_iid, label.name_iid);
  for (const Annotation& annotation : label.annotations) out = put(out, annotation);
  if (label.flow.id != 0) out = put(out, label.flow);
  for (const Flow& flow : label.more_flows) out = put(out, flow);
  if (type == perfetto::counter) out = put(out, TrackEvent::counter_value, static_cast<std::uint64_t>(value));
  out = close_message(packet, close_message(body, out));
  buffer_.append(scratch_.data(), static_cast<std::size_t>(out - scratch_.data()));
  flush_if_full();
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
