// SPDX-License-Identifier: Apache-2.0
#include "guest/virtio/virtqueue_driver.hpp"

#include <stdexcept>

namespace gnomon::guest {

using virtio::Descriptor;

VirtqueueDriver::VirtqueueDriver(GuestRam& ram, const virtio::SplitQueueLayout& layout, const RequestPool& pool,
                                 const VirtqueueDriverConfig& config)
    : ram_(ram),
      layout_(layout),
      pool_(pool),
      config_(config),
      next_(layout.size),
      chained_(layout.size, 0),
      free_count_(layout.size) {
  if (!layout.well_formed()) throw std::invalid_argument("malformed virtqueue layout");
  if (!ram.contains(layout.descriptors, layout.descriptor_bytes()) ||
      !ram.contains(layout.available, layout.available_bytes()) ||
      !ram.contains(layout.used, layout.used_bytes()) || !ram.contains(pool.base, pool.bytes(layout.size)) ||
      pool.base.value % 16 != 0) {
    throw std::invalid_argument("virtqueue or its buffers outside guest memory");
  }
  for (std::uint16_t i = 0; i < layout.size; ++i) {
    next_[i] = static_cast<std::uint16_t>(i + 1);
    ram_.write(layout_.descriptor(i), Descriptor{});
  }
  // With EVENT_IDX flags stays 0 (2.7.7.1); a queue without a callback then just never moves used_event on from 0.
  const bool no_interrupt = !config.interrupts && !config.event_idx;
  ram_.write(layout_.available_flags(), no_interrupt ? virtio::available_no_interrupt : std::uint16_t{0});
  ram_.write(layout_.available_index(), std::uint16_t{0});
  ram_.write(layout_.used_event(), std::uint16_t{0});
  ram_.write(layout_.used_flags(), std::uint16_t{0});
  ram_.write(layout_.used_index(), std::uint16_t{0});
  ram_.write(layout_.available_event(), std::uint16_t{0});
}

std::optional<std::uint16_t> VirtqueueDriver::add(std::span<const std::byte> readable,
                                                  std::uint32_t writable_bytes) {
  if (readable.size() > pool_.readable_bytes || writable_bytes > pool_.writable_bytes ||
      (readable.empty() && writable_bytes == 0)) {
    throw std::length_error("request does not fit a slot of the virtqueue's pool");
  }
  const auto readable_bytes = static_cast<std::uint32_t>(readable.size());
  const std::uint8_t buffers = readable_bytes != 0 && writable_bytes != 0 ? 2 : 1;
  const std::uint8_t descriptors = config_.indirect ? std::uint8_t{1} : buffers;
  if (broken_ || free_count_ < descriptors) return std::nullopt;

  const std::uint16_t head = free_head_;
  ram_.write_bytes(pool_.readable(head), readable.data(), readable_bytes);
  if (config_.indirect && buffers == 2) {
    add_indirect(head, readable_bytes, writable_bytes);
  } else {
    add_direct(head, readable_bytes, writable_bytes);
  }
  for (std::uint8_t i = 0; i < descriptors; ++i) free_head_ = next_[free_head_];
  free_count_ = static_cast<std::uint16_t>(free_count_ - descriptors);
  chained_[head] = descriptors;
  ++in_flight_;

  ram_.write(layout_.available_entry(available_index_), head);
  ++available_index_;
  ram_.write(layout_.available_index(), available_index_);
  return head;
}

void VirtqueueDriver::add_indirect(std::uint16_t head, std::uint32_t readable_bytes, std::uint32_t writable_bytes) {
  const Gpa table = pool_.table(head);
  ram_.write(table, Descriptor{pool_.readable(head).value, readable_bytes, virtio::descriptor_next, 1});
  ram_.write(table + sizeof(Descriptor),
             Descriptor{pool_.writable(head).value, writable_bytes, virtio::descriptor_write, 0});
  ram_.write(layout_.descriptor(head),
             Descriptor{table.value, RequestPool::table_bytes, virtio::descriptor_indirect, 0});
}

void VirtqueueDriver::add_direct(std::uint16_t head, std::uint32_t readable_bytes, std::uint32_t writable_bytes) {
  std::uint16_t index = head;
  if (readable_bytes != 0) {
    Descriptor descriptor{pool_.readable(head).value, readable_bytes, 0, 0};
    if (writable_bytes != 0) {
      descriptor.flags = virtio::descriptor_next;
      descriptor.next = next_[head];
    }
    ram_.write(layout_.descriptor(head), descriptor);
    index = next_[head];
  }
  if (writable_bytes != 0) {
    ram_.write(layout_.descriptor(index),
               Descriptor{pool_.writable(head).value, writable_bytes, virtio::descriptor_write, 0});
  }
}

bool VirtqueueDriver::kick_needed() {
  const std::uint16_t before = kicked_index_;
  kicked_index_ = available_index_;
  if (broken_) return false;
  if (config_.event_idx) {
    return virtio::need_event(ram_.read<std::uint16_t>(layout_.available_event()), available_index_, before);
  }
  return (ram_.read<std::uint16_t>(layout_.used_flags()) & virtio::used_no_notify) == 0;
}

std::optional<VirtqueueDriver::Used> VirtqueueDriver::pop_used() {
  if (!has_used()) return std::nullopt;
  const auto element = ram_.read<virtio::UsedElement>(layout_.used_entry(last_used_));
  if (element.id >= layout_.size || chained_[element.id] == 0) {
    broken_ = true;
    return std::nullopt;
  }
  const auto head = static_cast<std::uint16_t>(element.id);
  release(head);
  ++last_used_;
  if (config_.event_idx && config_.interrupts) ram_.write(layout_.used_event(), last_used_);
  return Used{head, element.length};
}

void VirtqueueDriver::release(std::uint16_t head) {
  std::uint16_t tail = head;
  for (std::uint8_t i = 1; i < chained_[head]; ++i) tail = next_[tail];
  next_[tail] = free_head_;  // last freed, first used
  free_head_ = head;
  free_count_ = static_cast<std::uint16_t>(free_count_ + chained_[head]);
  chained_[head] = 0;
  --in_flight_;
}

}  // namespace gnomon::guest
