// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/amdvi/event_log.hpp"

namespace gnomon::iommu {

EventLog::Recorded EventLog::record(const amdvi::Event& event, bool interrupt_enabled) {
  if (!run_) return {};
  const std::uint64_t bytes = amdvi::ring_bytes(base_);
  const std::uint64_t slot = tail_ & (bytes - 1);
  const std::uint64_t next = (slot + amdvi::event_bytes) & (bytes - 1);
  if (next == (head_ & (bytes - 1))) {  // one slot stays free; nothing more is logged until software restarts it
    run_ = false;
    return {false, raise(amdvi::status::event_overflow, interrupt_enabled)};
  }
  const Hpa address = amdvi::ring_base(base_) + slot;
  if (address.value > memory_.size() - amdvi::event_bytes) return {};
  memory_.write(address, amdvi::encode(event));
  tail_ = next;
  return {true, raise(amdvi::status::event_log_int, interrupt_enabled)};
}

// One interrupt until software has cleared the bit.
bool EventLog::raise(std::uint64_t bit, bool interrupt_enabled) {
  const bool fresh = (sticky_ & bit) == 0;
  sticky_ |= bit;
  return fresh && interrupt_enabled;
}

void EventLog::write_base(std::uint64_t value) {
  base_ = value & amdvi::ring_writable;
  head_ = tail_ = 0;  // section 3.4.3
}

}  // namespace gnomon::iommu
