// SPDX-License-Identifier: Apache-2.0
// The event queue: a ring in memory the unit writes and software reads. IHI 0070, sections 3.5 and 7.4.
#pragma once

#include <cstdint>

#include "models/memory/physical_memory.hpp"
#include "models/spec/smmuv3/event.hpp"
#include "models/spec/smmuv3/registers.hpp"

namespace gnomon::iommu {

class EventQueue {
 public:
  explicit EventQueue(PhysicalMemory& memory) : memory_(memory) {}

  struct Recorded {
    bool recorded = false;   ///< false where the queue is off or full: the event is lost
    bool interrupt = false;  ///< the queue was empty before
    bool abort = false;      ///< memory did not answer: GERROR.EVENTQ_ABT_ERR
  };
  Recorded record(const smmuv3::Event& event);

  void enable(bool on) { enabled_ = on; }
  std::uint64_t base() const { return base_; }
  void write_base(std::uint64_t value) { base_ = value & (smmuv3::mask(51, 5) | smmuv3::mask(4, 0)); }
  std::uint32_t prod() const { return prod_; }
  void write_prod(std::uint32_t value) {
    if (!enabled_) prod_ = value;
  }
  std::uint32_t cons() const { return cons_; }
  void write_cons(std::uint32_t value) { cons_ = value; }

 private:
  PhysicalMemory& memory_;
  std::uint64_t base_ = 0;
  std::uint32_t prod_ = 0;
  std::uint32_t cons_ = 0;
  bool enabled_ = false;
};

}  // namespace gnomon::iommu
