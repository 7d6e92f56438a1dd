// SPDX-License-Identifier: Apache-2.0
// Writes a Perfetto trace file in constant memory: interned names, no allocation for an event.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "platform/observe/perfetto_encoding.hpp"
#include "platform/observe/trace_file.hpp"

namespace gnomon::observe::perfetto {

using Annotations = std::span<const Annotation>;  ///< at most most_annotations
inline constexpr std::size_t most_annotations = 16;
inline constexpr std::size_t most_flows = 256;

/// Writes a TraceFile, and like it keeps the first failure for close().
///
/// The caller keeps the format's rules: a track is declared before its events, slices of one track nest, and of two
/// events of one track at one instant the one written first comes first. Times are in ns.
class Writer {
 public:
  explicit Writer(std::filesystem::path path);

  void intern_event_name(std::uint64_t iid, std::string_view name);
  void intern_annotation_name(std::uint64_t iid, std::string_view name);

  void declare_process(std::uint64_t uuid, std::int32_t pid, std::string_view name);
  void declare_thread(std::uint64_t uuid, std::uint64_t parent, std::int32_t pid, std::int64_t tid,
                      std::string_view name);
  void declare_track(std::uint64_t uuid, std::uint64_t parent, std::string_view name);
  void declare_counter(std::uint64_t uuid, std::uint64_t parent, std::string_view name, std::string_view unit);

  void slice(std::uint64_t track, std::uint64_t began, std::uint64_t ended, std::uint64_t name,
             Annotations annotations, Flow flow) {
    char* const end = put_event<slice_begin>(file_.room(2 * event_room), track, began, name, annotations, flow);
    file_.filled(put_event<slice_end>(end, track, ended, 0, {}, {}));
  }
  void instant(std::uint64_t track, std::uint64_t at, std::uint64_t name, Annotations annotations, Flow flow) {
    file_.filled(put_event<perfetto::instant>(file_.room(event_room), track, at, name, annotations, flow));
  }
  /// An instant where many arrows come by, at most most_flows.
  void instant(std::uint64_t track, std::uint64_t at, std::uint64_t name, std::span<const Flow> flows);
  void counter(std::uint64_t track, std::uint64_t at, std::int64_t value);

  /// Writes what is buffered and gives the file its name. The error is that of the first step that failed.
  std::error_code close() { return file_.close(); }

 private:
  static constexpr std::size_t event_room = 128 + most_annotations * Annotation::room;  ///< the most it touches

  template <EventType type>
  char* begin_event(char* out, std::uint64_t track, std::uint64_t at, char*& body) {
    out = times_.put_at(begin_packet(out), at);
    body = out + 1;
    store(out,
          row(tag(TracePacket::track_event, WireType::message), 0, tag(TrackEvent::type, WireType::varint), type));
    return put(out + 4, TrackEvent::track_uuid, track);
  }
  template <EventType type>
  char* put_event(char* first, std::uint64_t track, std::uint64_t at, std::uint64_t name, Annotations annotations,
                  Flow flow) {
    char* body = nullptr;
    char* out = begin_event<type>(first, track, at, body);
    if constexpr (type != slice_end) {
      out = put(out, TrackEvent::name_iid, name);
      for (const Annotation& annotation : annotations) out = annotation.put_at(out);
      if (flow.id != 0) out = flow.put_at(out);
    }
    return close_message(first + 1, close_message(body, out));
  }
  void append_packet();

  TraceFile file_;
  TimeEncoding times_;
  std::string packet_;  ///< the descriptor in the making
};

}  // namespace gnomon::observe::perfetto
