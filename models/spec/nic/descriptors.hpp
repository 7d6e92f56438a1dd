// SPDX-License-Identifier: Apache-2.0
// gnomon NIC: descriptors, which software writes, and completion entries, which the NIC writes. 16 bytes each,
// little endian. The format is this project's own; it has the parts that 100G NICs have in common.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace gnomon::nic {

static_assert(std::endian::native == std::endian::little, "structures are used as they lie in memory");

/// Descriptor::flags of a frame to be sent. A receive descriptor has none.
namespace descriptor_flag {
inline constexpr std::uint16_t end_of_frame = 1u << 0;  ///< the frame's last piece
inline constexpr std::uint16_t header = 1u << 1;        ///< the frame's first piece: exactly its headers
}  // namespace descriptor_flag

/// A buffer to receive into, or a piece of a frame to send.
///
///   bytes 0-7    address    device address of the first byte; a receive buffer stays within a 4 KiB page
///   bytes 8-11   length     bits 17:0 bytes; bits 31:18 of a header: payload bytes a segment (TSO), 0: one segment
///   bytes 12-13  flags      see descriptor_flag
///   bytes 14-15  id         software's own; comes back in the completion entry
struct Descriptor {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint16_t flags = 0;
  std::uint16_t id = 0;
  constexpr bool operator==(const Descriptor&) const = default;
};
static_assert(sizeof(Descriptor) == 16 && std::is_trivially_copyable_v<Descriptor>);

inline constexpr std::uint32_t largest_piece = (1u << 18) - 1;         ///< bytes
inline constexpr std::uint32_t largest_segment_size = (1u << 14) - 1;  ///< bytes of payload

/// Descriptor::length, both parts within their ranges.
constexpr std::uint32_t encode_length(std::uint32_t bytes, std::uint32_t segment_size = 0) {
  return (bytes & largest_piece) | segment_size << 18;
}
constexpr std::uint32_t bytes_of(const Descriptor& d) {
  return d.length & largest_piece;
}
constexpr std::uint32_t segment_size_of(const Descriptor& d) {
  return d.length >> 18;
}
constexpr bool has(const Descriptor& d, std::uint16_t flag) {
  return (d.flags & flag) != 0;
}

/// CompletionEntry::flags.
namespace completion_flag {
inline constexpr std::uint8_t phase = 1u << 0;  ///< new when it differs from the last pass; the first pass writes 1
inline constexpr std::uint8_t transmit = 1u << 1;  ///< a frame has been sent; else a buffer was filled
inline constexpr std::uint8_t more = 1u << 2;      ///< the packet goes on in the next buffer
inline constexpr std::uint8_t ack = 1u << 3;       ///< no data: an acknowledgment
inline constexpr std::uint8_t syn = 1u << 4;       ///< of a connection's beginning
inline constexpr std::uint8_t error = 1u << 5;     ///< a DMA faulted: the buffer's content, or the frame, is lost
}  // namespace completion_flag

/// A buffer filled, or a frame sent.
///
///   bytes 0-3    flow       of the connection: its ports, as flow_tag() has them
///   bytes 4-7    number     TCP sequence number of the buffer's first byte; of an ack: the number acknowledged
///   bytes 8-9    bytes      TCP payload in the buffer; of a packet over several buffers, all of it, in its last
///   bytes 10-11  window     of an ack: the window as the header has it, unscaled; of a SYN: its window scale
///   bytes 12-13  id         of the descriptor; of a frame, of its last
///   byte  14     packets    that ended in the buffer
///   byte  15     flags      see completion_flag
struct CompletionEntry {
  std::uint32_t flow = 0;
  std::uint32_t number = 0;
  std::uint16_t bytes = 0;
  std::uint16_t window = 0;
  std::uint16_t id = 0;
  std::uint8_t packets = 0;
  std::uint8_t flags = 0;
  constexpr bool operator==(const CompletionEntry&) const = default;
};
static_assert(sizeof(CompletionEntry) == 16 && std::is_trivially_copyable_v<CompletionEntry>);

constexpr bool has(const CompletionEntry& e, std::uint8_t flag) {
  return (e.flags & flag) != 0;
}
constexpr bool phase_of(const CompletionEntry& e) {
  return has(e, completion_flag::phase);
}

/// A connection as completion entries name it. `local`: the port on this side of the wire.
constexpr std::uint32_t flow_tag(std::uint16_t local, std::uint16_t remote) {
  return std::uint32_t{local} << 16 | remote;
}

}  // namespace gnomon::nic
