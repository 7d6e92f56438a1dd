// SPDX-License-Identifier: Apache-2.0
// NAPI and GRO. Behaviour of Linux's net/core/{dev,gro}.c, 6.1 to 6.12.
#include "guest/nic/queue.hpp"
#include "guest/nic/tcp_socket.hpp"

namespace gnomon::guest {

using nic::QueueRegister;

void NicQueue::interrupt(Cpu& cpu, unsigned /*vector*/) {
  cpu.raise(*this);  // the NIC has disarmed itself
}

bool NicQueue::peek(nic::CompletionEntry& entry) const {
  const std::uint64_t place = completion_count_ & (completion_size_ - 1);
  entry = driver_.ram().read<nic::CompletionEntry>(completion_.gpa + sizeof(entry) * place);
  return nic::phase_of(entry) == ((completion_count_ & completion_size_) == 0);
}

/// The next new entry; looks again after time has caught up.
bool NicQueue::next(Cpu& cpu, nic::CompletionEntry& entry) {
  if (!peek(entry)) {
    cpu.sync();
    if (!peek(entry)) return false;
  }
  ++completion_count_;
  return true;
}

void NicQueue::run(Cpu& cpu) {
  const NicDriverOptions& o = driver_.options();
  const Time began = cpu.now();
  const Counters before = counters_;
  ++counters_.polls;
  cpu.work(costs().poll);
  std::uint32_t packets = 0;
  std::uint32_t frames = 0;
  std::uint64_t bytes = 0;
  bool empty = false;
  nic::CompletionEntry entry;
  while (!empty && packets < o.budget) {
    if (!next(cpu, entry)) {
      empty = true;
    } else if (nic::has(entry, nic::completion_flag::transmit)) {
      ++frames;
      sent(cpu, entry);
    } else {
      packets += entry.packets;
      bytes += entry.bytes;
      received(cpu, entry);
    }
  }
  if (empty || o.gro_ends_with_poll) flush_aggregates(cpu);
  for (std::size_t i = 0; i < sockets_.size(); ++i) sockets_[i]->poll_ended(cpu);
  counters_.packets += packets;
  refill(cpu);
  const std::uint32_t head = completion_count_ & (completion_size_ - 1);
  ring(cpu, QueueRegister::completion_head, nic::encode(nic::CompletionDoorbell{head, empty}));
  if (!empty) cpu.raise(*this);
  cpu.emit(trace::PollReturned{began.ps(), bytes, o.device, number_, cpu.id(), packets,
                               static_cast<std::uint32_t>(counters_.buffers - before.buffers), frames, empty, 0});
}

TcpSocket* NicQueue::socket_of(std::uint32_t flow) {
  if (last_socket_ != nullptr && last_socket_->flow() == flow) return last_socket_;
  for (TcpSocket* socket : sockets_) {
    if (socket->flow() == flow) return last_socket_ = socket;
  }
  return nullptr;
}

void NicQueue::received(Cpu& cpu, const nic::CompletionEntry& entry) {
  cpu.work(costs().completion);
  ++counters_.buffers;
  const std::uint32_t page = std::exchange(posted_.at(entry.id), PagePool::no_page);
  --receive_posted_;
  TcpSocket* socket = socket_of(entry.flow);
  const bool failed = nic::has(entry, nic::completion_flag::error);
  if (socket != nullptr && !failed && nic::has(entry, nic::completion_flag::ack)) {
    socket->acknowledged(cpu, entry);
  } else if (socket != nullptr && !failed) {
    const TcpSocket::Arrival arrival = socket->take(entry, page);
    if (arrival != TcpSocket::Arrival::unwanted) cpu.work(costs().gro_packet * entry.packets);
    if (arrival == TcpSocket::Arrival::in_order && entry.bytes != 0) merge(cpu, *socket, entry.bytes);
    if (arrival != TcpSocket::Arrival::unwanted) return;
  }
  pool_.put(cpu, page, true);
}

void NicQueue::merge(Cpu& cpu, TcpSocket& socket, std::uint32_t bytes) {
  Aggregate* place = nullptr;
  for (Aggregate& aggregate : aggregates_) {
    if (aggregate.socket == &socket) {
      place = &aggregate;
      break;
    }
    if (aggregate.socket == nullptr && place == nullptr) place = &aggregate;
  }
  if (place == nullptr) {  // the oldest makes room
    deliver(cpu, aggregates_.front());
    place = &aggregates_.front();
  }
  if (place->bytes + bytes > largest_aggregate) deliver(cpu, *place);
  place->socket = &socket;
  place->bytes += bytes;
  if (socket.gap_closed()) deliver(cpu, *place);
}

void NicQueue::flush_aggregates(Cpu& cpu) {
  for (Aggregate& aggregate : aggregates_) {
    if (aggregate.socket != nullptr) deliver(cpu, aggregate);
  }
}

void NicQueue::deliver(Cpu& cpu, Aggregate& aggregate) {
  const Aggregate done = std::exchange(aggregate, {});
  ++counters_.aggregates;
  cpu.work(costs().deliver);
  done.socket->deliver(cpu, done.bytes);
}

void NicQueue::sent(Cpu& cpu, const nic::CompletionEntry& entry) {
  cpu.work(costs().transmitted);
  Slot& slot = slots_.at(entry.id);
  const std::uint32_t descriptors = 1 + slot.piece_count;
  unmap_frame(cpu, slot);
  transmit_used_ -= descriptors;
  free_slots_.push_back(entry.id);
}

}  // namespace gnomon::guest
