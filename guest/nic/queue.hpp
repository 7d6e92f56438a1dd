// SPDX-License-Identifier: Apache-2.0
// A queue pair as the driver runs it: rings in guest memory, NAPI, GRO, the page pool, frames to send.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "guest/nic/driver.hpp"
#include "models/spec/nic/descriptors.hpp"
#include "models/spec/nic/frame.hpp"
#include "models/spec/nic/registers.hpp"

namespace gnomon::guest {

class TcpSocket;

class NicQueue final : public InterruptHandler, private Softirq, private Timer {
 public:
  struct Counters {
    std::uint64_t polls = 0;
    std::uint64_t packets = 0;
    std::uint64_t buffers = 0;
    std::uint64_t aggregates = 0;      ///< given to sockets
    std::uint64_t frames = 0;          ///< sent
    std::uint64_t frames_refused = 0;  ///< for want of a descriptor or of a mapping
    std::uint64_t doorbells = 0;
  };

  /// Maps the rings, on `cpu`. The queue pair's interrupts go to the CPU of its number.
  NicQueue(NicDriver& driver, Cpu& cpu, unsigned number);

  void open(Cpu& cpu);   ///< programs and enables the queue pair, posts receive buffers
  void close(Cpu& cpu);  ///< the NIC has stopped: unmaps everything

  /// Sends a frame of `header` and `payload` (whole pages), as segments of `segment_size` where that is not 0.
  /// False where there is no descriptor, or no mapping, for it.
  bool transmit(Cpu& cpu, const nic::TcpHeader& header, std::span<const Run> payload, std::uint32_t bytes,
                std::uint32_t segment_size);

  void add(TcpSocket& socket) { sockets_.push_back(&socket); }
  void remove(TcpSocket& socket);

  PagePool& pool() { return pool_; }
  const NicCosts& costs() const { return driver_.options().costs; }
  const Counters& counters() const { return counters_; }
  unsigned number() const { return number_; }

 private:
  static constexpr std::uint32_t largest_aggregate = 65'535 - nic::ip_header_bytes - nic::tcp_header_bytes;
  static constexpr std::size_t most_aggregates = 8;  // MAX_GRO_SKBS

  struct CoherentRing {
    Gpa gpa;
    DmaMapping mapping;
    Iova address() const { return mapping.segments.front().address; }
  };
  struct Slot {
    Gpa header;
    DmaMapping header_mapping;
    std::array<DmaMapping, 4> pieces;
    std::uint32_t piece_count = 0;
    bool used = false;
  };
  struct Aggregate {
    TcpSocket* socket = nullptr;
    std::uint32_t bytes = 0;
  };

  void interrupt(Cpu& cpu, unsigned vector) override;
  void run(Cpu& cpu) override;      // one NAPI poll
  void expired(Cpu& cpu) override;  // no receive buffer could be posted: again
  CoherentRing coherent(Cpu& cpu, std::uint64_t bytes);
  bool next(Cpu& cpu, nic::CompletionEntry& entry);
  bool peek(nic::CompletionEntry& entry) const;
  void received(Cpu& cpu, const nic::CompletionEntry& entry);
  void sent(Cpu& cpu, const nic::CompletionEntry& entry);
  void merge(Cpu& cpu, TcpSocket& socket, std::uint32_t bytes);
  void flush_aggregates(Cpu& cpu);
  void deliver(Cpu& cpu, Aggregate& aggregate);
  void refill(Cpu& cpu);
  bool map_frame(Cpu& cpu, Slot& slot, std::span<const Run> payload);
  void unmap_frame(Cpu& cpu, Slot& slot);
  void write(nic::QueueRegister r, std::uint64_t value, unsigned bytes, Cpu& cpu);
  void ring(Cpu& cpu, nic::QueueRegister doorbell, std::uint32_t value);
  TcpSocket* socket_of(std::uint32_t flow);

  NicDriver& driver_;
  const unsigned number_;
  PagePool pool_;
  CoherentRing receive_;
  CoherentRing transmit_;
  CoherentRing completion_;
  std::uint32_t completion_size_;
  std::uint32_t completion_count_ = 0;  // entries seen: place and phase of the next
  std::vector<std::uint32_t> posted_;   // page by receive descriptor; no_page: none
  std::uint32_t receive_tail_ = 0;
  std::uint32_t receive_posted_ = 0;
  std::uint32_t unrung_ = 0;
  std::uint32_t transmit_tail_ = 0;
  std::uint32_t transmit_used_ = 0;  // descriptors
  std::vector<Slot> slots_;
  std::vector<std::uint16_t> free_slots_;
  std::vector<TcpSocket*> sockets_;
  TcpSocket* last_socket_ = nullptr;
  std::array<Aggregate, most_aggregates> aggregates_{};
  Counters counters_;
};

}  // namespace gnomon::guest
