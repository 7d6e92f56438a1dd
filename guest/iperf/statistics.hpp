// SPDX-License-Identifier: Apache-2.0
// What iperf counts of one stream: bytes by interval, within the measured time.
#pragma once

#include <cstdint>
#include <vector>

#include "models/base/time.hpp"

namespace gnomon::iperf {

class StreamStatistics {
 public:
  StreamStatistics(Time interval, Time length) : interval_(interval), length_(length) {
    intervals_.resize((length + (interval - Time::ps(1))) / interval);
  }

  /// The measured time begins.
  void open(Time at) { began_ = at; }
  /// `bytes` at `at`; nothing outside of [open, open + length).
  void moved(Time at, std::uint64_t bytes) {
    if (began_ == Time::max() || at < began_ || at - began_ >= length_) return;
    bytes_ += bytes;
    intervals_[(at - began_) / interval_] += bytes;
  }

  std::uint64_t bytes() const { return bytes_; }
  const std::vector<std::uint64_t>& intervals() const { return intervals_; }

 private:
  Time interval_;
  Time length_;
  Time began_ = Time::max();
  std::uint64_t bytes_ = 0;
  std::vector<std::uint64_t> intervals_;
};

}  // namespace gnomon::iperf
