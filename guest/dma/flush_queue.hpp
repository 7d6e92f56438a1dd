// SPDX-License-Identifier: Apache-2.0
// Deferred invalidation: freed IOVAs wait in a ring until a flush of the whole domain that began after them has
// ended. Behaviour of Linux's drivers/iommu/dma-iommu.c (the single queue since 6.7). Pure: the caller locks,
// flushes and keeps time, in this order for an unmap:
//
//   lock; reap(cpu); while (needs_flush(cpu)) { begin_flush(); <invalidate the domain>; end_flush(); reap(cpu); }
//   push(cpu, ...); unlock; if (arm_timer()) <start the timer>
//
// and when the timer fires: timer_fired(); begin_flush(); <invalidate>; end_flush(); reap every queue.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/iommu/gather.hpp"
#include "models/base/time.hpp"

namespace gnomon::guest {

struct FlushQueueEntry {
  std::uint64_t iova_pfn = 0;
  std::uint64_t pages = 0;
  std::uint64_t counter = 0;  ///< flushes started when it was queued
  FreelistHandle freelist;
};

/// A ring of a power of two of slots, one of which stays free: 256 hold 255 entries. Allocates at construction
/// only.
class FlushQueueRing {
 public:
  explicit FlushQueueRing(unsigned slots);

  bool empty() const { return head_ == tail_; }
  bool full() const { return ((tail_ + 1) & mask_) == head_; }
  unsigned size() const { return (tail_ - head_) & mask_; }
  unsigned usable() const { return mask_; }
  const FlushQueueEntry& front() const { return entries_[head_]; }  ///< of a ring that is not empty
  void pop() { head_ = (head_ + 1) & mask_; }
  void push(const FlushQueueEntry& entry);  ///< Throws std::logic_error when full.

 private:
  std::vector<FlushQueueEntry> entries_;
  unsigned mask_;
  unsigned head_ = 0;
  unsigned tail_ = 0;
};

struct FlushQueueConfig {
  bool per_cpu = true;  ///< a ring a CPU, or one for all
  unsigned slots = 256;
  Time timeout = Time::ms(10);  ///< from the first entry after the timer last fired
};
inline constexpr FlushQueueConfig flush_queue_per_cpu{true, 256, Time::ms(10)};
inline constexpr FlushQueueConfig flush_queue_single{false, 32768, Time::s(1)};

/// Planted bugs, to prove that a checker sees them.
struct FlushQueueFaults {
  bool reap_without_flush = false;  ///< reap ignores the counters: an IOVA is free before its invalidation
};

class FlushQueue {
 public:
  FlushQueue(const FlushQueueConfig& config, unsigned cpus, FlushQueueFaults faults = {});

  /// Hands every entry of the CPU's queue that a finished flush covers to `on_entry(const FlushQueueEntry&)`,
  /// oldest first; returns how many. The entry has left the ring when it is handed over.
  template <class OnEntry>
  unsigned reap(unsigned cpu, OnEntry on_entry) {
    FlushQueueRing& ring = ring_of(cpu);
    const std::uint64_t finished = finished_;  // read once: a flush that ends meanwhile serves the next reap
    unsigned reaped = 0;
    while (!ring.empty() && (faults_.reap_without_flush || ring.front().counter < finished)) {
      const FlushQueueEntry entry = ring.front();
      ring.pop();
      ++reaped;
      on_entry(entry);
    }
    return reaped;
  }

  /// The CPU's queue has no slot for push. The kernel flushes once and takes it that this makes room; it does not
  /// when another flush has been running since before the oldest entry, and the kernel's ring then overruns. Loop.
  bool needs_flush(unsigned cpu) const { return ring_of(cpu).full(); }
  void push(unsigned cpu, std::uint64_t iova_pfn, std::uint64_t pages, FreelistHandle freelist = {});

  void begin_flush() { ++started_; }
  void end_flush();  ///< Throws std::logic_error when no flush is under way.

  /// True when the caller must start the timer, `timeout` from now: nobody has since it last fired.
  bool arm_timer();
  void timer_fired() { timer_armed_ = false; }
  bool timer_armed() const { return timer_armed_; }

  const FlushQueueConfig& config() const { return config_; }
  unsigned queues() const { return static_cast<unsigned>(rings_.size()); }  ///< to reap all: CPUs 0 .. queues() - 1
  unsigned queued(unsigned cpu) const { return ring_of(cpu).size(); }
  std::uint64_t flushes_started() const { return started_; }
  std::uint64_t flushes_finished() const { return finished_; }

 private:
  const FlushQueueRing& ring_of(unsigned cpu) const { return rings_[config_.per_cpu ? cpu : 0]; }
  FlushQueueRing& ring_of(unsigned cpu) { return rings_[config_.per_cpu ? cpu : 0]; }

  FlushQueueConfig config_;
  FlushQueueFaults faults_;
  std::vector<FlushQueueRing> rings_;
  std::uint64_t started_ = 0;
  std::uint64_t finished_ = 0;
  bool timer_armed_ = false;
};

}  // namespace gnomon::guest
