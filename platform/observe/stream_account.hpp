// SPDX-License-Identifier: Apache-2.0
// How a stream went: what its device moved, and what came too late.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/trace/events.hpp"

namespace gnomon::observe {

class StreamAccount {
 public:
  void add(const trace::StreamUnderrun& e) {
    ++underruns_;
    latest_ps_ = std::max(latest_ps_, e.came_ps - e.needed_ps);
  }
  /// The metrics of a window of so many seconds, with so many bytes moved and requests refused.
  void append(std::vector<std::pair<std::string, double>>& out, double seconds, std::uint64_t bytes,
              std::uint64_t refused) const {
    out.emplace_back("stream.bytes_per_s", seconds > 0 ? static_cast<double>(bytes) / seconds : 0);
    out.emplace_back("stream.refused", static_cast<double>(refused));
    out.emplace_back("stream.underruns", static_cast<double>(underruns_));
    out.emplace_back("stream.late_ns.max", static_cast<double>(latest_ps_) * 1e-3);
  }

 private:
  std::uint64_t underruns_ = 0, latest_ps_ = 0;
};

}  // namespace gnomon::observe
