// SPDX-License-Identifier: Apache-2.0
// Deferred invalidation: the rings and the two counters.
#include "guest/dma/flush_queue.hpp"

#include <bit>
#include <stdexcept>

namespace gnomon::guest {

FlushQueueRing::FlushQueueRing(unsigned slots) : entries_(slots), mask_(slots - 1) {
  if (slots < 2 || !std::has_single_bit(slots)) {
    throw std::invalid_argument("FlushQueueRing: slots must be a power of two of at least 2");
  }
}

void FlushQueueRing::push(const FlushQueueEntry& entry) {
  if (full()) throw std::logic_error("FlushQueueRing: pushed to a full ring");
  entries_[tail_] = entry;
  tail_ = (tail_ + 1) & mask_;
}

FlushQueue::FlushQueue(const FlushQueueConfig& config, unsigned cpus, FlushQueueFaults faults)
    : config_(config), faults_(faults) {
  if (cpus == 0) throw std::invalid_argument("FlushQueue: needs a CPU");
  const unsigned rings = config.per_cpu ? cpus : 1;
  rings_.reserve(rings);
  for (unsigned i = 0; i < rings; ++i) rings_.emplace_back(config.slots);
}

// The counter is the number of flushes started, not finished: one that is under way may have passed the entry's
// page-table entries already and must not release it.
void FlushQueue::push(unsigned cpu, std::uint64_t iova_pfn, std::uint64_t pages, FreelistHandle freelist) {
  ring_of(cpu).push({iova_pfn, pages, started_, freelist});
}

void FlushQueue::end_flush() {
  if (finished_ == started_) throw std::logic_error("FlushQueue: a flush ended that never began");
  ++finished_;
}

bool FlushQueue::arm_timer() {
  if (timer_armed_) return false;
  timer_armed_ = true;
  return true;
}

}  // namespace gnomon::guest
