// SPDX-License-Identifier: Apache-2.0
// Polling without polling: a processor that spins on a word of memory sleeps until somebody writes the word.
#pragma once

#include <algorithm>
#include <vector>

#include "models/base/address.hpp"
#include "models/cpu/core/processor.hpp"

namespace gnomon {

/// Cache-line watch. What a spinning loop would see, and when, without one event an iteration.
class LineMonitor {
 public:
  /// The processor is parked by its caller and will be unparked by the next write to the word at `address`.
  void watch(Hpa address, Processor& processor) { watched_.push_back({address, &processor}); }

  /// A write to `address` becomes visible at `at` (>= global time).
  void written(Hpa address, Time at) {
    for (std::size_t i = 0; i < watched_.size();) {
      if (watched_[i].address == address) {
        Processor* processor = watched_[i].processor;
        watched_.erase(watched_.begin() + static_cast<std::ptrdiff_t>(i));
        processor->unpark(at);
      } else {
        ++i;
      }
    }
  }

  struct Watch {
    Hpa address;
    Processor* processor;
  };
  const std::vector<Watch>& watched() const { return watched_; }  ///< for deadlock reports

 private:
  std::vector<Watch> watched_;  // as many as processors poll at once: few
};

}  // namespace gnomon
