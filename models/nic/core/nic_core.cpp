// SPDX-License-Identifier: Apache-2.0
// Registers, reset, and the dispatch of actions.
#include "models/nic/core/nic_core.hpp"

#include <bit>

namespace gnomon::nic {

namespace {

constexpr std::uint64_t bits_per_megabyte = 8;  // Mbit/s of a MB/s

const NicConfig& validated(const NicConfig& config) {
  validate(config);
  return config;
}

}  // namespace

NicCore::NicCore(const NicConfig& config, Bus& bus)
    : config_(validated(config)),
      bus_(bus),
      peer_(config.peer, config.packing),
      actions_(256),
      queues_(config.queue_pairs, QueuePair(config.descriptor_cache)),
      buffered_(config.packet_buffer / header_bytes + 1),
      landings_(config.posted_bytes / header_bytes + most_buffers_of_a_train) {}

std::uint64_t NicCore::mmio_read(std::uint64_t offset, unsigned size) const {
  if ((size != 4 && size != 8) || offset % size != 0) return 0;
  const std::uint64_t low = read_register(offset);
  return size == 4 ? low : low | std::uint64_t{read_register(offset + 4)} << 32;
}

void NicCore::mmio_write(Time now, std::uint64_t offset, std::uint64_t value, unsigned size) {
  if ((size != 4 && size != 8) || offset % size != 0) return;
  write_register(now, offset, static_cast<std::uint32_t>(value));
  if (size == 8) write_register(now, offset + 4, static_cast<std::uint32_t>(value >> 32));
}

std::uint32_t NicCore::read_register(std::uint64_t offset) const {
  if (const auto index = queue_at(offset); index && *index < queues_.size()) {
    const QueuePair& q = queues_[*index];
    const auto low = [](Iova a) { return static_cast<std::uint32_t>(a.value); };
    const auto high = [](Iova a) { return static_cast<std::uint32_t>(a.value >> 32); };
    switch (static_cast<QueueRegister>((offset - reg::queues) % queue_stride)) {
      case QueueRegister::receive_base: return low(q.receive.base);
      case QueueRegister::receive_size: return q.receive.size;
      case QueueRegister::receive_head: return q.receive.head;
      case QueueRegister::transmit_base: return low(q.transmit.base);
      case QueueRegister::transmit_size: return q.transmit.size;
      case QueueRegister::transmit_head: return q.transmit.head;
      case QueueRegister::completion_base: return low(q.completion.base);
      case QueueRegister::completion_size: return q.completion.size;
      case QueueRegister::vector: return q.vector;
      case QueueRegister::moderation_count: return q.moderation_count;
      case QueueRegister::moderation_time: return static_cast<std::uint32_t>(q.moderation_time.ns());
      case QueueRegister::control: return q.enabled;
      case QueueRegister::packets_dropped: return q.dropped;
      case QueueRegister::receive_tail: return q.receive.tail;
      case QueueRegister::transmit_tail: return q.transmit.tail;
      case QueueRegister::completion_head: return encode(CompletionDoorbell{q.completion.head, q.armed});
      case QueueRegister::buffer_bytes: return q.buffer_bytes;
    }
    if (offset == offset_of(*index, QueueRegister::receive_base) + 4) return high(q.receive.base);
    if (offset == offset_of(*index, QueueRegister::transmit_base) + 4) return high(q.transmit.base);
    if (offset == offset_of(*index, QueueRegister::completion_base) + 4) return high(q.completion.base);
    return 0;
  }
  switch (offset) {
    case reg::identity: return identity_value;
    case reg::capabilities:
      return encode(Capabilities{static_cast<std::uint16_t>(config_.queue_pairs),
                                 static_cast<std::uint16_t>(config_.ring_shift)});
    case reg::control: return control_;
    case reg::status: return status_;
    case reg::link_speed: return static_cast<std::uint32_t>(config_.wire_rate / 1'000'000 * bits_per_megabyte);
    default: return 0;
  }
}

void NicCore::write_register(Time now, std::uint64_t offset, std::uint32_t value) {
  if (const auto index = queue_at(offset); index && *index < queues_.size()) {
    return write_queue(now, *index, static_cast<QueueRegister>((offset - reg::queues) % queue_stride), value);
  }
  if (offset != reg::control) return;
  const bool was = (control_ & 1) != 0;
  control_ = value & 1;
  if (was && control_ == 0) stop();
  if (!was && control_ == 1) actions_.push(now + config_.ready_delay, Step::become_ready);
}

void NicCore::write_queue(Time now, unsigned queue, QueueRegister r, std::uint32_t value) {
  QueuePair& q = queues_[queue];
  switch (r) {
    case QueueRegister::control: return enable_queue(now, queue, (value & 1) != 0);
    case QueueRegister::moderation_count: q.moderation_count = value; return;
    case QueueRegister::moderation_time: q.moderation_time = Time::ns(value); return;
    case QueueRegister::receive_tail: return ring(now, queue, Ring::receive, value);
    case QueueRegister::transmit_tail: return ring(now, queue, Ring::transmit, value);
    case QueueRegister::completion_head: return ring(now, queue, Ring::completion, value);
    default: break;
  }
  if (!q.enabled) write_setting(q, r, value);
}

void NicCore::write_setting(QueuePair& q, QueueRegister r, std::uint32_t value) {
  const auto low = [value](Iova& base) { base.value = (base.value >> 32 << 32) | (value & ~0xfffu); };
  const auto high = [value](Iova& base) { base.value = std::uint64_t{value} << 32 | (base.value & 0xffff'ffff); };
  const auto upper = [](QueueRegister base) { return static_cast<QueueRegister>(static_cast<unsigned>(base) + 4); };
  switch (r) {
    case QueueRegister::receive_base: return low(q.receive.base);
    case QueueRegister::receive_size: q.receive.size = value; return;
    case QueueRegister::transmit_base: return low(q.transmit.base);
    case QueueRegister::transmit_size: q.transmit.size = value; return;
    case QueueRegister::completion_base: return low(q.completion.base);
    case QueueRegister::completion_size: q.completion.size = value; return;
    case QueueRegister::vector: q.vector = value; return;
    case QueueRegister::buffer_bytes: q.buffer_bytes = value; return;
    default: break;
  }
  if (r == upper(QueueRegister::receive_base)) high(q.receive.base);
  if (r == upper(QueueRegister::transmit_base)) high(q.transmit.base);
  if (r == upper(QueueRegister::completion_base)) high(q.completion.base);
}

/// Enabling does nothing where the settings cannot be: the bit then reads 0.
void NicCore::enable_queue(Time now, unsigned queue, bool enable) {
  QueuePair& q = queues_[queue];
  if (enable == q.enabled) return;
  const std::uint32_t largest = 1u << config_.ring_shift;
  const auto ring_size = [largest](std::uint32_t n) { return n >= 8 && n <= largest && std::has_single_bit(n); };
  const bool possible = (status_ & status::ready) != 0 && ring_size(q.receive.size) && ring_size(q.transmit.size) &&
                        q.completion.size >= 64 && q.completion.size <= 2 * largest &&
                        std::has_single_bit(q.completion.size) && q.vector < config_.vectors &&
                        q.buffer_bytes >= 256 && q.buffer_bytes <= page_size;
  if (enable && !possible) return;
  q.enabled = enable;
  q.rewind();
  actions_.push(now, Step::buffer_looked_at);  // what waited for the queue is dropped
}

void NicCore::ring(Time now, unsigned queue, Ring which, std::uint32_t value) {
  QueuePair& q = queues_[queue];
  if (!q.enabled) return;
  if (which == Ring::completion) {
    const CompletionDoorbell doorbell = decode_completion_doorbell(value);
    if (doorbell.head >= q.completion.size) return;
    bus_.on_doorbell(now, queue, which, value);
    return see(now, queue, doorbell);
  }
  DescriptorRing& ring = which == Ring::receive ? q.receive : q.transmit;
  if (value >= ring.size) return;
  bus_.on_doorbell(now, queue, which, value);
  ring.tail = value;
  actions_.push(now, which == Ring::receive ? Step::receive_rung : Step::transmit_rung, queue, q.generation);
}

void NicCore::stop() {
  actions_.clear();
  for (QueuePair& q : queues_) {
    q.enabled = false;
    q.rewind();
  }
  status_ = 0;
  peer_.reset();
  wire_busy_ = losses_planned_ = false;
  wire_woken_ = Time::max();
  buffered_.clear();
  buffered_bytes_ = 0;
  landings_.clear();
  posted_bytes_ = 0;
  free_frames_.clear();
  frames_.clear();
}

void NicCore::fail(unsigned queue) {
  queues_[queue].enabled = false;
  queues_[queue].rewind();
  status_ |= status::error;
}

void NicCore::advance(Time now) {
  while (!actions_.empty() && actions_.next() <= now) perform(actions_.pop());
}

void NicCore::perform(const Action& action) {
  const auto [at, order, step, a, b] = action;
  const bool current = a < queues_.size() && queues_[a].generation == b;  // of a step that names a queue so
  switch (step) {
    case Step::become_ready: status_ |= status::ready; break;
    case Step::wire: wire(at); break;
    case Step::train_arrived: train_arrived(at); break;
    case Step::receive_rung:
      if (current) fetch(at, a, true);
      break;
    case Step::transmit_rung:
      if (current) fetch(at, a, false);
      break;
    case Step::receive_fetched:
      if (current) fetched(at, a, true);
      break;
    case Step::transmit_fetched:
      if (current) fetched(at, a, false);
      break;
    case Step::fetch_failed:
      if (current) fail(a);
      break;
    case Step::buffer_looked_at: pump(at); break;
    case Step::payload_landed: payload_landed(at); break;
    case Step::frame_read: frame_read(at, a); break;
    case Step::frame_sent: frame_sent(at, a); break;
    case Step::frame_at_peer: frame_at_peer(at, a); break;
    case Step::room_made:
      if (current) start_frames(at, a);
      break;
    case Step::interrupt:
      if (!current) break;
      ++counters_.interrupts;
      bus_.interrupt(at, queues_[a].vector);
      break;
    case Step::moderation_due: moderation_due(at, a, b); break;
    case Step::losses_due: losses_due(at); break;
  }
}

}  // namespace gnomon::nic
