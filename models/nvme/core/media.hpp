// SPDX-License-Identifier: Apache-2.0
// The flash: one bandwidth a direction, and channels that serve a command at a time, first come first served.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/base/random.hpp"
#include "models/base/time.hpp"
#include "models/nvme/core/bus.hpp"
#include "models/nvme/core/config.hpp"

namespace gnomon::nvme {

class Media {
 public:
  struct Passage {
    Time begin;
    Time end;
  };
  struct Visit {
    unsigned channel = 0;
    Time begin;
    Time end;
  };

  Media(const MediaConfig& config, RandomStream random);

  /// Puts `bytes` on the direction's bandwidth at `at`. Calls of a direction in order of `at`.
  Passage pass(Direction direction, Time at, std::uint64_t bytes);
  /// Queues a command at the channel of its first byte. Calls in order of `at`; draws the latency.
  Visit enter(Direction direction, Time at, std::uint64_t offset);

  /// Round robin by stripe, each round starting at a channel hashed from its number, so that neighbours part and
  /// strides do not meet on one channel.
  unsigned channel_of(std::uint64_t offset) const;

 private:
  Time latency(Direction direction);

  const MediaConfig config_;
  RandomStream random_;
  std::array<Time, 2> bandwidth_free_{};
  std::vector<Time> channel_free_;
};

}  // namespace gnomon::nvme
