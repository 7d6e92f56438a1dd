// SPDX-License-Identifier: Apache-2.0
// The search for what timing did: along the recording, and where an IOVA comes out wrong, back by a few steps to
// try what may have been otherwise. Copies of the trial stand at some steps, so that no try begins from the start.
#include "platform/conform/schedule.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "platform/conform/schedule_script.hpp"
#include "platform/conform/trial.hpp"

namespace gnomon::conform {

using Kind = RecordedStep::Kind;

namespace {

class Explainer {
 public:
  Explainer(const Recording& recording, const ScheduleOptions& options)
      : recording_(recording), options_(options), steps_(recording.steps.size()) {}

  Schedule run() {
    find_first_uses();
    const std::vector<std::uint64_t> floors = this->floors();
    std::vector<std::pair<std::size_t, std::size_t>> reached;  // steps that came out right, and of which floor
    Hypothesis h;
    for (std::size_t n = 0; n < floors.size(); ++n) {
      h = above(floors[n]);
      budget_ = first_look;
      reached.emplace_back(refine(h), n);
      if (reached.back().first == steps_) return schedule(h);
    }
    std::stable_sort(reached.begin(), reached.end(), [](auto& x, auto& y) { return x.first > y.first; });
    reached.resize(std::min(reached.size(), longer_looks));
    std::pair<std::size_t, Hypothesis> best{0, above(floors.front())};
    for (const auto& [to, n] : reached) {
      h = above(floors[n]);
      budget_ = longer_look;
      const std::size_t now = refine(h);
      if (now > best.first) best = {now, h};
      if (now == steps_) break;
    }
    return schedule(best.second);
  }

 private:
  static constexpr std::size_t most_floors = 512;
  static constexpr std::size_t longer_looks = 4;  // floors that are looked at again
  static constexpr std::uint64_t first_look = 300'000, longer_look = 100'000'000;  // steps that may be tried again
  static constexpr std::size_t longest_interruption = 1024;                        // steps
  static constexpr std::size_t spacing = 1024;                                     // steps between copies
  static constexpr std::size_t copies = 4;
  static constexpr std::size_t farthest_trim = 256;
  static constexpr std::size_t longest_delay = 32;  // steps
  static constexpr std::uint64_t most_subsets = 64;

  static std::uint64_t pages_of(const RecordedStep& step, const Recording& recording) {
    return guest::iova_pages_taken(recording.mappings[step.mapping].bytes >> page_shift);
  }

  void find_first_uses() {
    std::set<std::uint64_t> seen;
    for (std::size_t i = 0; i < steps_; ++i) {
      const RecordedStep& step = recording_.steps[i];
      if (step.kind != Kind::map || step.iova >> 32 != 0 || !seen.insert(step.iova).second) continue;
      first_uses_.push_back(i);
      lowest_ = std::min(lowest_, step.iova >> page_shift);
    }
  }

  /// How far down the tree was used when the trace began: not at all, or to a first use; the fewest seeds first.
  std::vector<std::uint64_t> floors() const {
    std::vector<std::uint64_t> out{top_page + 1};
    for (const std::size_t map : first_uses_) {
      if (out.size() == most_floors) break;
      const RecordedStep& step = recording_.steps[map];
      out.push_back((step.iova >> page_shift) + pages_of(step, recording_));
    }
    out.push_back(lowest_);
    return out;
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

  /// Lets interrupts and timers explain what they can; how many steps came out right.
  std::size_t refine(Hypothesis& h) {
    copies_.clear();
    copies_.emplace_back(recording_, options_, h);
    for (;;) {
      Trial trial = copies_.back();
      while (trial.next() < steps_ && trial.run(std::min(trial.next() + spacing, steps_))) {
        copies_.push_back(trial);
        if (copies_.size() > copies) copies_.pop_front();
      }
      if (trial.next() == steps_ || !mend(h, trial)) return trial.next();
    }
  }

  bool mend(Hypothesis& h, const Trial& failed) {
    return let_overtaken_allocate(h, failed) || allocate_earlier(h, failed) || leave_queues(h, failed) ||
           delay_flush(h, failed) || move_trim(h, failed) || fire_before(h, failed);
  }

  struct Place {
    std::size_t next = 0, failed = 0;
    std::uint64_t got = 0;
  };
  static Place place_of(const Trial& trial) { return {trial.next(), trial.failed(), trial.got()}; }

  /// The trial again, with what is changed from step `from` on, to behind the step that failed.
  std::optional<Place> again(std::size_t from, const Trial& failed) {
    auto copy = std::find_if(copies_.rbegin(), copies_.rend(), [&](const Trial& t) { return t.next() <= from; });
    if (copy == copies_.rend()) return std::nullopt;
    Trial trial = *copy;
    const std::size_t work = failed.next() + 1 - trial.next();
    if (budget_ < work) {
      budget_ = 0;
      return std::nullopt;
    }
    budget_ -= work;
    trial.run(failed.next() + 1);
    return place_of(trial);
  }
  bool accepted(const std::optional<Place>& place, std::size_t from, const Trial& failed) {
    if (!place || place->next <= failed.next()) return false;
    while (copies_.back().next() > from) copies_.pop_back();
    return true;
  }

  // What came out instead is another CPU's, whose event came later: that one was first.
  bool let_overtaken_allocate(Hypothesis& h, const Trial& failed) {
    std::vector<std::size_t> changed;
    std::optional<Place> place = place_of(failed);
    while (place && place->next == failed.next()) {
      const auto owner = later_map_of(place->got, failed.next(), place->failed);
      if (!owner || h.early.contains(*owner)) break;
      h.allocate_before(*owner, failed.next());
      changed.push_back(*owner);
      place = again(failed.next(), failed);
    }
    if (!changed.empty() && accepted(place, failed.next(), failed)) return true;
    for (const std::size_t map : changed) h.allocate_in_place(map);
    return false;
  }

  std::optional<std::size_t> later_map_of(std::uint64_t iova, std::size_t from, std::size_t than) const {
    const unsigned cpu = recording_.steps[than].cpu;
    std::set<unsigned> seen;  // CPUs whose next map was met: only that can be under way
    for (std::size_t at = from; at < std::min(steps_, from + longest_interruption); ++at) {
      const RecordedStep& step = recording_.steps[at];
      if (step.kind != Kind::map || at == than || !seen.insert(step.cpu).second) continue;
      if (step.iova == iova && step.cpu != cpu) return at;
    }
    return std::nullopt;
  }

  // The nearest earlier place on its CPU, back to the map before: an interrupt's unmaps and timers lie between.
  bool allocate_earlier(Hypothesis& h, const Trial& failed) {
    const std::size_t map = failed.failed();
    const unsigned cpu = recording_.steps[map].cpu;
    const auto known = h.early.find(map);
    const std::optional<std::size_t> was = known == h.early.end() ? std::nullopt : std::optional{known->second};
    for (std::size_t at = was.value_or(map), tried = 0; at > 0 && tried < longest_interruption; ++tried) {
      const RecordedStep& before = recording_.steps[--at];
      if (before.cpu == cpu && before.kind == Kind::map) break;
      h.allocate_before(map, at);
      if (accepted(again(at, failed), at, failed)) return true;
    }
    h.allocate_in_place(map);
    if (was) h.allocate_before(map, *was);
    return false;
  }

  bool is_timer(std::size_t step, const Hypothesis& h) const {
    const Kind kind = recording_.steps[step].kind;
    return kind == Kind::flush_timer || kind == Kind::flush_seen || h.timers.contains(step);
  }

  // A timer frees what is in the queues one after the other; a CPU's own unmap may come before its queue's turn.
  bool leave_queues(Hypothesis& h, const Trial& failed) {
    for (const std::size_t flush : failed.last_flushes()) {
      if (flush == Trial::none || !is_timer(flush, h) || h.left.contains(flush)) continue;
      const unsigned own = recording_.steps[flush].cpu;
      const std::uint64_t cpus = std::min(options_.cpus, 32U);
      const std::uint64_t all = (std::uint64_t{1} << cpus) - 1;
      const std::uint64_t others = own < 32 ? all & ~(std::uint64_t{1} << own) : all;
      for (std::uint64_t left = others, tried = 0; left != 0 && tried < most_subsets;
           left = (left - 1) & others, ++tried) {
        h.left[flush] = left;
        if (accepted(again(flush, failed), flush, failed)) return true;
      }
      h.left.erase(flush);
    }
    return false;
  }

  // A flush begins after the event of the unmap or timer that it is of; what other CPUs unmap until then goes with
  // it.
  bool delay_flush(Hypothesis& h, const Trial& failed) {
    for (const std::size_t flush : failed.last_flushes()) {
      if (flush == Trial::none || h.late.contains(flush)) continue;
      const unsigned cpu = recording_.steps[flush].cpu;
      for (std::size_t at = flush + 2; at < std::min(steps_, flush + longest_delay); ++at) {
        if (recording_.steps[at - 1].cpu == cpu) break;
        h.take_effect_before(flush, at);
        if (accepted(again(flush, failed), flush, failed)) return true;
      }
      h.take_effect_in_place(flush);
    }
    return false;
  }

  // The depot's work is a work queue's: it waits for its CPU. Or jiffies were counted late, and it seems early.
  bool move_trim(Hypothesis& h, const Trial& failed) {
    const auto try_at = [&](std::size_t number, std::size_t step) {
      const auto [place, fresh] = h.trims.emplace(number, step);
      const std::size_t was = std::exchange(place->second, step);
      const std::size_t from = std::min(step, failed.next() - std::min(failed.next(), farthest_trim));
      if (accepted(again(from, failed), from, failed)) return true;
      if (fresh)
        h.trims.erase(number);
      else
        h.trims[number] = was;
      return false;
    };
    if (failed.trims() != 0 && try_at(failed.trims() - 1, failed.next() + 1)) return true;
    for (std::size_t back = 0; failed.trim_pending() && back < farthest_trim && back <= failed.next(); ++back)
      if (try_at(failed.trims(), failed.next() - back)) return true;
    return false;
  }

  // Where nothing marks flushes: a timer between the map and the last that came out right.
  bool fire_before(Hypothesis& h, const Trial& failed) {
    if (!options_.lazy || recording_.flushes_marked) return false;
    for (std::size_t tried = 0, at = failed.next() + 1; at-- > 0 && tried < longest_interruption; ++tried) {
      if (!h.timers.insert(at).second) return false;
      if (accepted(again(at, failed), at, failed)) return true;
      h.timers.erase(at);
    }
    return false;
  }

  Schedule schedule(const Hypothesis& h) const {
    TrialLog log;
    Trial trial{recording_, options_, h};
    const bool all = trial.run(steps_, &log);
    Schedule s = script_of(recording_, options_, h, log);
    for (std::size_t i = 0; i < steps_; ++i) {
      if (recording_.steps[i].kind != Kind::map) continue;
      s.iovas.push_back(recording_.steps[i].iova);
      ++s.maps;
      if (i < trial.next()) ++s.explained_maps;
    }
    if (!all) s.mismatch = IovaMismatch{trial.failed(), recording_.steps[trial.failed()].iova, trial.got()};
    s.free_before = h.seeds.size();
    for (const auto& [map, at] : h.early)
      ++(recording_.steps[at].cpu == recording_.steps[map].cpu ? s.interrupted : s.overtaken);
    s.delayed_flushes = h.late.size();
    s.left_queues = h.left.size();
    s.depot_trims = log.trims.size();
    s.moved_trims = h.trims.size();
    s.timer_flushes = log.timer_flushes;
    s.unmarked_timer_flushes = log.unmarked;
    s.full_flushes = log.full_flushes;
    s.delays = std::move(log.delays);
    return s;
  }

  const Recording& recording_;
  const ScheduleOptions& options_;
  const std::size_t steps_;
  std::vector<std::size_t> first_uses_;  // maps of an IOVA for the first time, in order
  std::uint64_t lowest_ = top_page + 1;
  std::deque<Trial> copies_;  // by step
  std::uint64_t budget_ = 0;  // steps that may be tried again
};

}  // namespace

Schedule explain(const Recording& recording, const ScheduleOptions& options) {
  return Explainer{recording, options}.run();
}

}  // namespace gnomon::conform
