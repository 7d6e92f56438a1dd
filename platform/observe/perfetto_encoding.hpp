// SPDX-License-Identifier: Apache-2.0
// How an event of the timeline stands in the file. Events are most of it, so they are encoded by hand: protozero
// grows a string byte by byte, and moves every message it closes.
//
// Lengths are written in place of one byte, and what follows moves only where that is too short. Stores of whole
// words reach over what they are for: there is room, and the next field overwrites it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "platform/observe/perfetto_schema.hpp"

namespace gnomon::observe::perfetto {

static_assert(std::endian::native == std::endian::little, "bytes in a row are stored as one word");

inline constexpr std::uint32_t sequence = 1;  ///< a file has one writer

template <class Word>
char* store(char* out, Word bytes) {
  std::memcpy(out, &bytes, sizeof bytes);
  return out + sizeof bytes;
}

/// The lowest 28 bits, seven to a byte.
constexpr std::uint32_t spread(std::uint32_t low) {
  return (low & 0x7f) | (low & 0x3f80) << 1 | (low & 0x1f'c000) << 2 | (low & 0xfe0'0000) << 3;
}

/// A varint of three bytes or more: ten at most, and eight are touched.
char* put_long(char* out, std::uint64_t value);

/// A varint of five bytes, as most addresses are.
constexpr bool is_address_long(std::uint64_t value) {
  return (value >> 28) - 1 < 127;
}
inline char* put_address_long(char* out, std::uint64_t value) {
  out[4] = static_cast<char>(value >> 28);
  store(out, 0x8080'8080u | spread(static_cast<std::uint32_t>(value)));
  return out + 5;
}

inline char* put(char* out, std::uint64_t value) {
  if (value < 1 << 7) {
    *out = static_cast<char>(value);
    return out + 1;
  }
  if (value < 1 << 14) return store(out, static_cast<std::uint16_t>((value & 127) | 128 | value >> 7 << 8));
  return put_long(out, value);
}

template <class Field>
char* put(char* out, Field field, std::uint64_t value) {
  *out = static_cast<char>(tag(field, WireType::varint));
  return put(out + 1, value);
}

/// The bytes of a few varints below 128 in a row.
template <class... Byte>
constexpr std::uint64_t row(Byte... byte) {
  std::uint64_t bytes = 0;
  unsigned at = 0;
  ((bytes |= std::uint64_t{static_cast<std::uint8_t>(byte)} << 8 * at++), ...);
  return bytes;
}

/// Moves a message of 128 bytes or more to where it begins behind the whole of its length. Returns its end.
char* close_long_message(char* length, std::size_t bytes);

/// Closes the message whose length belongs at `length`, the byte before its first. Returns its end.
inline char* close_message(char* length, char* end) {
  const auto bytes = static_cast<std::size_t>(end - length - 1);
  if (bytes > 127) return close_long_message(length, bytes);
  *length = static_cast<char>(bytes);
  return end;
}

/// How a packet begins, its length not known yet, up to its time.
inline char* begin_packet(char* out) {
  constexpr auto packet = tag(Trace::packet, WireType::message);
  constexpr auto id = tag(TracePacket::trusted_packet_sequence_id, WireType::varint);
  constexpr auto flags = tag(TracePacket::sequence_flags, WireType::varint);
  constexpr auto time = tag(TracePacket::timestamp, WireType::varint);
  store(out, row(packet, 0, id, sequence, flags, needs_incremental_state, time));
  return out + 7;
}

/// One key and value shown beside an event. A pointer is shown in hexadecimal. Names of keys are numbered below
/// 128.
class Annotation {
 public:
  enum class Kind : std::uint8_t { number, pointer, truth };

  constexpr Annotation() = default;
  constexpr Annotation(std::uint64_t name_iid, std::uint64_t value, Kind kind = Kind::number)
      : head_(row(tag(TrackEvent::debug_annotations, WireType::message), 0,
                  tag(DebugAnnotation::name_iid, WireType::varint), name_iid,
                  tag(field_of(kind), WireType::varint))),
        value_(kind == Kind::truth ? value != 0 : value) {}

  static constexpr std::size_t room = 16;  ///< at most 15 bytes
  char* put_at(char* out) const {
    store(out, head_);
    char* const end = is_address_long(value_) ? put_address_long(out + 5, value_) : put(out + 5, value_);
    out[1] = static_cast<char>(end - out - 2);
    return end;
  }

 private:
  static constexpr DebugAnnotation field_of(Kind kind) {
    if (kind == Kind::number) return DebugAnnotation::uint_value;
    return kind == Kind::pointer ? DebugAnnotation::pointer_value : DebugAnnotation::bool_value;
  }

  std::uint64_t head_ = 0;  ///< its first five bytes, but for the length in the second
  std::uint64_t value_ = 0;
};

/// The arrow an event belongs to; id 0 is none.
struct Flow {
  std::uint64_t id = 0;
  bool ends = false;  ///< no later event continues it

  static constexpr std::size_t room = 10;
  char* put_at(char* out) const {
    constexpr auto lasting = long_tag(TrackEvent::flow_ids, WireType::fixed64);
    constexpr auto ending = long_tag(TrackEvent::terminating_flow_ids, WireType::fixed64);
    return store(store(out, ends ? ending : lasting), id);
  }
};

/// Of events in a row the times are alike but for the lowest 28 bits, a quarter of a second: the rest is encoded
/// once.
class TimeEncoding {
 public:
  char* put_at(char* out, std::uint64_t at) {
    if (at >> 28 != upper_) note(at >> 28);
    store(out, 0x8080'8080u | spread(static_cast<std::uint32_t>(at)));
    store(out + 4, bytes_);
    return out + 4 + length_;
  }

 private:
  void note(std::uint64_t upper);

  std::uint64_t upper_ = ~std::uint64_t{0};
  std::uint64_t bytes_ = 0;
  std::size_t length_ = 0;
};

}  // namespace gnomon::observe::perfetto
