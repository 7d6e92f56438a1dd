// SPDX-License-Identifier: Apache-2.0
// gnomon NIC: registers and doorbells in BAR0. The MSI-X table is the platform's (models/spec/pci/msix.hpp).
#pragma once

#include <cstdint>
#include <optional>

namespace gnomon::nic {

/// Byte offsets from BAR0. 4 bytes each but for the ring bases, which are 8.
namespace reg {
inline constexpr std::uint64_t identity = 0x00;      ///< "GNIC", read only
inline constexpr std::uint64_t capabilities = 0x04;  ///< see Capabilities, read only
inline constexpr std::uint64_t control = 0x08;       ///< bit 0: enable; clearing it resets every queue
inline constexpr std::uint64_t status = 0x0c;        ///< see status, read only
inline constexpr std::uint64_t link_speed = 0x10;    ///< Mbit/s, read only
inline constexpr std::uint64_t queues = 0x1000;      ///< queue pair q has its block at queues + q * queue_stride
}  // namespace reg

inline constexpr std::uint64_t queue_stride = 0x100;
inline constexpr unsigned most_queue_pairs = 1024;
inline constexpr std::uint32_t identity_value = 0x43494e47;  ///< "GNIC" as it lies in memory

/// Byte offsets within a queue pair's block. Bases, sizes, vector and buffer size change only while it is disabled.
enum class QueueRegister : std::uint8_t {
  receive_base = 0x00,   ///< device address of the ring, 8 bytes, a multiple of 4 KiB
  receive_size = 0x08,   ///< descriptors, a power of two
  receive_head = 0x0c,   ///< descriptors before it have been used; read only
  transmit_base = 0x10,  ///< likewise
  transmit_size = 0x18,
  transmit_head = 0x1c,     ///< descriptors before it have been read; read only
  completion_base = 0x20,   ///< one ring of completion entries for both
  completion_size = 0x28,   ///< entries, a power of two
  vector = 0x2c,            ///< MSI-X vector
  moderation_count = 0x30,  ///< completions that make an interrupt at once; 0 counts as 1
  moderation_time = 0x34,   ///< ns the first of them waits at most; 0: no moderation
  control = 0x38,           ///< bit 0: enable; clearing it stops the queue pair and forgets its state
  packets_dropped = 0x3c,   ///< for want of a buffer or of room, since enabled, modulo 2^32; read only
  receive_tail = 0x40,     ///< doorbell: descriptors before it are the NIC's; it equals the head when there is none
  transmit_tail = 0x44,    ///< doorbell: likewise
  completion_head = 0x48,  ///< doorbell: see CompletionDoorbell
  buffer_bytes = 0x4c,     ///< of every receive buffer, 256 to 4096
};

constexpr std::uint64_t offset_of(unsigned queue, QueueRegister r) {
  return reg::queues + queue * queue_stride + static_cast<std::uint64_t>(r);
}

/// Which queue pair's block `offset` lies in.
constexpr std::optional<unsigned> queue_at(std::uint64_t offset) {
  if (offset < reg::queues || offset >= reg::queues + most_queue_pairs * queue_stride) return std::nullopt;
  return static_cast<unsigned>((offset - reg::queues) / queue_stride);
}

/// reg::capabilities: bits 15:0 queue pairs, bits 31:16 log2 of the largest ring.
struct Capabilities {
  std::uint16_t queue_pairs = 0;
  std::uint16_t ring_shift = 0;
  constexpr bool operator==(const Capabilities&) const = default;
};
constexpr std::uint32_t encode(const Capabilities& c) {
  return c.queue_pairs | std::uint32_t{c.ring_shift} << 16;
}
constexpr Capabilities decode_capabilities(std::uint32_t v) {
  return {static_cast<std::uint16_t>(v & 0xffff), static_cast<std::uint16_t>(v >> 16)};
}

namespace status {
inline constexpr std::uint32_t ready = 1u << 0;  ///< follows the enable bit
inline constexpr std::uint32_t error = 1u << 1;  ///< a DMA of a ring faulted: its queue pair has stopped
}  // namespace status

/// completion_head: bits 30:0 the first entry software has not seen; bit 31 arms the interrupt. An armed queue pair
/// interrupts once, when it has entries software has not seen: those that were there before it was armed count, so
/// that none is lost between the last look and the arming.
struct CompletionDoorbell {
  std::uint32_t head = 0;
  bool arm = false;
  constexpr bool operator==(const CompletionDoorbell&) const = default;
};
constexpr std::uint32_t encode(const CompletionDoorbell& d) {
  return (d.head & 0x7fff'ffff) | std::uint32_t{d.arm} << 31;
}
constexpr CompletionDoorbell decode_completion_doorbell(std::uint32_t v) {
  return {v & 0x7fff'ffff, (v >> 31) != 0};
}

}  // namespace gnomon::nic
