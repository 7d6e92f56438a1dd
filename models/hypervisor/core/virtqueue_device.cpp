// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/virtqueue_device.hpp"

#include <algorithm>

namespace gnomon::hypervisor {

using virtio::Descriptor;

namespace {

constexpr std::uint64_t max_chain_bytes = std::uint64_t{1} << 32;

// Walks `segments` from byte `offset` for `bytes`, handing out {address, bytes, done so far}; returns bytes handed
// out.
template <class Visit>
std::uint64_t for_each_part(std::span<const VirtqueueDevice::Segment> segments, std::uint64_t offset,
                            std::uint64_t bytes, const Visit& visit) {
  std::uint64_t done = 0;
  for (const auto& segment : segments) {
    if (done == bytes) break;
    if (offset >= segment.bytes) {
      offset -= segment.bytes;
      continue;
    }
    const std::uint64_t part = std::min(bytes - done, segment.bytes - offset);
    visit(segment.address + offset, part, done);
    done += part;
    offset = 0;
  }
  return done;
}

}  // namespace

VirtqueueDevice::VirtqueueDevice(GuestRam& ram, const virtio::SplitQueueLayout& layout, Features features)
    : ram_(ram), layout_(layout), features_(features) {
  reset();
  if (error_ == QueueError::none) segments_.reserve(layout.size);
}

bool VirtqueueDevice::rings_in_memory() const {
  return ram_.contains(layout_.descriptors, layout_.descriptor_bytes()) &&
         ram_.contains(layout_.available, layout_.available_bytes()) &&
         ram_.contains(layout_.used, layout_.used_bytes());
}

void VirtqueueDevice::reset() {
  last_available_ = used_index_ = signalled_used_ = 0;
  signalled_used_valid_ = false;
  segments_.clear();
  error_ = layout_.well_formed() && rings_in_memory() ? QueueError::none : QueueError::bad_layout;
}

void VirtqueueDevice::fail(QueueError error) {
  if (error_ == QueueError::none) error_ = error;
}

bool VirtqueueDevice::has_available() const {
  return error_ == QueueError::none && ram_.read<std::uint16_t>(layout_.available_index()) != last_available_;
}

const VirtqueueDevice::Chain* VirtqueueDevice::pop() {
  if (error_ != QueueError::none) return nullptr;
  const auto available = ram_.read<std::uint16_t>(layout_.available_index());
  const auto pending = static_cast<std::uint16_t>(available - last_available_);
  if (pending == 0) return nullptr;
  if (pending > layout_.size) {
    fail(QueueError::index_jump);
    return nullptr;
  }
  const auto head = ram_.read<std::uint16_t>(layout_.available_entry(last_available_));
  if (head >= layout_.size) {
    fail(QueueError::head_out_of_range);
    return nullptr;
  }
  ++last_available_;
  if (features_.event_idx) ram_.write(layout_.available_event(), last_available_);
  if (!collect(head)) return nullptr;
  chain_.readable = std::span(segments_).first(readable_segments_);
  chain_.writable = std::span(segments_).subspan(readable_segments_);
  return &chain_;
}

// 2.7.5: direct descriptors, of which the last may be a link to one table of indirect ones.
bool VirtqueueDevice::collect(std::uint16_t head) {
  segments_.clear();
  readable_segments_ = 0;
  chain_ = Chain{};
  chain_.head = head;
  Gpa table = layout_.descriptors;
  std::uint64_t entries = layout_.size;
  std::uint16_t index = head;
  bool indirect = false;
  for (;;) {
    const auto descriptor = ram_.read<Descriptor>(table + sizeof(Descriptor) * index);
    ++chain_.descriptors_read;
    if ((descriptor.flags & virtio::descriptor_indirect) != 0) {
      if (!enter_table(descriptor, indirect)) return false;
      table = Gpa{descriptor.address};
      entries = descriptor.length / sizeof(Descriptor);
      index = 0;
      indirect = true;
      continue;
    }
    if (!add_segment(descriptor)) return false;
    if ((descriptor.flags & virtio::descriptor_next) == 0) return true;
    index = descriptor.next;
    if (index >= entries) {
      fail(QueueError::next_out_of_range);
      return false;
    }
  }
}

bool VirtqueueDevice::enter_table(const Descriptor& link, bool nested) {
  const auto verdict = [&] {
    if (!features_.indirect) return QueueError::indirect_not_negotiated;
    if (nested) return QueueError::indirect_nested;
    if ((link.flags & virtio::descriptor_next) != 0) return QueueError::indirect_with_next;
    if (link.length == 0 || link.length % sizeof(Descriptor) != 0 ||
        !ram_.contains(Gpa{link.address}, link.length)) {
      return QueueError::indirect_bad_table;
    }
    return QueueError::none;
  }();
  fail(verdict);
  return verdict == QueueError::none;
}

bool VirtqueueDevice::add_segment(const Descriptor& descriptor) {
  const bool writable = (descriptor.flags & virtio::descriptor_write) != 0;
  const auto verdict = [&] {
    if (segments_.size() == layout_.size) return QueueError::chain_too_long;
    if (descriptor.length == 0) return QueueError::empty_buffer;
    if (!ram_.contains(Gpa{descriptor.address}, descriptor.length)) return QueueError::buffer_out_of_range;
    if (!writable && readable_segments_ != segments_.size()) return QueueError::readable_after_writable;
    if (chain_.readable_bytes + chain_.writable_bytes + descriptor.length > max_chain_bytes) {
      return QueueError::chain_too_large;
    }
    return QueueError::none;
  }();
  fail(verdict);
  if (verdict != QueueError::none) return false;
  segments_.push_back({Gpa{descriptor.address}, descriptor.length});
  (writable ? chain_.writable_bytes : chain_.readable_bytes) += descriptor.length;
  if (!writable) ++readable_segments_;
  return true;
}

void VirtqueueDevice::push(std::uint16_t head, std::uint32_t written) {
  if (error_ != QueueError::none) return;
  ram_.write(layout_.used_entry(used_index_), virtio::UsedElement{head, written});
  ++used_index_;
  ram_.write(layout_.used_index(), used_index_);
  // Pushed a whole lap of the index since the last question: need_event could no longer tell.
  if (used_index_ == signalled_used_) signalled_used_valid_ = false;
}

void VirtqueueDevice::enable_notifications(bool enable) {
  if (error_ != QueueError::none) return;
  if (features_.event_idx) {
    ram_.write(layout_.available_event(), ram_.read<std::uint16_t>(layout_.available_index()));
  } else {
    ram_.write(layout_.used_flags(), enable ? std::uint16_t{0} : virtio::used_no_notify);
  }
}

bool VirtqueueDevice::should_interrupt() {
  if (error_ != QueueError::none) return false;
  if (!features_.event_idx) {
    return (ram_.read<std::uint16_t>(layout_.available_flags()) & virtio::available_no_interrupt) == 0;
  }
  const bool valid = signalled_used_valid_;
  const std::uint16_t before = signalled_used_;
  signalled_used_valid_ = true;
  signalled_used_ = used_index_;
  return !valid || virtio::need_event(ram_.read<std::uint16_t>(layout_.used_event()), used_index_, before);
}

std::uint64_t VirtqueueDevice::read(const Chain& chain, std::uint64_t offset, std::span<std::byte> bytes) const {
  return for_each_part(chain.readable, offset, bytes.size(), [&](Gpa at, std::uint64_t part, std::uint64_t done) {
    ram_.read_bytes(at, bytes.data() + done, part);
  });
}

std::uint64_t VirtqueueDevice::write(const Chain& chain, std::uint64_t offset, std::span<const std::byte> bytes) {
  return for_each_part(chain.writable, offset, bytes.size(), [&](Gpa at, std::uint64_t part, std::uint64_t done) {
    ram_.write_bytes(at, bytes.data() + done, part);
  });
}

}  // namespace gnomon::hypervisor
