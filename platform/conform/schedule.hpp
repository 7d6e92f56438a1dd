// SPDX-License-Identifier: Apache-2.0
// What timing decided in a recording, told apart from what the kernel's code decided. The trace gives the order of
// the events; the IOVA allocator and the flush queue of the simulated guest are run along it, and where the
// recorded IOVA needs it, exactly these are chosen, all of them the work of interrupts and timers:
//
//  - what the allocator held when the trace began: free IOVAs in CPU magazines, and how far down the tree was used;
//  - a map whose IOVA was allocated before interrupts whose unmaps the trace shows before the map's own event, or
//    before another CPU's map whose event came first;
//  - at which operation the flush queue's timer fired. That a queue was full is never chosen: it follows;
//  - before which operation of another CPU a flush took effect, and whether that CPU freed what was in its queue
//    before the timer came to it;
//  - at which operation the delayed work of the magazines' depot ran, where it is not when its delay had passed.
//
// Everything else must come out as recorded. How often each was needed is counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/dma/dma_iova.hpp"
#include "guest/dma/flush_queue.hpp"
#include "guest/dma/iova_behaviour.hpp"
#include "guest/replay/script.hpp"
#include "models/base/time.hpp"
#include "platform/conform/recording.hpp"

namespace gnomon::conform {

struct ScheduleOptions {
  guest::IovaBehaviour iova;
  guest::FlushQueueConfig flush_queue;
  bool lazy = false;
  unsigned cpus = 1;
  unsigned hz = 250;
  guest::DmaIovaLimits limits;
  std::vector<guest::PageRange> reserved;  ///< of every PCI device's domain: the interrupt window, bridge windows
};

/// From an entry that armed the flush queue's timer to the timer's work, by the trace's clock.
struct TimerDelays {
  std::uint64_t count = 0;
  std::uint64_t shortest_ns = ~std::uint64_t{0};
  std::uint64_t longest_ns = 0;
  std::vector<std::uint64_t> all_ns;
};

struct IovaMismatch {
  std::size_t step = 0;  ///< of the recording
  std::uint64_t recorded = 0;
  std::uint64_t simulated = 0;
};

struct Schedule {
  guest::ReplayScript script;            ///< for ReplayPacing::ordered
  std::vector<std::uint64_t> iovas;      ///< recorded, of each map of the window, in the script's order
  std::optional<IovaMismatch> mismatch;  ///< the first IOVA that no timing explains
  std::uint64_t maps = 0;
  std::uint64_t explained_maps = 0;   ///< maps before the mismatch; all where there is none
  std::uint64_t unknown_runs = 0;     ///< mappings whose memory the trace does not tell: taken as one run
  std::uint64_t free_before = 0;      ///< IOVAs that lay free in magazines when the trace began
  std::uint64_t interrupted = 0;      ///< maps with interrupts between allocation and event
  std::uint64_t overtaken = 0;        ///< maps whose event came after that of another CPU's later allocation
  std::uint64_t delayed_flushes = 0;  ///< flushes that began after other CPUs' unmaps behind their own event
  std::uint64_t left_queues = 0;      ///< timers before whose turn at a queue its own CPU freed what was in it
  std::uint64_t depot_trims = 0;      ///< magazines the depot's delayed work returned to the tree
  std::uint64_t moved_trims = 0;      ///< of these, not when the delay had passed
  std::uint64_t timer_flushes = 0;
  std::uint64_t unmarked_timer_flushes = 0;  ///< of these, shown by the IOMMU's commands alone, or by IOVAs alone
  std::uint64_t full_flushes = 0;
  TimerDelays delays;
};

/// Takes time in proportion to the recording, and to what it has to explain, up to a bound.
Schedule explain(const Recording& recording, const ScheduleOptions& options);

}  // namespace gnomon::conform
