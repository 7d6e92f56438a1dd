// SPDX-License-Identifier: Apache-2.0
// A cache line that several CPUs write: one at a time has it, and it takes its way from one to the next.
#pragma once

#include <algorithm>

#include "guest/kernel/cpu.hpp"

namespace gnomon::guest {

class SharedLine {
 public:
  /// An atomic operation, or a store. Returns when this CPU has the line, with its clock at that time: those who
  /// ask meanwhile are served one after another, in the order in which they asked.
  void own(Cpu& cpu) {
    Processor& processor = cpu.processor();
    processor.sync();
    const Time now = processor.now();
    Time ready = std::max(now, free_at_) + cpu.costs().smmu_atomic;
    if (owner_ != cpu.id()) ready += cpu.costs().smmu_line_transfer;
    owner_ = cpu.id();
    free_at_ = ready;
    processor.spend(ready - now);
    processor.sync();
  }
  /// A load. Nothing where this CPU was the last to write.
  void look(Cpu& cpu) {
    Processor& processor = cpu.processor();
    processor.sync();
    if (owner_ == cpu.id()) return;
    processor.spend(cpu.costs().smmu_line_transfer);
    processor.sync();
  }

 private:
  unsigned owner_ = ~0u;
  Time free_at_;
};

}  // namespace gnomon::guest
