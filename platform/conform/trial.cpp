// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/trial.hpp"

#include <algorithm>
#include <utility>

namespace gnomon::conform {

using guest::PageRange;
using Kind = RecordedStep::Kind;

void Hypothesis::allocate_before(std::size_t map, std::size_t step) {
  allocate_in_place(map);
  early.emplace(map, step);
  early_at.emplace(step, map);
}

void Hypothesis::allocate_in_place(std::size_t map) {
  const auto known = early.find(map);
  if (known == early.end()) return;
  for (auto [at, end] = early_at.equal_range(known->second); at != end; ++at) {
    if (at->second != map) continue;
    early_at.erase(at);
    break;
  }
  early.erase(known);
}

void Hypothesis::take_effect_before(std::size_t of, std::size_t step) {
  take_effect_in_place(of);
  late.emplace(of, step);
  late_at.emplace(step, of);
}

void Hypothesis::take_effect_in_place(std::size_t of) {
  const auto known = late.find(of);
  if (known == late.end()) return;
  for (auto [at, end] = late_at.equal_range(known->second); at != end; ++at) {
    if (at->second != of) continue;
    late_at.erase(at);
    break;
  }
  late.erase(known);
}

std::vector<PageRange> occupied(const Hypothesis& h) {
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

std::vector<Seed> from_the_top(std::vector<Seed> seeds) {
  std::sort(seeds.begin(), seeds.end(), [](const Seed& a, const Seed& b) { return a.pfn > b.pfn; });
  return seeds;
}

Trial::Trial(const Recording& recording, const ScheduleOptions& options, const Hypothesis& hypothesis)
    : recording_(&recording),
      options_(&options),
      hypothesis_(&hypothesis),
      iovas_(options.iova, options.cpus),
      policy_(options.iova, options.limits),
      queue_(options.flush_queue, options.cpus) {
  // The wheel rounds up by a jiffy, and the tick comes up to one later: half of that on average.
  trim_delay_ns_ = options.iova.depot_trim_period.ns() + 3 * (1'000'000'000 / options.hz) / 2;
  for (const PageRange& range : options.reserved) iovas_.reserve(range.first, range.last);
  for (const PageRange& range : occupied(hypothesis)) iovas_.reserve(range.first, range.last);
  put_seeds();
}

void Trial::put_seeds() {
  for (const Seed& seed : from_the_top(hypothesis_->seeds)) {
    seeded_ = policy_.allocate(iovas_, 0, seed.pages).pfn == seed.pfn;
    if (!seeded_) return;
  }
  for (auto seed = hypothesis_->seeds.rbegin(); seed != hypothesis_->seeds.rend(); ++seed)
    iovas_.free(seed->cpu, seed->pfn, seed->pages);  // last in, first out
}

bool Trial::run(std::size_t end, TrialLog* log) {
  log_ = log;
  if (log != nullptr) log->timer_at.resize(recording_->steps.size());
  if (!seeded_) return false;
  for (; next_ < end; ++next_) {
    const auto& early = hypothesis_->early_at;
    now_ns_ = recording_->steps[next_].time_ns;
    trim(next_);
    const auto& late = hypothesis_->late_at;
    for (auto at = late.lower_bound(next_); at != late.end() && at->first == next_; ++at) take_effect(at->second);
    for (auto at = early.lower_bound(next_); at != early.end() && at->first == next_; ++at)
      if (!allocate(at->second)) return false;
    if (hypothesis_->timers.contains(next_)) timer(next_, true);
    if (!hypothesis_->late.contains(next_) && !take_effect(next_)) return false;
  }
  return true;
}

bool Trial::allocate(std::size_t map) {
  const RecordedStep& step = recording_->steps[map];
  const std::uint64_t pages = recording_->mappings[step.mapping].bytes >> page_shift;
  const std::uint64_t pfn = policy_.allocate(iovas_, step.cpu, pages).pfn;
  if (pfn << page_shift == step.iova) return true;
  failed_ = map;
  got_ = pfn << page_shift;
  return false;
}

bool Trial::take_effect(std::size_t i) {
  const RecordedStep& step = recording_->steps[i];
  switch (step.kind) {
    case Kind::map: return hypothesis_->early.contains(i) || allocate(i);
    case Kind::unmap: unmap(i); break;
    case Kind::flush_timer:
      if (options_->lazy) timer(i, false);
      awaits_flush_seen_ = true;
      break;
    case Kind::flush_seen:
      // Its cause, the timer or a full queue, was met before; a timer whose mark was lost shows here alone.
      if (options_->lazy && !std::exchange(awaits_flush_seen_, false)) timer(i, true);
      break;
  }
  return true;
}

void Trial::free(unsigned cpu, std::uint64_t pfn, std::uint64_t pages) {
  const guest::IovaRelease released = iovas_.free(cpu, pfn, pages);
  if (released.path != guest::IovaFreePath::depot || options_->iova.depot != guest::DepotKind::trimmed_list) return;
  Work& work = works_[released.size_class];
  if (!work.armed) work = {true, static_cast<std::uint16_t>(cpu), now_ns_ + trim_delay_ns_};
}

void Trial::flushed(std::size_t i) {
  std::move_backward(flushes_.begin(), flushes_.end() - 1, flushes_.end());
  flushes_.front() = i;
}

void Trial::unmap(std::size_t i) {
  const RecordedStep& step = recording_->steps[i];
  const std::uint64_t pages = step.bytes >> page_shift;
  if (!options_->lazy) return free(step.cpu, step.iova >> page_shift, pages);
  reap(step.cpu, step.cpu);
  while (queue_.needs_flush(step.cpu)) {
    queue_.begin_flush();
    queue_.end_flush();
    flushed(i);
    if (log_ != nullptr) ++log_->full_flushes;
    awaits_flush_seen_ = true;
    reap(step.cpu, step.cpu);
  }
  queue_.push(step.cpu, step.iova >> page_shift, pages);
  if (queue_.arm_timer()) armed_ns_ = step.time_ns;
}

void Trial::reap(unsigned queue, unsigned cpu) {
  queue_.reap(queue, [&](const guest::FlushQueueEntry& e) { free(cpu, e.iova_pfn, e.pages); });
}

void Trial::timer(std::size_t i, bool unmarked) {
  const RecordedStep& step = recording_->steps[i];
  if (log_ != nullptr) {
    log_->timer_at[i] = true;
    ++log_->timer_flushes;
    log_->unmarked += unmarked;
    if (queue_.timer_armed()) {
      const std::uint64_t delay = step.time_ns - std::min(step.time_ns, armed_ns_);
      TimerDelays& delays = log_->delays;
      ++delays.count;
      delays.shortest_ns = std::min(delays.shortest_ns, delay);
      delays.longest_ns = std::max(delays.longest_ns, delay);
      delays.all_ns.push_back(delay);
    }
  }
  queue_.timer_fired();
  queue_.begin_flush();
  queue_.end_flush();
  flushed(i);
  const auto left = hypothesis_->left.find(i);
  for (unsigned queue = 0; queue < queue_.queues(); ++queue)
    if (left == hypothesis_->left.end() || queue >= 32 || (left->second >> queue & 1) == 0) reap(queue, step.cpu);
}

bool Trial::trim_pending() const {
  for (unsigned size_class = 0; size_class < guest::iova_size_classes; ++size_class)
    if (works_[size_class].armed && iovas_.depot_magazines(size_class) > options_->cpus) return true;
  return false;
}

// Only work that finds too many magazines is a trim; what finds nothing leaves no trace and has no number.
void Trial::trim(std::size_t i) {
  for (unsigned size_class = 0; size_class < guest::iova_size_classes; ++size_class) {
    Work& work = works_[size_class];
    while (work.armed) {
      const bool too_many = iovas_.depot_magazines(size_class) > options_->cpus;
      const auto moved = too_many ? hypothesis_->trims.find(trims_) : hypothesis_->trims.end();
      if (moved != hypothesis_->trims.end() ? i < moved->second : now_ns_ < work.due_ns) break;
      work.armed = iovas_.trim_depot(size_class).again;
      work.due_ns = now_ns_ + trim_delay_ns_;
      if (!too_many) continue;
      ++trims_;
      if (log_ != nullptr) log_->trims.push_back({i, work.cpu, size_class});
    }
  }
}

}  // namespace gnomon::conform
