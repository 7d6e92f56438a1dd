// SPDX-License-Identifier: Apache-2.0
// The device's side of a split virtqueue. Virtio 1.2, section 2.7; suppression of notifications as QEMU 10.0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/base/address.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/virtio/split_queue.hpp"

namespace gnomon::hypervisor {

/// What a driver did that no driver may do. The first error stays until reset: DEVICE_NEEDS_RESET.
enum class QueueError : std::uint8_t {
  none,
  bad_layout,               ///< size or alignment against the specification, or a ring outside guest memory
  index_jump,               ///< avail.idx is more than a queue's size ahead
  head_out_of_range,        ///< ring entry names no descriptor
  next_out_of_range,        ///< `next` names no descriptor of its table
  chain_too_long,           ///< more buffers than the queue has entries: a loop, at last
  chain_too_large,          ///< more than 2^32 bytes (2.7.5.2)
  buffer_out_of_range,      ///< buffer not in guest memory
  empty_buffer,             ///< buffer of no bytes
  readable_after_writable,  ///< 2.7.4.2
  indirect_not_negotiated,  ///< 2.7.5.3.1
  indirect_nested,
  indirect_with_next,
  indirect_bad_table,  ///< of no or broken descriptors, or not in guest memory
  bad_request_frame,   ///< said by the device's own code: no room for an answer
};

/// Takes chains of buffers, gives them back. Every byte of guest memory may be hostile: no input crashes it or
/// makes it loop, and nothing outside guest memory is touched. Who drains a queue bounds the number of chains:
/// rings laid over each other can offer chains without end.
class VirtqueueDevice {
 public:
  struct Segment {
    Gpa address;
    std::uint32_t bytes = 0;
  };
  /// One request. The spans are valid until the next pop() or reset().
  struct Chain {
    std::uint16_t head = 0;
    std::span<const Segment> readable;
    std::span<const Segment> writable;
    std::uint64_t readable_bytes = 0;
    std::uint64_t writable_bytes = 0;
    std::uint32_t descriptors_read = 0;  ///< from guest memory, links to indirect tables included
  };
  struct Features {
    bool indirect = true;
    bool event_idx = true;
  };

  /// `ram` must outlive the object. A bad layout shows as error().
  VirtqueueDevice(GuestRam& ram, const virtio::SplitQueueLayout& layout, Features features);

  /// As after a device reset, with the same layout.
  void reset();

  /// The next available chain, or null: there is none, or error(). With EVENT_IDX moves avail_event on, so the
  /// driver kicks for the next one.
  const Chain* pop();
  bool has_available() const;

  /// Gives a chain back. `written`: bytes written from the start of its writable part.
  void push(std::uint16_t head, std::uint32_t written);

  /// Asks the driver to kick for what it adds from now on, or not to. With EVENT_IDX there is no "not": either way
  /// avail_event is set to what the driver has added so far.
  void enable_notifications(bool enable);

  /// Whether the chains pushed since the last call ask for an interrupt.
  bool should_interrupt();

  QueueError error() const { return error_; }
  void fail(QueueError error);

  /// Copies between the buffers of a chain and `bytes` at `offset` into its readable or writable part; as many as
  /// there are. Returns how many.
  std::uint64_t read(const Chain& chain, std::uint64_t offset, std::span<std::byte> bytes) const;
  std::uint64_t write(const Chain& chain, std::uint64_t offset, std::span<const std::byte> bytes);

 private:
  bool collect(std::uint16_t head);
  bool enter_table(const virtio::Descriptor& link, bool nested);
  bool add_segment(const virtio::Descriptor& descriptor);
  bool rings_in_memory() const;

  GuestRam& ram_;
  const virtio::SplitQueueLayout layout_;
  const Features features_;
  std::vector<Segment> segments_;  // room for a queue's size: the longest chain
  std::size_t readable_segments_ = 0;
  Chain chain_;
  std::uint16_t last_available_ = 0;
  std::uint16_t used_index_ = 0;
  std::uint16_t signalled_used_ = 0;
  bool signalled_used_valid_ = false;
  QueueError error_ = QueueError::none;
};

}  // namespace gnomon::hypervisor
