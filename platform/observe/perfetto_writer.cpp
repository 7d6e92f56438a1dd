// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <protozero/pbf_builder.hpp>
#include <utility>

#include "platform/observe/perfetto_schema.hpp"

namespace gnomon::observe::perfetto {

namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;
constexpr std::uint32_t sequence = 1;
constexpr std::size_t event_room = 128;      // the most an event takes or touches, its annotations apart
constexpr std::size_t annotation_room = 32;  // the most an annotation takes
constexpr std::size_t flow_room = 10;

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

Writer::Writer(std::filesystem::path path) : path_(std::move(path)), part_(path_) {
  part_ += ".part";
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) fail(errno);
  buffer_.resize(buffer_bytes + event_room);
  {
    protozero::pbf_writer trace{packet_};
    Packet first{trace, incremental_state_cleared};
  }
  append_packet();
}

Writer::~Writer() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(part_.c_str());
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

namespace {

// Events are most of the file, so they are encoded by hand: protozero grows a string byte by byte, and moves every
// message it closes. Lengths are written in place of one byte, and what follows moves only where that is too short.
static_assert(std::endian::native == std::endian::little, "bytes in a row are stored as one word");

template <class Field>
constexpr char tag(Field field, protozero::pbf_wire_type type) {
  static_assert(sizeof(field) == sizeof(protozero::pbf_tag_type));
  return static_cast<char>(static_cast<unsigned>(field) << 3 | static_cast<unsigned>(type));
}
constexpr auto varint = protozero::pbf_wire_type::varint;
constexpr auto fixed64 = protozero::pbf_wire_type::fixed64;
constexpr auto message = protozero::pbf_wire_type::length_delimited;

/// A varint of two bytes or more. Eight are stored at once, however many of them count: there is room for ten.
[[gnu::noinline]] char* put_long(char* out, std::uint64_t value) {
  if (value >> 56 != 0) {
    for (; value > 127; value >>= 7) *out++ = static_cast<char>(value | 128);
    *out++ = static_cast<char>(value);
    return out;
  }
  const unsigned bytes = (static_cast<unsigned>(std::bit_width(value)) * 9 + 64) / 64;  // of seven bits each
  value = (value & 0x00ff'ffff'f000'0000) << 4 | (value & 0x0000'0000'0fff'ffff);
  value = (value & 0x0fff'c000'0fff'c000) << 2 | (value & 0x0000'3fff'0000'3fff);
  value = (value & 0x3f80'3f80'3f80'3f80) << 1 | (value & 0x007f'007f'007f'007f);
  value |= 0x8080'8080'8080'8080 & ((std::uint64_t{1} << 8 * (bytes - 1)) - 1);
  std::memcpy(out, &value, sizeof value);
  return out + bytes;
}

inline char* put(char* out, std::uint64_t value) {
  if (value > 127) return put_long(out, value);
  *out = static_cast<char>(value);
  return out + 1;
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

/// Moves a message of 128 bytes or more to where it begins behind the whole of its length. Returns its end.
[[gnu::noinline]] char* close_long_message(char* length, std::size_t bytes) {
  const auto more = static_cast<std::size_t>((std::bit_width(bytes) + 6) / 7 - 1);
  std::memmove(length + 1 + more, length + 1, bytes);
  char* const end = length + 1 + more + bytes;
  for (; bytes > 127; bytes >>= 7) *length++ = static_cast<char>(bytes | 128);  // nothing beyond it: not put()
  *length = static_cast<char>(bytes);
  return end;
}

/// Closes the message whose length belongs at `length`, the byte before its first. Returns its end.
inline char* close_message(char* length, char* end) {
  const auto bytes = static_cast<std::size_t>(end - length - 1);
  if (bytes > 127) return close_long_message(length, bytes);
  *length = static_cast<char>(bytes);
  return end;
}

/// A name's number and an annotation's length take a byte each.
char* put(char* out, const Annotation& a) {
  static constexpr std::array tags = {tag(DebugAnnotation::uint_value, varint),
                                      tag(DebugAnnotation::pointer_value, varint),
                                      tag(DebugAnnotation::bool_value, varint)};  // by Annotation::Kind
  char* const value = out + 5;
  char* const end = put(value, a.kind == Annotation::Kind::truth ? a.value != 0 : a.value);
  *out = tag(TrackEvent::debug_annotations, message);
  out[1] = static_cast<char>(end - out - 2);
  out[2] = tag(DebugAnnotation::name_iid, varint);
  out[3] = static_cast<char>(a.name_iid);
  out[4] = tags[static_cast<std::size_t>(a.kind)];
  return end;
}

char* put(char* out, const Flow& flow) {
  out = put(out, static_cast<unsigned>(flow.ends ? TrackEvent::terminating_flow_ids : TrackEvent::flow_ids) << 3 |
                     static_cast<unsigned>(fixed64));
  std::memcpy(out, &flow.id, sizeof flow.id);
  return out + sizeof flow.id;
}

/// What every event has between its time and its track, `type` apart and the length of its body not known yet.
constexpr std::array<char, 8> middle = {tag(TracePacket::trusted_packet_sequence_id, varint), sequence,
                                        tag(TracePacket::sequence_flags, varint), needs_incremental_state,
                                        tag(TracePacket::track_event, message), 0,
                                        tag(TrackEvent::type, varint), 0};
constexpr std::size_t body_length = 5;  // where in it the length goes

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

inline void Writer::event(int type, std::uint64_t track, std::uint64_t at, const Label& label, std::int64_t value) {
  const std::size_t room =
      event_room + label.annotations.size() * annotation_room + label.more_flows.size() * flow_room;
  if (buffer_.size() < used_ + room) make_room(room);
  char* const first = buffer_.data() + used_;
  *first = tag(Trace::packet, message);
  char* const packet = first + 1;
  char* out = put(packet + 1, TracePacket::timestamp, at);
  std::memcpy(out, middle.data(), middle.size());
  char* const body = out + body_length;
  out += middle.size();
  out[-1] = static_cast<char>(type);
  out = put(out, TrackEvent::track_uuid, track);
  if (label.name_iid != 0) out = put(out, TrackEvent::name_iid, label.name_iid);
  for (const Annotation& annotation : label.annotations) out = put(out, annotation);
  if (label.flow.id != 0) out = put(out, label.flow);
  for (const Flow& flow : label.more_flows) out = put(out, flow);
  if (type == perfetto::counter) out = put(out, TrackEvent::counter_value, static_cast<std::uint64_t>(value));
  out = close_message(packet, close_message(body, out));
  used_ += static_cast<std::size_t>(out - first);
}

/// Of the buffer, from used_ on.
[[gnu::noinline]] void Writer::make_room(std::size_t bytes) {
  if (used_ >= buffer_bytes) flush();
  if (buffer_.size() < used_ + bytes) buffer_.resize(used_ + bytes);
}

void Writer::append_packet() {
  if (buffer_.size() < used_ + packet_.size()) make_room(packet_.size());
  std::memcpy(buffer_.data() + used_, packet_.data(), packet_.size());
  used_ += packet_.size();
  packet_.clear();
}

void Writer::flush() {
  std::string_view rest(buffer_.data(), used_);
  while (!error_ && !rest.empty()) {
    const ::ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      fail(errno);
    }
  }
  used_ = 0;
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
