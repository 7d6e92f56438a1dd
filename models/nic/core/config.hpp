// SPDX-License-Identifier: Apache-2.0
// A NIC and the machine at the other end of its wire. The defaults are a 100 Gbit/s NIC.
#pragma once

#include <cstdint>

#include "models/base/time.hpp"

namespace gnomon::nic {

/// How packets are put into receive buffers.
struct PackingConfig {
  /// A packet begins at a multiple of so many bytes, a power of two: two packets of 1500 bytes share a page. 4096:
  /// a buffer a packet.
  std::uint32_t stride = 2048;
  /// Receive offload (LRO, hardware GRO): payload only, in-order data of a flow back to back, and headers kept
  /// apart.
  bool coalesce = false;
};

/// The other end: a TCP that sends as fast as it may, or takes what comes.
struct PeerConfig {
  Time round_trip = Time::us(20);        ///< the wire and the peer's own time; spent on what the host sends
  std::uint64_t window = 16u << 20;      ///< bytes it has under way at most, of a flow (its send buffer)
  std::uint32_t first_window = 10;       ///< segments it sends before it has heard anything (RFC 6928)
  std::uint64_t rate = 0;                ///< bytes/s it paces a flow at; 0: none (iperf3's --bitrate)
  std::uint32_t ack_every = 128 * 1024;  ///< bytes it takes before it acknowledges
  /// Without progress for so long it sends again from what was acknowledged (TCP_RTO_MIN of Linux).
  Time loss_timeout = Time::ms(200);
  /// Without progress for so long it sends the last of it again, so that a lost tail is noticed (RFC 8985, 7; two
  /// ticks of 1000 HZ, as Linux), and again after twice the time.
  Time probe_timeout = Time::ms(2);
};

struct NicConfig {
  std::uint64_t wire_rate = 12'500'000'000;  ///< bytes/s each way: 100 Gbit/s
  unsigned queue_pairs = 64;
  unsigned ring_shift = 13;         ///< log2 of the largest ring: 8192
  unsigned vectors = 64;            ///< MSI-X vectors
  unsigned descriptor_burst = 32;   ///< descriptors read by one DMA
  unsigned descriptor_cache = 128;  ///< kept of a ring, ahead of use
  unsigned completion_burst = 4;  ///< completion entries written by one DMA while more are to come; a power of two
  unsigned frames_in_flight = 8;  ///< frames of a queue pair read from memory at a time
  std::uint32_t posted_bytes = 12 * 1024;    ///< payload writes under way on PCIe at a time
  std::uint32_t packet_buffer = 512 * 1024;  ///< bytes received that wait for it; what does not fit is dropped
  Time ready_delay = Time::us(100);          ///< from control.enable to status.ready
  PackingConfig packing;
  PeerConfig peer;
};

/// Throws std::invalid_argument, saying which value cannot be.
void validate(const NicConfig& config);

}  // namespace gnomon::nic
