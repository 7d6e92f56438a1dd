// SPDX-License-Identifier: Apache-2.0
// A drive that misbehaves: it keeps the addresses of commands it has finished, and goes on reading and writing
// there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "models/nvme/core/bus.hpp"

namespace gnomon::nvme {

class StrayDma {
 public:
  static constexpr std::size_t most_pages = 4096;

  /// The command is over: its pages are the host's again. The oldest of those kept are forgotten for them.
  void remember(std::span<const Segment> segments) {
    for (const Segment& segment : segments) {
      if (pages_.size() < most_pages) {
        pages_.push_back(segment);
      } else {
        pages_[oldest_] = segment;
        oldest_ = (oldest_ + 1) % most_pages;
      }
    }
  }
  bool empty() const { return pages_.empty(); }
  void clear() { pages_.clear(), oldest_ = next_ = 0; }

  struct Access {
    Segment page;
    Direction direction;
  };
  /// Round all pages kept, each read and then written. Requires !empty().
  Access next() {
    if (next_ >= 2 * pages_.size()) next_ = 0;
    const std::size_t turn = next_++;
    return {pages_[turn / 2], turn % 2 == 0 ? Direction::from_host : Direction::to_host};
  }

 private:
  std::vector<Segment> pages_;
  std::size_t oldest_ = 0;
  std::size_t next_ = 0;
};

}  // namespace gnomon::nvme
