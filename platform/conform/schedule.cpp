// SPDX-License-Identifier: Apache-2.0
// Trial runs of allocator and flush queue. One takes a fraction of a millisecond for thousands of operations, so
// every question is asked by running again from the start.
#include "platform/conform/schedule.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "guest/dma/dma_iova.hpp"
#include "guest/dma/iova_allocator.hpp"

namespace gnomon::conform {

using guest::PageRange;
using guest::ReplayStep;
using Kind = RecordedStep::Kind;

namespace {

constexpr std::uint64_t top_page = 0xfffff;  // the last below 4 GiB: PCI devices are tried there first

/// An IOVA that was free in a CPU's magazine when the trace began.
struct Seed {
  std::uint16_t cpu = 0;
  std::uint64_t pfn = 0;
  std::uint64_t pages = 0;
};

/// A hypothesis about what timing did.
struct Hypothesis {
  std::uint64_t floor = top_page + 1;        // pages from here up were allocated before the trace
  std::vector<Seed> seeds;                   // by first use: of one CPU and size, the first is taken first
  std::map<std::size_t, std::size_t> early;  // by map: the step before which its IOVA was allocated
  std::set<std::size_t> timers;              // steps before which the timer fires, by no mark of the trace
};

struct Outcome {
  std::size_t failed = ~std::size_t{0};  // the step
  std::uint64_t got = 0;
  std::uint64_t full_flushes = 0, timer_flushes = 0, unmarked = 0;
  std::vector<bool> timer_at;  // steps that are timer flushes
  TimerDelays delays;
};

class Trial {
 public:
  Trial(const Recording& recording, const ScheduleOptions& options, const Hypothesis& hypothesis)
      : recording_(recording),
        options_(options),
        hypothesis_(hypothesis),
        iovas_(options.iova, options.cpus),
        policy_(options.iova, {}),
        queue_(options.flush_queue, options.cpus) {
    for (const PageRange& range : options.reserved) iovas_.reserve(range.first, range.last);
    for (const PageRange& range : occupied(hypothesis)) iovas_.reserve(range.first, range.last);
    put_seeds();
    for (const auto& [map, step] : hypothesis.early) early_.emplace(step, map);
  }

  /// Up to and with step `last`.
  Outcome run(std::size_t last) {
    out_.timer_at.resize(recording_.steps.size());
    const std::size_t end = std::min(last + 1, recording_.steps.size());
    for (std::size_t i = 0; i < end && out_.failed == ~std::size_t{0}; ++i) {
      for (auto at = early_.lower_bound(i); at != early_.end() && at->first == i; ++at) allocate(at->second);
      if (hypothesis_.timers.contains(i)) timer(i, true);
      perform(i);
    }
    return std::move(out_);
  }

  static std::vector<PageRange> occupied(const Hypothesis& h) {
    std::vector<PageRange> ranges;
    if (h.floor > top_page) return ranges;
    std::vector<PageRange> free;
    for (const Seed& seed : h.seeds) free.push_back({seed.pfn, seed.pfn + seed.pages - 1});
    std::sort(free.begin(), free.end(), [](const PageRange& a, const PageRange& b) { return a.first < b.first; });
    std::uint64_t next = h.floor;
    for (const PageRange& range : free) {
      if (range.first > next) ranges.push_back({next, range.first - 1});
      next = std::max(next, range.last + 1);
    }
    if (next <= top_page) ranges.push_back({next, top_page});
    return ranges;
  }

  /// Seeds in the order in which the tree hands them out, from the top.
  static std::vector<Seed> from_the_top(std::vector<Seed> seeds) {
    std::sort(seeds.begin(), seeds.end(), [](const Seed& a, const Seed& b) { return a.pfn > b.pfn; });
    return seeds;
  }

 private:
  void put_seeds() {
    for (const Seed& seed : from_the_top(hypothesis_.seeds))
      if (policy_.allocate(iovas_, 0, seed.pages).pfn != seed.pfn) return void(out_.failed = 0);
    for (auto seed = hypothesis_.seeds.rbegin(); seed != hypothesis_.seeds.rend(); ++seed)
      iovas_.free(seed->cpu, seed->pfn, seed->pages);  // last in, first out
  }

  void allocate(std::size_t map) {
    const RecordedStep& step = recording_.steps[map];
    const std::uint64_t pages = recording_.mappings[step.mapping].bytes >> page_shift;
    const std::uint64_t pfn = policy_.allocate(iovas_, step.cpu, pages).pfn;
    allocated_.insert(map);
    if (pfn << page_shift == step.iova) return;
    out_.failed = map;
    out_.got = pfn << page_shift;
  }

  void perform(std::size_t i) {
    const RecordedStep& step = recording_.steps[i];
    switch (step.kind) {
      case Kind::map:
        if (!allocated_.contains(i)) allocate(i);
        return;
      case Kind::unmap: return unmap(step);
      case Kind::flush_timer:
        if (options_.lazy) timer(i, false);
        awaits_flush_seen_ = true;
        return;
      case Kind::flush_seen:
        // Its cause, the timer or a full queue, was met before; a timer whose mark was lost shows here alone.
        if (options_.lazy && !std::exchange(awaits_flush_seen_, false)) timer(i, true);
        return;
    }
  }

  void unmap(const RecordedStep& step) {
    const std::uint64_t pages = step.bytes >> page_shift;
    if (!options_.lazy) return void(iovas_.free(step.cpu, step.iova >> page_shift, pages));
    reap(step.cpu, step.cpu);
    while (queue_.needs_flush(step.cpu)) {
      queue_.begin_flush();
      queue_.end_flush();
      ++out_.full_flushes;
      awaits_flush_seen_ = true;
      reap(step.cpu, step.cpu);
    }
    queue_.push(step.cpu, step.iova >> page_shift, pages);
    if (queue_.arm_timer()) armed_ns_ = step.time_ns;
  }

  void reap(unsigned queue, unsigned cpu) {
    queue_.reap(queue, [&](const guest::FlushQueueEntry& e) { iovas_.free(cpu, e.iova_pfn, e.pages); });
  }

  void timer(std::size_t i, bool unmarked) {
    const RecordedStep& step = recording_.steps[i];
    out_.timer_at[i] = true;
    ++out_.timer_flushes;
    out_.unmarked += unmarked;
    if (queue_.timer_armed()) {
      const std::uint64_t delay = step.time_ns - std::min(step.time_ns, armed_ns_);
      ++out_.delays.count;
      out_.delays.shortest_ns = std::min(out_.delays.shortest_ns, delay);
      out_.delays.longest_ns = std::max(out_.delays.longest_ns, delay);
      out_.delays.all_ns.push_back(delay);
    }
    queue_.timer_fired();
    queue_.begin_flush();
    queue_.end_flush();
    for (unsigned queue = 0; queue < queue_.queues(); ++queue) reap(queue, step.cpu);
  }

  const Recording& recording_;
  const ScheduleOptions& options_;
  const Hypothesis& hypothesis_;
  guest::IovaAllocator iovas_;
  guest::DmaIovaPolicy policy_;
  guest::FlushQueue queue_;
  std::multimap<std::size_t, std::size_t> early_;  // by step: maps
  std::set<std::size_t> allocated_;
  bool awaits_flush_seen_ = false;
  std::uint64_t armed_ns_ = 0;
  Outcome out_;
};

class Explainer {
 public:
  Explainer(const Recording& recording, const ScheduleOptions& options)
      : recording_(recording), options_(options) {}

  Schedule run() {
    find_first_uses();
    Hypothesis best;
    Outcome best_outcome;
    best_outcome.failed = 0;
    const std::size_t most = std::min(first_uses_.size(), most_floors);
    for (std::size_t n = 0; n <= most; ++n) {
      Hypothesis h = above(n == most ? lowest_ : end_of(first_uses_[n]));
      const Outcome outcome = refine(h);
      if (outcome.failed <= best_outcome.failed && n != 0) continue;
      best = std::move(h);
      best_outcome = outcome;
      if (best_outcome.failed == ~std::size_t{0}) break;
    }
    return schedule(best, best_outcome);
  }

 private:
  static constexpr std::size_t most_floors = 512;
  static constexpr std::size_t longest_interruption = 1024;

  Outcome trial(const Hypothesis& h, std::size_t last = ~std::size_t{0} - 1) const {
    return Trial{recording_, options_, h}.run(last);
  }

  static std::uint64_t pages_of(const RecordedStep& step, const Recording& recording) {
    return guest::iova_pages_taken(recording.mappings[step.mapping].bytes >> page_shift);
  }
  std::uint64_t end_of(std::size_t map) const {
    return (recording_.steps[map].iova >> page_shift) + pages_of(recording_.steps[map], recording_);
  }

  void find_first_uses() {
    std::set<std::uint64_t> seen;
    for (std::size_t i = 0; i < recording_.steps.size(); ++i) {
      const RecordedStep& step = recording_.steps[i];
      if (step.kind != Kind::map || step.iova >> 32 != 0 || !seen.insert(step.iova).second) continue;
      first_uses_.push_back(i);
      lowest_ = std::min(lowest_, step.iova >> page_shift);
    }
  }

  /// What was allocated from `floor` up came from magazines when it was first used.
  Hypothesis above(std::uint64_t floor) const {
    Hypothesis h;
    h.floor = floor;
    for (const std::size_t map : first_uses_) {
      const RecordedStep& step = recording_.steps[map];
      if (step.iova >> page_shift < floor) continue;
      h.seeds.push_back({step.cpu, step.iova >> page_shift, pages_of(step, recording_)});
    }
    return h;
  }

  /// Lets interrupts and timers explain what they can; the outcome of the best that was found.
  Outcome refine(Hypothesis& h) const {
    Outcome outcome = trial(h);
    while (outcome.failed != ~std::size_t{0}) {
      if (!allocate_earlier(h, outcome.failed) && !fire_before(h, outcome.failed)) break;
      outcome = trial(h);
    }
    return outcome;
  }

  // The nearest earlier place on its CPU, back to the map before: an interrupt's unmaps and timers lie between.
  bool allocate_earlier(Hypothesis& h, std::size_t map) const {
    const unsigned cpu = recording_.steps[map].cpu;
    std::size_t at = map;
    if (const auto known = h.early.find(map); known != h.early.end()) at = known->second;
    for (std::size_t tried = 0; at > 0 && tried < longest_interruption; ++tried) {
      const RecordedStep& before = recording_.steps[--at];
      const bool own = before.cpu == cpu;
      if (own && before.kind == Kind::map) return false;
      if (!own && before.kind != Kind::map) continue;  // what another CPU frees goes to its own magazines
      Hypothesis other = h;
      other.early[map] = at;
      const Outcome outcome = trial(other, map);
      if (outcome.failed <= map) continue;
      h = std::move(other);
      return true;
    }
    return false;
  }

  // Where nothing marks flushes: a timer between the map and the last that came out right.
  bool fire_before(Hypothesis& h, std::size_t map) const {
    if (!options_.lazy || recording_.flushes_marked) return false;
    for (std::size_t tried = 0, at = map + 1; at-- > 0 && tried < longest_interruption; ++tried) {
      if (h.timers.contains(at)) return false;
      Hypothesis other = h;
      other.timers.insert(at);
      if (trial(other, map).failed <= map) continue;
      h = std::move(other);
      return true;
    }
    return false;
  }

  Schedule schedule(const Hypothesis& h, const Outcome& outcome) const;
  void put_prelude(Schedule& s, const Hypothesis& h) const;

  const Recording& recording_;
  const ScheduleOptions& options_;
  std::vector<std::size_t> first_uses_;  // maps of an IOVA for the first time, in order
  std::uint64_t lowest_ = top_page + 1;
};

std::uint32_t add_mapping(guest::ReplayScript& script, const std::vector<guest::Run>& runs,
                          guest::DmaAccess access) {
  guest::ReplayMapping mapping;
  mapping.first_run = static_cast<std::uint32_t>(script.runs.size());
  mapping.runs = static_cast<std::uint32_t>(runs.size());
  mapping.access = access;
  for (const guest::Run& run : runs) mapping.bytes += run.bytes;
  script.runs.insert(script.runs.end(), runs.begin(), runs.end());
  script.mappings.push_back(mapping);
  return static_cast<std::uint32_t>(script.mappings.size() - 1);
}

// The free IOVAs come to their CPUs' magazines as they did in the real guest: mapped from the tree, unmapped there.
void Explainer::put_prelude(Schedule& s, const Hypothesis& h) const {
  std::map<std::uint64_t, std::uint32_t> mapping_of;  // by page
  std::uint64_t invented = std::uint64_t{1} << 52;
  const auto step = [&](ReplayStep::Kind kind, std::uint16_t cpu, std::uint32_t mapping) {
    s.script.steps.push_back({kind, cpu, mapping, Time{}, Time{}});
  };
  for (const Seed& seed : Trial::from_the_top(h.seeds)) {
    const std::uint64_t bytes = seed.pages << page_shift;
    invented = (invented + 2 * bytes - 1) & ~(bytes - 1);
    const std::uint32_t mapping = add_mapping(s.script, {{Gpa{invented}, bytes}}, {true, true});
    mapping_of.emplace(seed.pfn, mapping);
    step(ReplayStep::Kind::map, 0, mapping);
  }
  for (auto seed = h.seeds.rbegin(); seed != h.seeds.rend(); ++seed) {
    step(ReplayStep::Kind::unmap, seed->cpu, mapping_of.at(seed->pfn));
    const bool last = std::next(seed) == h.seeds.rend() || std::next(seed)->cpu != seed->cpu;
    if (options_.lazy && last) step(ReplayStep::Kind::flush_timer, seed->cpu, 0);
  }
  s.script.prelude = s.script.steps.size();
}

Schedule Explainer::schedule(const Hypothesis& h, const Outcome& outcome) const {
  Schedule s;
  s.script.cpus = std::max(options_.cpus, recording_.cpus);
  s.script.occupied = Trial::occupied(h);
  put_prelude(s, h);
  std::multimap<std::size_t, std::size_t> early;
  for (const auto& [map, at] : h.early) early.emplace(at, map);

  std::vector<std::uint32_t> mapping_of(recording_.mappings.size());
  for (std::size_t i = 0; i < recording_.mappings.size(); ++i) {
    const RecordedMapping& recorded = recording_.mappings[i];
    std::vector<guest::Run> runs;
    for (const gtrace::Run& run : recorded.runs) runs.push_back({Gpa{run.address}, run.bytes});
    mapping_of[i] = add_mapping(
        s.script, runs,
        {recorded.direction != gtrace::Direction::from_device, recorded.direction != gtrace::Direction::to_device});
  }
  const auto put = [&](ReplayStep::Kind kind, const RecordedStep& step) {
    s.script.steps.push_back(
        {kind, step.cpu, kind == ReplayStep::Kind::flush_timer ? 0 : mapping_of[step.mapping], Time{}, Time{}});
  };
  for (std::size_t i = 0; i < recording_.steps.size(); ++i) {
    const RecordedStep& step = recording_.steps[i];
    for (auto at = early.lower_bound(i); at != early.end() && at->first == i; ++at)
      put(ReplayStep::Kind::allocate, recording_.steps[at->second]);
    if (i < outcome.timer_at.size() && outcome.timer_at[i]) put(ReplayStep::Kind::flush_timer, step);
    if (step.kind == Kind::map) {
      put(ReplayStep::Kind::map, step);
      s.iovas.push_back(step.iova);
      ++s.maps;
      if (i < outcome.failed) ++s.explained_maps;
    } else if (step.kind == Kind::unmap) {
      put(ReplayStep::Kind::unmap, step);
    }
  }
  if (outcome.failed != ~std::size_t{0} && outcome.failed < recording_.steps.size())
    s.mismatch = IovaMismatch{outcome.failed, recording_.steps[outcome.failed].iova, outcome.got};
  s.free_before = h.seeds.size();
  s.interrupted = h.early.size();
  s.timer_flushes = outcome.timer_flushes;
  s.unmarked_timer_flushes = outcome.unmarked;
  s.full_flushes = outcome.full_flushes;
  s.delays = outcome.delays;
  return s;
}

}  // namespace

Schedule explain(const Recording& recording, const ScheduleOptions& options) {
  return Explainer{recording, options}.run();
}

}  // namespace gnomon::conform
