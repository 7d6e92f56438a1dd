// SPDX-License-Identifier: Apache-2.0
// The split virtqueue in guest memory. Virtio 1.2, section 2.7. Little endian.
#pragma once

#include <bit>
#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::virtio {

static_assert(std::endian::native == std::endian::little, "wire structures are copied as they lie in memory");

/// Feature bits of the ring, negotiated for the whole device (section 6).
inline constexpr unsigned feature_indirect_desc = 28;
inline constexpr unsigned feature_event_idx = 29;

inline constexpr std::uint16_t max_queue_size = 32768;

/// 2.7.5: one buffer, or a link to a table of them.
struct Descriptor {
  std::uint64_t address = 0;  ///< guest-physical
  std::uint32_t length = 0;   ///< bytes
  std::uint16_t flags = 0;
  std::uint16_t next = 0;  ///< index, where flags has descriptor_next

  bool operator==(const Descriptor&) const = default;
};
static_assert(sizeof(Descriptor) == 16);

inline constexpr std::uint16_t descriptor_next = 1;      ///< the chain goes on at `next`
inline constexpr std::uint16_t descriptor_write = 2;     ///< device-writable
inline constexpr std::uint16_t descriptor_indirect = 4;  ///< the buffer is a table of descriptors (2.7.5.3)

/// 2.7.8: one buffer given back.
struct UsedElement {
  std::uint32_t id = 0;      ///< head of the chain
  std::uint32_t length = 0;  ///< bytes the device wrote
};
static_assert(sizeof(UsedElement) == 8);

inline constexpr std::uint16_t available_no_interrupt = 1;  ///< avail.flags, without EVENT_IDX (2.7.7)
inline constexpr std::uint16_t used_no_notify = 1;          ///< used.flags, without EVENT_IDX (2.7.10)

/// 2.7.7.1, 2.7.10.1: an index went from `old_index` to `new_index`; did it step past `event`?
constexpr bool need_event(std::uint16_t event, std::uint16_t new_index, std::uint16_t old_index) {
  return static_cast<std::uint16_t>(new_index - event - 1) < static_cast<std::uint16_t>(new_index - old_index);
}

/// Where the three parts of a queue lie. Indices into the rings are taken modulo the size here.
struct SplitQueueLayout {
  std::uint16_t size = 0;  ///< entries, a power of two up to max_queue_size
  Gpa descriptors;         ///< aligned to 16
  Gpa available;           ///< aligned to 2: flags, idx, ring[size], used_event
  Gpa used;                ///< aligned to 4: flags, idx, ring[size] of UsedElement, avail_event

  /// The parts one after the other from `base`, a multiple of 16.
  static constexpr SplitQueueLayout contiguous(Gpa base, std::uint16_t size) {
    SplitQueueLayout layout{size, base, {}, {}};
    layout.available = base + layout.descriptor_bytes();
    layout.used = Gpa{(layout.available.value + layout.available_bytes() + 3) & ~std::uint64_t{3}};
    return layout;
  }

  constexpr std::uint64_t descriptor_bytes() const { return std::uint64_t{16} * size; }
  constexpr std::uint64_t available_bytes() const { return std::uint64_t{6} + std::uint64_t{2} * size; }
  constexpr std::uint64_t used_bytes() const { return std::uint64_t{6} + std::uint64_t{8} * size; }

  /// Size and alignments are as the specification has them. Says nothing of where memory is.
  constexpr bool well_formed() const {
    return std::has_single_bit(size) && size <= max_queue_size && descriptors.value % 16 == 0 &&
           available.value % 2 == 0 && used.value % 4 == 0;
  }

  constexpr Gpa descriptor(std::uint16_t index) const { return descriptors + sizeof(Descriptor) * index; }

  constexpr Gpa available_flags() const { return available; }
  constexpr Gpa available_index() const { return available + 2; }
  constexpr Gpa available_entry(std::uint16_t index) const { return available + (4 + 2 * slot(index)); }
  constexpr Gpa used_event() const { return available + (4 + std::uint64_t{2} * size); }

  constexpr Gpa used_flags() const { return used; }
  constexpr Gpa used_index() const { return used + 2; }
  constexpr Gpa used_entry(std::uint16_t index) const { return used + (4 + sizeof(UsedElement) * slot(index)); }
  constexpr Gpa available_event() const { return used + (4 + sizeof(UsedElement) * size); }

 private:
  constexpr std::uint64_t slot(std::uint16_t index) const { return index & (std::uint64_t{size} - 1); }
};

}  // namespace gnomon::virtio
