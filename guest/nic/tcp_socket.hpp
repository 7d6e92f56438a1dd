// SPDX-License-Identifier: Apache-2.0
// A TCP connection of the guest, as far as its data path goes. Behaviour of Linux's
// net/ipv4/tcp{,_input,_output}.c, 6.1 to 6.12: the receive window, ACKs, selective ones for what came behind a
// gap, what the application copies. No retransmission: the peer's way here may lose packets, the way there does
// not.
#pragma once

#include <boost/circular_buffer.hpp>
#include <cstdint>
#include <vector>

#include "guest/nic/queue.hpp"

namespace gnomon::guest {

struct SocketOptions {
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  std::uint32_t mtu = 1500;
  std::uint64_t receive_buffer = 3u << 20;  ///< bytes: the window when the application has read everything
  std::uint64_t send_buffer = 4u << 20;     ///< bytes sent and not acknowledged at most
  std::uint32_t ack_every = 0;              ///< bytes received that are acknowledged; 0: as Linux does
};

class SocketClient {
 public:
  virtual ~SocketClient() = default;
  /// There is something to read, room to write, or the connection is established. In softirq context.
  virtual void ready(Cpu& cpu) = 0;
};

class TcpSocket {
 public:
  struct Counters {
    std::uint64_t acks_sent = 0;
    std::uint64_t duplicate_acks_sent = 0;
    std::uint64_t window_updates = 0;  ///< of the ACKs, those that reading caused
    std::uint64_t out_of_order = 0;    ///< buffers that came behind a gap
    std::uint64_t discarded = 0;       ///< buffers received before
  };

  /// Lives on the CPU of `queue`: all calls are from there. `queue` and `client` must outlive it.
  TcpSocket(const SocketOptions& options, NicQueue& queue, NicDriver& driver, SocketClient& client);
  ~TcpSocket();

  void connect(Cpu& cpu);  ///< sends the SYN
  bool established() const { return established_; }
  std::uint64_t readable() const { return delivered_ - copied_; }
  /// recv(): copies at most `limit` bytes to the application. Returns how many.
  std::uint64_t read(Cpu& cpu, std::uint64_t limit);
  std::uint64_t writable() const;
  /// send(): copies `bytes` (<= writable()) from the application and sends them. False: try again, a frame was
  /// refused.
  bool write(Cpu& cpu, std::uint64_t bytes);
  std::uint64_t acknowledged_bytes() const { return acknowledged_; }
  void abort(Cpu& cpu);    ///< sends a RST: the peer stops
  void release(Cpu& cpu);  ///< gives the pages not read back to the pool

  std::uint32_t flow() const { return flow_; }
  std::uint32_t segment() const { return segment_; }
  const Counters& counters() const { return counters_; }

  // For the queue's poll.
  enum class Arrival { in_order, behind_a_gap, unwanted };
  /// Takes `page` unless it is unwanted.
  Arrival take(const nic::CompletionEntry& entry, std::uint32_t page);
  /// What is held behind the gap can be delivered once what arrived has been.
  bool gap_closed() const { return !held_.empty() && held_.front().first <= expected_; }
  void deliver(Cpu& cpu, std::uint32_t bytes);
  void acknowledged(Cpu& cpu, const nic::CompletionEntry& entry);
  void poll_ended(Cpu& cpu);

 private:
  struct Piece {
    std::uint32_t page = 0;
    std::uint32_t bytes = 0;
  };
  /// Behind a gap. A page without bytes of its own belongs to the piece after it.
  struct Held {
    std::uint64_t first = 0;
    std::uint32_t bytes = 0;
    std::uint32_t page = 0;
    std::uint64_t end() const { return first + bytes; }
  };
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
  };
  class DelayedAck final : public Timer {
   public:
    explicit DelayedAck(TcpSocket& socket) : socket_(socket) {}
    void expired(Cpu& cpu) override;

   private:
    TcpSocket& socket_;
  };

  nic::TcpHeader header(std::uint8_t flags) const;
  std::uint64_t free_window() const { return options_.receive_buffer - (delivered_ - copied_); }
  /// Of the window the peer has been told of, what it has not used.
  std::uint64_t known_window() const { return window_end_ > delivered_ ? window_end_ - delivered_ : 0; }
  /// As the header can say it.
  std::uint64_t scaled(std::uint64_t window) const { return window >> window_scale_ << window_scale_; }
  void acknowledge_what_was_read(Cpu& cpu);
  void push_piece(std::uint32_t page, std::uint32_t bytes);
  bool hold(std::uint64_t first, std::uint32_t page, std::uint32_t bytes);
  void tell_of(std::uint64_t first, std::uint64_t end);
  void release_held(Cpu& cpu);
  void send_ack(Cpu& cpu);
  void offer_window();
  bool send_frame(Cpu& cpu, std::uint32_t bytes);

  const SocketOptions options_;
  NicQueue& queue_;
  NicDriver& driver_;
  SocketClient& client_;
  const std::uint32_t flow_;
  const std::uint32_t segment_;
  std::uint8_t window_scale_ = 0;
  bool established_ = false;
  bool aborted_ = false;

  // Receiving. Stream offsets: sequence number 1 is byte 0.
  boost::circular_buffer<Piece> pieces_;
  std::uint32_t front_read_ = 0;  // bytes of the first piece already copied
  std::uint64_t expected_ = 0;    // arrived, perhaps still in an aggregate
  std::uint64_t delivered_ = 0;
  std::uint64_t copied_ = 0;
  std::uint64_t told_ = 0;         // acknowledged to the peer
  std::uint64_t window_end_ = 0;   // right edge of what the peer may send
  std::uint64_t last_window_ = 0;  // as of the last ACK
  std::uint32_t quick_acks_ = 0;   // how many more aggregates are acknowledged at once
  bool gap_ = false;               // a duplicate ACK is due
  bool repeated_ = false;          // a segment that was received before, in this poll
  std::vector<Held> held_;         // by stream offset
  std::vector<Range> selected_;    // what ACKs tell of held_, the newest first
  DelayedAck delayed_ack_{*this};

  // Sending.
  std::vector<Gpa> frames_;  // 64 KiB each, in turn
  std::uint64_t sent_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t peer_window_ = 0;
  std::uint8_t peer_scale_ = 0;
  Counters counters_;
};

}  // namespace gnomon::guest
