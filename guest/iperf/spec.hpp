// SPDX-License-Identifier: Apache-2.0
// [workload.iperf]: a network test in iperf3's words. The guest is the server: it receives, or with `reverse`
// sends.
#pragma once

#include <cstdint>

#include "models/base/time.hpp"

namespace gnomon::iperf {

struct IperfSpec {
  unsigned parallel = 1;                   ///< --parallel: streams
  std::uint64_t length = 128 * 1024;       ///< --length: bytes of one read or write
  Time time = Time::s(10);                 ///< --time: measured
  Time omit;                               ///< --omit: before that
  Time interval = Time::s(1);              ///< --interval: of the report
  bool reverse = false;                    ///< --reverse: the guest sends
  std::uint64_t bitrate = 0;               ///< --bitrate: bits/s of a stream; 0: none
  std::uint64_t window = 3u << 20;         ///< --window: bytes of a socket's buffer
  std::uint32_t mtu = 1500;                ///< of the link
  std::uint32_t ack_every = 0;             ///< bytes received that are acknowledged; 0: as Linux does
  std::uint32_t recycled_ppm = 1'000'000;  ///< receive pages in a million that the page pool keeps
  std::uint64_t live_mapping = 0;          ///< bytes held mapped in the NIC's domain all the while, in 4 KiB leaves
};

/// Throws std::invalid_argument, saying which value cannot be.
void validate(const IperfSpec& spec);

}  // namespace gnomon::iperf
