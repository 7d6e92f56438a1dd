// SPDX-License-Identifier: Apache-2.0
// A NIC with its wire and the machine at the wire's other end: a timed state machine that does nothing by itself.
// Its registers and rings: models/spec/nic. Times of a buffer: the wire, the packet buffer, payload to memory as
// far as PCIe lets it, then the completion entry, then, if armed, the interrupt.
#pragma once

#include <array>
#include <boost/circular_buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/nic/core/action_queue.hpp"
#include "models/nic/core/bus.hpp"
#include "models/nic/core/config.hpp"
#include "models/nic/core/peer.hpp"
#include "models/nic/core/queue_pair.hpp"
#include "models/spec/nic/frame.hpp"
#include "models/spec/nic/registers.hpp"

namespace gnomon::nic {

inline constexpr std::uint32_t most_buffers_of_a_train = 256;  ///< 64 KiB of payload in buffers of 256 bytes

struct NicCounters {
  std::uint64_t packets_received = 0;  ///< whose completion entry is on its way
  std::uint64_t packets_dropped = 0;
  std::uint64_t frames_sent = 0;
  std::uint64_t interrupts = 0;
};

class NicCore {
 public:
  /// `bus` must outlive the NIC. Throws std::invalid_argument for a configuration that cannot be.
  NicCore(const NicConfig& config, Bus& bus);

  /// Registers and doorbells, from BAR0; `size` 4 or 8 bytes, naturally aligned. A write takes effect through
  /// actions at `now` or later. Unknown offsets read as zero and ignore writes, as do values that cannot be.
  void mmio_write(Time now, std::uint64_t offset, std::uint64_t value, unsigned size);
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) const;

  /// When advance has something to do next; Time::max() when idle. Ask again after every mmio_write and advance.
  Time next_action() const { return actions_.next(); }
  /// Does everything due at or before `now`, in order of time.
  void advance(Time now);

  const NicCounters& counters() const { return counters_; }
  const PeerCounters& peer() const { return peer_.counters(); }

 private:
  /// A completion entry due when the payload of its buffer has landed.
  struct Landing {
    CompletionEntry entry;
    std::uint32_t generation = 0;
    std::uint32_t bytes = 0;  // of the train
    std::uint16_t queue = 0;
    bool last = false;  // of its train
  };
  struct Frame {
    TcpHeader header;
    std::uint32_t generation = 0;
    std::uint32_t payload = 0;
    std::uint32_t packets = 1;
    std::uint16_t queue = 0;
    std::uint16_t id = 0;
    bool ok = true;
  };

  // nic_core.cpp: registers, reset, dispatch
  void perform(const Action& action);
  std::uint32_t read_register(std::uint64_t offset) const;
  void write_register(Time now, std::uint64_t offset, std::uint32_t value);
  void write_queue(Time now, unsigned queue, QueueRegister r, std::uint32_t value);
  void write_setting(QueuePair& q, QueueRegister r, std::uint32_t value);
  void enable_queue(Time now, unsigned queue, bool enable);
  void ring(Time now, unsigned queue, Ring which, std::uint32_t value);
  void stop();
  void fail(unsigned queue);  // a DMA of its rings faulted, or a descriptor cannot be

  // nic_receive.cpp: the wire's incoming side, the packet buffer, payload
  void wake_wire(Time at);
  void wire(Time at);
  void train_arrived(Time at);
  void pump(Time at);
  bool deliver(Time at, const Train& train);
  void drop(Time at, const Train& train);
  void payload_landed(Time at);
  void fetch(Time at, unsigned queue, bool receive);
  void fetched(Time at, unsigned queue, bool receive);

  // nic_completion.cpp: completion entries, interrupts
  void append(Time at, unsigned queue, CompletionEntry entry);
  void flush(Time at, unsigned queue);
  void see(Time at, unsigned queue, CompletionDoorbell doorbell);
  void signal(Time at, unsigned queue);
  void fire(Time at, unsigned queue);
  void moderation_due(Time at, unsigned queue, std::uint32_t wait);

  // nic_transmit.cpp
  void start_frames(Time at, unsigned queue);
  bool start_frame(Time at, unsigned queue, std::uint32_t pieces);
  std::uint32_t take_frame();
  void frame_read(Time at, std::uint32_t frame);
  void frame_sent(Time at, std::uint32_t frame);
  void frame_at_peer(Time at, std::uint32_t frame);
  void losses_due(Time at);

  const NicConfig config_;
  Bus& bus_;
  Peer peer_;
  ActionQueue actions_;
  std::uint32_t control_ = 0;
  std::uint32_t status_ = 0;
  std::vector<QueuePair> queues_;

  Train on_wire_;
  bool wire_busy_ = false;
  Time wire_woken_ = Time::max();  // when the earliest look at the wire is planned
  bool losses_planned_ = false;
  boost::circular_buffer<Train> buffered_;
  std::uint64_t buffered_bytes_ = 0;
  boost::circular_buffer<Landing> landings_;
  std::uint32_t posted_bytes_ = 0;
  Time last_landing_;

  std::vector<Frame> frames_;
  std::vector<std::uint32_t> free_frames_;
  Time transmit_free_;  // when the wire's outgoing side is

  std::vector<Segment> segments_;            // of one transfer
  std::array<std::byte, page_size> page_{};  // one burst of descriptors, during a call of the bus
  NicCounters counters_;
};

}  // namespace gnomon::nic
