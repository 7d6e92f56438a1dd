// SPDX-License-Identifier: Apache-2.0
// The machine at the other end of the wire: connections that the host opened, each a TCP that sends without end
// (port 19, chargen, RFC 864) or takes what comes (port 9, discard, RFC 863).
//
// The sender has a congestion window (RFC 5681: slow start, congestion avoidance, halved once a loss) below the
// window the host advertises, and sends again what selective acknowledgments show to be lost (RFC 6675, with the
// detection of RFC 8985).
#pragma once

#include <cstdint>
#include <vector>

#include "models/base/time.hpp"
#include "models/nic/core/config.hpp"
#include "models/nic/core/scoreboard.hpp"
#include "models/spec/nic/frame.hpp"

namespace gnomon::nic {

inline constexpr std::uint16_t chargen_port = 19;
inline constexpr std::uint16_t discard_port = 9;

/// What the wire carries for one receive buffer, or for one packet of several buffers.
struct Train {
  std::uint32_t flow = 0;  ///< flow_tag
  std::uint16_t queue = 0;
  std::uint16_t buffers = 1;
  std::uint32_t number = 0;  ///< sequence number of its first byte; acknowledgment number of a pure ack
  std::uint32_t payload = 0;
  std::uint32_t stored = 0;  ///< bytes that go to memory
  std::uint32_t packets = 1;
  std::uint16_t window = 0;  ///< as CompletionEntry has it
  std::uint8_t flags = 0;    ///< completion_flag: ack, syn
  bool again = false;        ///< it was sent before
  std::uint64_t wire = 0;    ///< bytes of time on the wire
};

struct PeerCounters {
  std::uint64_t retransmissions = 0;  ///< trains sent again
  std::uint64_t recoveries = 0;       ///< losses that halved a window
  std::uint64_t timeouts = 0;         ///< of them, those noticed by the timeout alone
  std::uint64_t bytes_taken = 0;      ///< in order, by the discard side
};

class Peer {
 public:
  Peer(const PeerConfig& config, const PackingConfig& packing) : config_(config), packing_(packing) {}

  /// A frame of the host arrives. It was sent from `queue`, which is where the connection's packets go from now on
  /// (as NICs with application-targeted routing learn it); they find buffers of `buffer_bytes` there.
  void take(Time at, const TcpHeader& header, std::uint32_t payload, unsigned queue, std::uint32_t buffer_bytes);

  /// When something may be put on the wire, at the earliest; Time::max() before the next frame or loss timeout.
  Time next_send() const;
  /// The next train, connections taking turns. Requires next_send() <= at.
  Train send(Time at);

  /// Senders without progress since `at` - probe_timeout probe, since `at` - loss_timeout start again. Returns when
  /// to look next; Time::max(): when something has been sent again.
  Time retry_losses(Time at);

  const PeerCounters& counters() const { return counters_; }
  void reset() {
    flows_.clear();
    turn_ = 0;
  }

 private:
  struct Flow {
    std::uint32_t tag = 0;
    std::uint16_t queue = 0;
    std::uint16_t scale = 0;
    bool sends = false;
    bool established = false;
    bool closed = false;
    bool syn_due = false;  // a SYN-ACK is to be sent
    bool ack_due = false;
    std::uint32_t segment = 0;  // bytes
    std::uint32_t buffer_bytes = 0;
    // Sending. Stream offsets: sequence number 1 is byte 0.
    Scoreboard board;
    std::uint64_t recover = 0;     // a loss below it belongs to the one that halved the window
    bool fast_retransmit = false;  // the first of what was lost does not wait for the window
    std::uint64_t advertised = 0;
    std::uint64_t congestion = 0;
    std::uint64_t threshold = ~std::uint64_t{0};
    Time not_before;
    Time progress;
    bool probe_due = false;
    unsigned probes = 0;  // since the last progress
    // Taking.
    std::uint64_t received = 0;
    std::uint64_t told = 0;

    std::uint64_t may_send() const;  // of new data
    bool may_send_again() const;
  };

  Flow* find(std::uint32_t tag);
  void open(Time at, const TcpHeader& header, unsigned queue, std::uint32_t buffer_bytes);
  void acknowledge(Time at, Flow& flow, const TcpHeader& header);
  void shrink(Flow& flow);
  void receive(Flow& flow, const TcpHeader& header, std::uint32_t payload);
  std::uint32_t next_payload(const Flow& flow) const;
  Time ready(const Flow& flow) const;
  Train control(Flow& flow);
  Train data(Time at, Flow& flow);
  Train again(Time at, Flow& flow);
  Train train_of(const Flow& flow, std::uint64_t offset, std::uint32_t payload) const;

  const PeerConfig config_;
  const PackingConfig packing_;
  std::vector<Flow> flows_;
  std::size_t turn_ = 0;  // whose turn is next
  PeerCounters counters_;
};

}  // namespace gnomon::nic
