// SPDX-License-Identifier: Apache-2.0
// What a NIC asks of the world around it: DMA, interrupts, and somebody to tell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "models/base/address.hpp"
#include "models/base/time.hpp"

namespace gnomon::nic {

enum class Direction { from_host, to_host };

/// Bytes of payload inside one memory page.
struct Segment {
  Iova address;
  std::uint32_t bytes = 0;
  constexpr bool operator==(const Segment&) const = default;
};

struct DmaResult {
  bool ok = true;  ///< false: a fault; the data must not be used
  Time done;       ///< the last beat, or the fault's report, has arrived; not before the call's `at`
};

enum class Ring : std::uint8_t { receive, transmit, completion };

/// Implemented by the shell. Called from NicCore::advance only (on_doorbell: from mmio_write), with times `at` that
/// never go back. A call must not call the core in turn.
class Bus {
 public:
  virtual ~Bus() = default;

  /// Structures: descriptors, completion entries, headers of frames. Each call stays within one page.
  virtual DmaResult read(Time at, Iova address, std::span<std::byte> into) = 0;
  virtual DmaResult write(Time at, Iova address, std::span<const std::byte> from) = 0;
  /// Payload: only addresses and sizes, in the order of the data. `segments` is valid during the call.
  virtual DmaResult transfer(Time at, std::span<const Segment> segments, Direction direction) = 0;
  /// An MSI-X message. Its completion entries have landed.
  virtual void interrupt(Time at, unsigned vector) = 0;

  // Observation.
  virtual void on_doorbell(Time /*at*/, unsigned /*queue*/, Ring /*ring*/, std::uint32_t /*value*/) {}
  /// Packets of one buffer that found none, or no room to wait for it.
  virtual void on_drop(Time /*at*/, unsigned /*queue*/, unsigned /*packets*/, std::uint32_t /*bytes*/) {}
  /// The other end sends packets of `bytes` once more.
  virtual void on_retransmission(Time /*at*/, unsigned /*queue*/, unsigned /*packets*/, std::uint32_t /*bytes*/) {}
};

}  // namespace gnomon::nic
