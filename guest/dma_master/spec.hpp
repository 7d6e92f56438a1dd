// SPDX-License-Identifier: Apache-2.0
// What a stream does: frames, rate, and what is mapped beside it.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/base/time.hpp"

namespace gnomon::guest {

struct DmaMasterSpec {
  Iova iova{0x8000'0000};                         ///< where the driver puts the frames; what else it maps follows
  std::uint64_t buffer = std::uint64_t{8} << 20;  ///< bytes of a frame, whole pages
  std::uint64_t rate = 500'000'000;               ///< bytes a second
  Time duration = Time::ms(20);                   ///< of the stream
  bool write = false;                             ///< the device writes memory: a camera
  unsigned runs = 1;                              ///< equal, physically scattered runs of a frame
  bool flip = false;        ///< each frame is new memory, mapped where the one before the last was unmapped
  std::uint64_t churn = 0;  ///< bytes of another buffer mapped and unmapped meanwhile

  /// I/O addresses it takes, from `iova` on.
  std::uint64_t span() const { return buffer * (flip ? 2 : 1) + churn; }
};

/// Planted bugs of the stream's driver.
struct DmaMasterFaults {
  bool forget_flush = false;  ///< where the flush is the caller's: it does not when it flips
};

}  // namespace gnomon::guest
