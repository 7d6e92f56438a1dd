// SPDX-License-Identifier: Apache-2.0
// Set-up, receive buffers, frames to send. The poll is in poll.cpp.
#include "guest/nic/queue.hpp"

#include <algorithm>
#include <string>

#include "guest/nic/tcp_socket.hpp"

namespace gnomon::guest {

using nic::QueueRegister;

namespace {

std::uint32_t completion_entries(const NicDriverOptions& o) {
  std::uint32_t size = 64;
  while (size < o.receive_ring + o.transmit_ring) size *= 2;
  return size;
}

constexpr Time refill_retry = Time::ms(10);

}  // namespace

NicQueue::NicQueue(NicDriver& driver, Cpu& cpu, unsigned number)
    : driver_(driver),
      number_(number),
      pool_(driver.options().pool, driver.options().costs, driver.dma(), driver.pages(),
            RandomStream(driver.options().seed, "page_pool" + std::to_string(number))),
      completion_size_(completion_entries(driver.options())),
      posted_(driver.options().receive_ring, PagePool::no_page) {
  const NicDriverOptions& o = driver.options();
  receive_ = coherent(cpu, sizeof(nic::Descriptor) * o.receive_ring);
  transmit_ = coherent(cpu, sizeof(nic::Descriptor) * o.transmit_ring);
  completion_ = coherent(cpu, sizeof(nic::CompletionEntry) * completion_size_);
  slots_.resize(o.transmit_ring);
  for (std::uint32_t i = 0; i < o.transmit_ring; ++i) {
    slots_[i].header = driver.pages().allocate(page_size);
    free_slots_.push_back(static_cast<std::uint16_t>(o.transmit_ring - 1 - i));
  }
}

/// dma_alloc_coherent: contiguous pages, mapped once for both directions.
NicQueue::CoherentRing NicQueue::coherent(Cpu& cpu, std::uint64_t bytes) {
  CoherentRing ring{driver_.pages().allocate(bytes), {}};
  const Run run{ring.gpa, (bytes + page_size - 1) & ~(page_size - 1)};
  if (driver_.dma().map_coherent(cpu, run, ring.mapping) != 0) throw std::bad_alloc();
  return ring;
}

void NicQueue::write(QueueRegister r, std::uint64_t value, unsigned bytes, Cpu& cpu) {
  cpu.processor().write_mmio(driver_.options().bar + nic::offset_of(number_, r), value, bytes);
}

void NicQueue::ring(Cpu& cpu, QueueRegister doorbell, std::uint32_t value) {
  ++counters_.doorbells;
  cpu.work(costs().doorbell);
  write(doorbell, value, 4, cpu);
}

void NicQueue::open(Cpu& cpu) {
  const NicDriverOptions& o = driver_.options();
  write(QueueRegister::receive_base, receive_.address().value, 8, cpu);
  write(QueueRegister::receive_size, o.receive_ring, 4, cpu);
  write(QueueRegister::transmit_base, transmit_.address().value, 8, cpu);
  write(QueueRegister::transmit_size, o.transmit_ring, 4, cpu);
  write(QueueRegister::completion_base, completion_.address().value, 8, cpu);
  write(QueueRegister::completion_size, completion_size_, 4, cpu);
  write(QueueRegister::vector, number_, 4, cpu);
  write(QueueRegister::buffer_bytes, page_size, 4, cpu);
  write(QueueRegister::moderation_count, o.moderation_count, 4, cpu);
  write(QueueRegister::moderation_time, o.moderation_time.ns(), 4, cpu);
  write(QueueRegister::control, 1, 4, cpu);
  if (cpu.processor().read_mmio(o.bar + nic::offset_of(number_, QueueRegister::control), 4) != 1) {
    throw std::runtime_error("nic: queue pair " + std::to_string(number_) + " was refused");
  }
  refill(cpu);
  ring(cpu, QueueRegister::completion_head, nic::encode(nic::CompletionDoorbell{0, true}));
}

void NicQueue::close(Cpu& cpu) {
  for (std::uint32_t& page : posted_) {
    if (page != PagePool::no_page) pool_.put(cpu, std::exchange(page, PagePool::no_page), true);
  }
  receive_posted_ = 0;
  for (Slot& slot : slots_) {
    if (slot.used) unmap_frame(cpu, slot);
  }
  pool_.close(cpu);
  for (const CoherentRing* ring : {&receive_, &transmit_, &completion_}) driver_.dma().unmap(cpu, ring->mapping);
}

/// Posts a page for every descriptor that has none. The doorbell waits for a batch, unless the NIC runs low.
void NicQueue::refill(Cpu& cpu) {
  const auto size = static_cast<std::uint32_t>(posted_.size());
  while (receive_posted_ + 1 < size) {
    const std::uint32_t page = pool_.take(cpu);
    if (page == PagePool::no_page) break;
    const nic::Descriptor descriptor{pool_.address(page).value, nic::encode_length(page_size), 0,
                                     static_cast<std::uint16_t>(receive_tail_)};
    driver_.ram().write(receive_.gpa + sizeof(descriptor) * receive_tail_, descriptor);
    posted_[receive_tail_] = page;
    receive_tail_ = (receive_tail_ + 1) & (size - 1);
    ++receive_posted_;
    ++unrung_;
  }
  const bool low = receive_posted_ - unrung_ < size / 4;
  if (unrung_ != 0 && (unrung_ >= driver_.options().refill_batch || low)) {
    unrung_ = 0;
    ring(cpu, QueueRegister::receive_tail, receive_tail_);
  }
  if (receive_posted_ == 0 && !armed()) cpu.arm(*this, refill_retry);
}

void NicQueue::expired(Cpu& cpu) {
  refill(cpu);
}

bool NicQueue::transmit(Cpu& cpu, const nic::TcpHeader& header, std::span<const Run> payload, std::uint32_t bytes,
                        std::uint32_t segment_size) {
  const auto descriptors = static_cast<std::uint32_t>(1 + payload.size());
  const auto size = static_cast<std::uint32_t>(slots_.size());
  if (free_slots_.empty() || transmit_used_ + descriptors >= size) {
    ++counters_.frames_refused;
    return false;
  }
  cpu.work(costs().transmit);
  const std::uint16_t id = free_slots_.back();
  free_slots_.pop_back();  // taken before the maps, which may let this CPU's interrupts run
  transmit_used_ += descriptors;
  Slot& slot = slots_[id];
  driver_.ram().write(slot.header, nic::encode(header));
  if (!map_frame(cpu, slot, payload)) {
    transmit_used_ -= descriptors;
    free_slots_.push_back(id);
    ++counters_.frames_refused;
    return false;
  }
  using namespace nic::descriptor_flag;
  const auto put = [&](Iova address, std::uint32_t length, unsigned flags) {
    const nic::Descriptor d{address.value, length, static_cast<std::uint16_t>(flags), id};
    driver_.ram().write(transmit_.gpa + sizeof(d) * transmit_tail_, d);
    transmit_tail_ = (transmit_tail_ + 1) & (size - 1);
  };
  put(slot.header_mapping.segments.front().address, nic::encode_length(nic::header_length(header), segment_size),
      nic::descriptor_flag::header | (payload.empty() ? end_of_frame : 0u));
  std::uint32_t left = bytes;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    const auto here = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, payload[i].bytes));
    left -= here;
    put(slot.pieces[i].segments.front().address, nic::encode_length(here),
        i + 1 == payload.size() ? end_of_frame : 0u);
  }
  ++counters_.frames;
  ring(cpu, QueueRegister::transmit_tail, transmit_tail_);
  return true;
}

bool NicQueue::map_frame(Cpu& cpu, Slot& slot, std::span<const Run> payload) {
  const Run head{slot.header, page_size};
  slot.piece_count = 0;
  if (driver_.dma().map(cpu, {&head, 1}, DmaAccess{true, false}, slot.header_mapping) != 0) return false;
  slot.used = true;
  for (const Run& run : payload) {
    if (driver_.dma().map(cpu, {&run, 1}, DmaAccess{true, false}, slot.pieces[slot.piece_count]) != 0) {
      unmap_frame(cpu, slot);
      return false;
    }
    ++slot.piece_count;
  }
  return true;
}

void NicQueue::unmap_frame(Cpu& cpu, Slot& slot) {
  slot.used = false;
  driver_.dma().unmap(cpu, slot.header_mapping);
  for (std::uint32_t i = 0; i < slot.piece_count; ++i) driver_.dma().unmap(cpu, slot.pieces[i]);
}

void NicQueue::remove(TcpSocket& socket) {
  sockets_.erase(std::remove(sockets_.begin(), sockets_.end(), &socket), sockets_.end());
  if (last_socket_ == &socket) last_socket_ = nullptr;
  for (Aggregate& aggregate : aggregates_) {
    if (aggregate.socket == &socket) aggregate = {};
  }
}

}  // namespace gnomon::guest
