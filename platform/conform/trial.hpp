// SPDX-License-Identifier: Apache-2.0
// The IOVA allocator and the flush queue of a guest run along a recording, under a hypothesis about what timing
// did.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "guest/dma/dma_iova.hpp"
#include "guest/dma/iova_allocator.hpp"
#include "platform/conform/schedule.hpp"

namespace gnomon::conform {

inline constexpr std::uint64_t top_page = 0xfffff;  // the last below 4 GiB: PCI devices are tried there first

/// An IOVA that was free in a CPU's magazine when the trace began.
struct Seed {
  std::uint16_t cpu = 0;
  std::uint64_t pfn = 0;
  std::uint64_t pages = 0;
};

/// Steps are of the recording.
struct Hypothesis {
  std::uint64_t floor = top_page + 1;                // pages from here up were allocated before the trace
  std::vector<Seed> seeds;                           // by first use: of one CPU and size, the first is taken first
  std::map<std::size_t, std::size_t> early;          // by map: the step before which its IOVA was allocated
  std::multimap<std::size_t, std::size_t> early_at;  // the same by step
  std::set<std::size_t> timers;                      // before these the timer fires, by no mark of the trace
  std::map<std::size_t, std::size_t> trims;          // by number of the trim: the step before which it ran

  std::map<std::size_t, std::size_t> late;          // unmaps and timers: the step before which they took effect
  std::multimap<std::size_t, std::size_t> late_at;  // the same by step
  std::map<std::size_t, std::uint64_t> left;  // by timer's step: CPUs that freed what was in their queue first

  void take_effect_before(std::size_t of, std::size_t step);
  void take_effect_in_place(std::size_t of);
  void allocate_before(std::size_t map, std::size_t step);
  void allocate_in_place(std::size_t map);
};

/// One magazine that the depot's delayed work returned to the tree.
struct DepotTrim {
  std::size_t step = 0;  ///< before it
  std::uint16_t cpu = 0;
  unsigned size_class = 0;
};

/// What happened on the way; of a run from the first step on.
struct TrialLog {
  std::uint64_t full_flushes = 0, timer_flushes = 0, unmarked = 0;
  std::vector<bool> timer_at;  // steps that are timer flushes
  std::vector<DepotTrim> trims;
  TimerDelays delays;
};

/// The pages occupied all the time under a hypothesis; seeds in the order the tree hands them out, from the top.
std::vector<guest::PageRange> occupied(const Hypothesis& hypothesis);
std::vector<Seed> from_the_top(std::vector<Seed> seeds);

/// Stands before a step. A copy goes on from there, also under a hypothesis that changed from there on.
class Trial {
 public:
  /// All must outlive it and its copies.
  Trial(const Recording& recording, const ScheduleOptions& options, const Hypothesis& hypothesis);

  /// Up to before step `end`. False: a map got another IOVA than recorded; next() is the step, see failed(), got().
  bool run(std::size_t end, TrialLog* log = nullptr);

  std::size_t next() const { return next_; }
  std::size_t failed() const { return failed_; }  ///< the map
  std::uint64_t got() const { return got_; }      ///< bytes
  std::size_t trims() const { return trims_; }    ///< magazines the depot's work has returned so far
  /// The steps whose unmap or timer flushed last, the newest first.
  const std::array<std::size_t, 4>& last_flushes() const { return flushes_; }
  bool trim_pending() const;  ///< the depot's work is under way and will find too much

  static constexpr std::size_t none = ~std::size_t{0};

 private:
  struct Work {
    bool armed = false;
    std::uint16_t cpu = 0;
    std::uint64_t due_ns = 0;
  };

  void put_seeds();
  bool allocate(std::size_t map);
  bool take_effect(std::size_t i);
  void unmap(std::size_t i);
  void flushed(std::size_t i);
  void free(unsigned cpu, std::uint64_t pfn, std::uint64_t pages);
  void reap(unsigned queue, unsigned cpu);
  void timer(std::size_t i, bool unmarked);
  void trim(std::size_t i);

  const Recording* recording_;
  const ScheduleOptions* options_;
  const Hypothesis* hypothesis_;
  TrialLog* log_ = nullptr;
  guest::IovaAllocator iovas_;
  guest::DmaIovaPolicy policy_;
  guest::FlushQueue queue_;
  std::array<Work, guest::iova_size_classes> works_{};
  std::array<std::size_t, 4> flushes_{none, none, none, none};
  std::size_t next_ = 0, failed_ = 0, trims_ = 0;
  std::uint64_t got_ = 0, now_ns_ = 0, armed_ns_ = 0, trim_delay_ns_ = 0;
  bool awaits_flush_seen_ = false, seeded_ = true;
};

}  // namespace gnomon::conform
