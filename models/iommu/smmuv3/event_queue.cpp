// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/smmuv3/event_queue.hpp"

namespace gnomon::iommu {

// An event that finds the queue full is lost, and OVFLG differs from OVACKFLG until software has copied it.
EventQueue::Recorded EventQueue::record(const smmuv3::Event& event) {
  namespace queue = smmuv3::queue;
  if (!enabled_) return {};
  const unsigned log2 = smmuv3::queue_log2(base_);
  const std::uint32_t used = queue::used(prod_, cons_, log2);
  if (used >= (1u << log2)) {
    const bool acknowledged = ((prod_ ^ cons_) & smmuv3::queue_overflow) == 0;
    if (acknowledged) prod_ ^= smmuv3::queue_overflow;
    return {};
  }
  const Hpa slot = Hpa{smmuv3::queue_base(base_)} + queue::index(prod_, log2) * smmuv3::event_bytes;
  if (slot.value > memory_.size() - smmuv3::event_bytes) return {false, false, true};
  memory_.write(slot, encode(event));
  prod_ = (prod_ & smmuv3::queue_overflow) | queue::advance(prod_, 1, log2);
  return {true, used == 0, false};
}

}  // namespace gnomon::iommu
