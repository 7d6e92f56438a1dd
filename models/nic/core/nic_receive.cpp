// SPDX-License-Identifier: Apache-2.0
// The wire's incoming side, the packet buffer behind it, descriptors and payload.
#include <algorithm>
#include <cstring>

#include "models/nic/core/nic_core.hpp"

namespace gnomon::nic {

/// Plans a look at the wire for when the peer may send next, unless there is an earlier one or it is in use.
void NicCore::wake_wire(Time at) {
  if (wire_busy_) return;
  const Time ready = peer_.next_send();
  if (ready == Time::max()) return;
  const Time when = std::max(ready, at);
  if (when >= wire_woken_) return;
  wire_woken_ = when;
  actions_.push(when, Step::wire);
}

void NicCore::wire(Time at) {
  if (at >= wire_woken_) wire_woken_ = Time::max();
  if (wire_busy_) return;
  if (peer_.next_send() > at) return wake_wire(at);
  on_wire_ = peer_.send(at);
  wire_busy_ = true;
  if (on_wire_.again) bus_.on_retransmission(at, on_wire_.queue, on_wire_.packets, on_wire_.payload);
  actions_.push(at + transfer_time(on_wire_.wire, config_.wire_rate), Step::train_arrived);
  if (!losses_planned_) {
    losses_planned_ = true;
    actions_.push(at + std::min(config_.peer.probe_timeout, config_.peer.loss_timeout), Step::losses_due);
  }
}

void NicCore::losses_due(Time at) {
  const Time next = peer_.retry_losses(at);
  losses_planned_ = next != Time::max();
  if (losses_planned_) actions_.push(next, Step::losses_due);
  wake_wire(at);
}

void NicCore::train_arrived(Time at) {
  wire_busy_ = false;
  if (buffered_bytes_ + on_wire_.stored > config_.packet_buffer) {
    drop(at, on_wire_);
  } else {
    buffered_.push_back(on_wire_);
    buffered_bytes_ += on_wire_.stored;
  }
  pump(at);
  wake_wire(at);
}

void NicCore::drop(Time at, const Train& train) {
  counters_.packets_dropped += train.packets;
  queues_[train.queue].dropped += train.packets;
  bus_.on_drop(at, train.queue, train.packets, train.payload);
}

/// Moves trains from the packet buffer to memory, in order, as far as PCIe and the descriptors at hand allow.
void NicCore::pump(Time at) {
  while (!buffered_.empty()) {
    const Train& train = buffered_.front();
    if (posted_bytes_ != 0 && posted_bytes_ + train.stored > config_.posted_bytes) return;
    QueuePair& q = queues_[train.queue];
    if (q.enabled && q.receive.cached() < train.buffers && (q.receive.fetching || q.receive.unread())) {
      return fetch(at, train.queue, true);  // posted by software, not read yet: they are waited for
    }
    const bool fits = q.enabled && q.receive.cached() >= train.buffers && q.completion.has_room(train.buffers);
    if (!fits || !deliver(at, train)) drop(at, train);
    buffered_bytes_ -= train.stored;
    buffered_.pop_front();
  }
}

/// False where a descriptor cannot be, which stops the queue pair.
bool NicCore::deliver(Time at, const Train& train) {
  QueuePair& q = queues_[train.queue];
  segments_.clear();
  std::uint32_t left = train.stored;
  for (std::uint32_t i = 0; i < train.buffers; ++i) {
    const Descriptor& d = q.receive.peek(i);
    const Iova address{d.address};
    const bool valid = bytes_of(d) >= q.buffer_bytes && address.offset_in_page() + q.buffer_bytes <= page_size;
    if (!valid) {
      fail(train.queue);
      return false;
    }
    const std::uint32_t here = std::min(left, q.buffer_bytes);
    segments_.push_back({address, here});
    left -= here;
  }
  const DmaResult dma = bus_.transfer(at, segments_, Direction::to_host);
  last_landing_ = std::max(last_landing_, dma.done);  // posted writes stay in order
  for (std::uint32_t i = 0; i < train.buffers; ++i) {
    const bool last = i + 1 == train.buffers;
    CompletionEntry entry;
    entry.flow = train.flow;
    entry.number = train.number;
    entry.id = q.receive.peek(i).id;
    entry.flags = last ? train.flags : completion_flag::more;
    entry.bytes = last ? static_cast<std::uint16_t>(train.payload) : std::uint16_t{0};
    entry.window = train.window;
    entry.packets = last ? static_cast<std::uint8_t>(train.packets) : std::uint8_t{0};
    if (!dma.ok) entry.flags |= completion_flag::error;
    landings_.push_back({entry, q.generation, train.stored, train.queue, last});
  }
  q.receive.drop(train.buffers);
  q.completion.reserved += train.buffers;
  ++q.landing;
  posted_bytes_ += train.stored;
  actions_.push(last_landing_, Step::payload_landed);
  if (q.receive.room() >= config_.descriptor_burst) fetch(at, train.queue, true);
  return true;
}

void NicCore::payload_landed(Time at) {
  for (bool last = false; !last;) {
    const Landing landing = landings_.front();
    landings_.pop_front();
    last = landing.last;
    if (last) posted_bytes_ -= landing.bytes;
    QueuePair& q = queues_[landing.queue];
    if (q.generation != landing.generation) continue;
    if (last) --q.landing;
    counters_.packets_received += landing.entry.packets;
    append(at, landing.queue, landing.entry);
  }
  pump(at);
}

/// Reads as many descriptors as the burst, the cache, the page, the end of the ring and software allow.
void NicCore::fetch(Time at, unsigned queue, bool receive) {
  QueuePair& q = queues_[queue];
  DescriptorRing& ring = receive ? q.receive : q.transmit;
  if (ring.fetching || !ring.unread() || ring.room() == 0) return;
  const Iova address = ring.base + std::uint64_t{ring.fetched} * sizeof(Descriptor);
  const auto in_page = static_cast<std::uint32_t>((page_size - address.offset_in_page()) / sizeof(Descriptor));
  const std::uint32_t in_ring = (ring.tail > ring.fetched ? ring.tail : ring.size) - ring.fetched;
  const std::uint32_t count = std::min({config_.descriptor_burst, in_page, in_ring, ring.room()});
  const std::span bytes = std::span(page_).first(count * sizeof(Descriptor));
  const DmaResult dma = bus_.read(at, address, bytes);
  ring.fetching = true;
  if (!dma.ok) return actions_.push(dma.done, Step::fetch_failed, queue, q.generation);
  ring.asked = count;
  for (std::uint32_t i = 0; i < count; ++i) {
    Descriptor d;
    std::memcpy(&d, bytes.data() + i * sizeof(Descriptor), sizeof d);
    ring.ask(i, d);
  }
  ring.fetched = (ring.fetched + count) & (ring.size - 1);
  actions_.push(dma.done, receive ? Step::receive_fetched : Step::transmit_fetched, queue, q.generation);
}

void NicCore::fetched(Time at, unsigned queue, bool receive) {
  DescriptorRing& ring = receive ? queues_[queue].receive : queues_[queue].transmit;
  ring.fetching = false;
  ring.arrive();
  if (ring.room() >= config_.descriptor_burst) fetch(at, queue, receive);
  if (receive) {
    pump(at);
  } else {
    start_frames(at, queue);
  }
}

}  // namespace gnomon::nic
