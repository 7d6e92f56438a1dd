// SPDX-License-Identifier: Apache-2.0
// The driver's side of a split virtqueue, as Linux's virtio_ring has it (6.1 to 6.12). Virtio 1.2, section 2.7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/base/address.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/virtio/split_queue.hpp"

namespace gnomon::guest {

/// Guest memory for the buffers of a queue: one slot a descriptor, so that a slot is known by the head of its
/// chain. A slot: indirect table, device-readable part, device-writable part.
struct RequestPool {
  Gpa base;                          ///< a multiple of 16
  std::uint32_t readable_bytes = 0;  ///< largest readable part of a request
  std::uint32_t writable_bytes = 0;  ///< largest writable part

  constexpr std::uint64_t slot_bytes() const {
    return (writable_offset() + writable_bytes + 15) & ~std::uint64_t{15};
  }
  constexpr std::uint64_t bytes(std::uint16_t queue_size) const { return slot_bytes() * queue_size; }
  constexpr Gpa table(std::uint16_t head) const { return base + slot_bytes() * head; }
  constexpr Gpa readable(std::uint16_t head) const { return table(head) + table_bytes; }
  constexpr Gpa writable(std::uint16_t head) const { return table(head) + writable_offset(); }

  static constexpr std::uint32_t table_bytes = 2 * sizeof(virtio::Descriptor);

 private:
  constexpr std::uint64_t writable_offset() const { return (table_bytes + readable_bytes + 7) & ~std::uint64_t{7}; }
};

/// What was negotiated, and whether the queue has a callback.
struct VirtqueueDriverConfig {
  bool indirect = true;    ///< VIRTIO_F_INDIRECT_DESC: a request costs one descriptor, not two
  bool event_idx = true;   ///< VIRTIO_F_EVENT_IDX
  bool interrupts = true;  ///< false: polled, as virtio-iommu's request queue
};

/// Adds requests, notices used ones. Changes guest memory only; what time that takes is the caller's.
class VirtqueueDriver {
 public:
  struct Used {
    std::uint16_t head = 0;     ///< what add() returned; the slot stays readable until the next add()
    std::uint32_t written = 0;  ///< bytes the device says it wrote; 0 means failure for virtio-iommu
  };

  /// Clears the rings. Throws std::invalid_argument for a malformed layout, or rings or a pool outside `ram`, which
  /// must outlive the object.
  VirtqueueDriver(GuestRam& ram, const virtio::SplitQueueLayout& layout, const RequestPool& pool,
                  const VirtqueueDriverConfig& config);

  /// Copies `readable` into a slot and makes it available together with `writable_bytes` to write. Either part may
  /// be empty, not both. Returns the head of the chain, or nothing: the ring is full, or broken. The device is not
  /// told: see kick_needed(). Throws std::length_error for more than the pool's slots hold.
  std::optional<std::uint16_t> add(std::span<const std::byte> readable, std::uint32_t writable_bytes);

  /// To be asked once after a batch of add(): does the device want to be notified? By EVENT_IDX: only where an
  /// entry added since the last call is the one it waits for. Without: unless it set NO_NOTIFY, even where nothing
  /// is new.
  bool kick_needed();

  /// The next used request, in the device's order; its descriptors are free again. Nothing: none, or broken.
  std::optional<Used> pop_used();
  bool has_used() const { return !broken_ && ram_.read<std::uint16_t>(layout_.used_index()) != last_used_; }

  Gpa writable(std::uint16_t head) const { return pool_.writable(head); }
  std::uint16_t in_flight() const { return in_flight_; }
  std::uint16_t free_descriptors() const { return free_count_; }
  std::uint16_t available_index() const { return available_index_; }
  /// The device used what was never made available. Nothing works from there on (as Linux marks the queue).
  bool broken() const { return broken_; }

 private:
  void add_indirect(std::uint16_t head, std::uint32_t readable_bytes, std::uint32_t writable_bytes);
  void add_direct(std::uint16_t head, std::uint32_t readable_bytes, std::uint32_t writable_bytes);
  void release(std::uint16_t head);

  GuestRam& ram_;
  const virtio::SplitQueueLayout layout_;
  const RequestPool pool_;
  const VirtqueueDriverConfig config_;
  std::vector<std::uint16_t> next_;    // the free list, and the chains in flight; not in guest memory, out of reach
  std::vector<std::uint8_t> chained_;  // by head: descriptors of the chain in flight, 0 if none
  std::uint16_t free_head_ = 0;
  std::uint16_t free_count_;
  std::uint16_t in_flight_ = 0;
  std::uint16_t available_index_ = 0;
  std::uint16_t kicked_index_ = 0;  // available_index_ at the last kick_needed()
  std::uint16_t last_used_ = 0;
  bool broken_ = false;
};

}  // namespace gnomon::guest
