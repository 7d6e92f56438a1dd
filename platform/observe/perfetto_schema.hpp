// SPDX-License-Identifier: Apache-2.0
// Field numbers of the public Perfetto trace format (protos/perfetto/trace/), as far as a timeline needs them.
#pragma once

#include <cstdint>
#include <protozero/types.hpp>

namespace gnomon::observe::perfetto {

enum class Trace : protozero::pbf_tag_type { packet = 1 };

enum class TracePacket : protozero::pbf_tag_type {
  timestamp = 8,                    ///< ns
  trusted_packet_sequence_id = 10,  ///< any constant but 0, one per writer
  track_event = 11,
  interned_data = 12,
  sequence_flags = 13,
  track_descriptor = 60,
};

enum SequenceFlag : unsigned { incremental_state_cleared = 1, needs_incremental_state = 2 };

enum class InternedData : protozero::pbf_tag_type { event_names = 2, debug_annotation_names = 3 };
enum class InternedName : protozero::pbf_tag_type { iid = 1, name = 2 };

enum class TrackDescriptor : protozero::pbf_tag_type {
  uuid = 1,
  name = 2,
  process = 3,
  thread = 4,
  parent_uuid = 5,
  counter = 8,
};
enum class ProcessDescriptor : protozero::pbf_tag_type { pid = 1, process_name = 6 };
enum class ThreadDescriptor : protozero::pbf_tag_type { pid = 1, tid = 2, thread_name = 5 };
enum class CounterDescriptor : protozero::pbf_tag_type { unit_name = 6 };

enum class TrackEvent : protozero::pbf_tag_type {
  debug_annotations = 4,
  type = 9,
  name_iid = 10,
  track_uuid = 11,
  counter_value = 30,
  flow_ids = 47,              ///< fixed64
  terminating_flow_ids = 48,  ///< fixed64
};
enum EventType : int { slice_begin = 1, slice_end = 2, instant = 3, counter = 4 };

enum class WireType : unsigned { varint = 0, fixed64 = 1, message = 2 };
/// What stands before a field's value, where the field's number is below 16.
template <class Field>
constexpr std::uint8_t tag(Field field, WireType type) {
  static_assert(sizeof(field) == sizeof(protozero::pbf_tag_type));
  return static_cast<std::uint8_t>(static_cast<unsigned>(field) << 3 | static_cast<unsigned>(type));
}
/// Likewise from 16 to 2047: two bytes, the first one lowest.
template <class Field>
constexpr std::uint16_t long_tag(Field field, WireType type) {
  const unsigned number = static_cast<unsigned>(field) << 3 | static_cast<unsigned>(type);
  return static_cast<std::uint16_t>((number & 127) | 128 | number >> 7 << 8);
}

enum class DebugAnnotation : protozero::pbf_tag_type {
  name_iid = 1,
  bool_value = 2,
  uint_value = 3,
  pointer_value = 7
};

}  // namespace gnomon::observe::perfetto
