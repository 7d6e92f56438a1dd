// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace gnomon::conform {

using guest::ReplayStep;

const char* name_of(Unit unit) {
  switch (unit) {
    case Unit::virtio_iommu: return "virtio-iommu";
    case Unit::intel_iommu: return "intel-iommu";
    case Unit::amd_iommu: return "amd-iommu";
  }
  return "";
}

const char* name_of(Request::Kind kind) {
  switch (kind) {
    case Request::Kind::map: return "MAP";
    case Request::Kind::unmap: return "UNMAP";
    case Request::Kind::pages: return "invalidate pages";
    case Request::Kind::domain: return "invalidate domain";
    case Request::Kind::global: return "invalidate all";
    case Request::Kind::wait: return "wait";
    case Request::Kind::other: return "other";
  }
  return "";
}

std::string to_text(const Request& r) {
  std::string text = name_of(r.kind);
  const bool ranged = r.kind <= Request::Kind::pages;
  if (!ranged || r.iova == unknown) return text;
  text += fmt::format(" {:#x} {}", r.iova, r.bytes);
  if (r.kind == Request::Kind::map) text += fmt::format(" -> {:#x}", r.physical);
  if (r.kind == Request::Kind::map && r.flags != unknown)
    text += fmt::format(" {}{}", (r.flags & 1) != 0 ? "R" : "", (r.flags & 2) != 0 ? "W" : "");
  if (r.kind == Request::Kind::pages && r.flags == 1) text += " leaf only";
  return text;
}

bool same(const Request& a, const Request& b) {
  const auto fits = [](std::uint64_t x, std::uint64_t y) { return x == y || x == unknown || y == unknown; };
  return a.kind == b.kind && fits(a.iova, b.iova) && fits(a.bytes, b.bytes) && fits(a.physical, b.physical) &&
         fits(a.flags, b.flags);
}

Overlap::Overlap(const std::vector<ReplayStep>& steps) : steps_(steps) {
  std::vector<std::uint32_t> maps;
  for (const ReplayStep& step : steps) {
    if (step.cpu >= maps.size()) maps.resize(std::size_t{step.cpu} + 1);
    maps_before_.push_back(maps[step.cpu]);
    if (step.kind == ReplayStep::Kind::map) ++maps[step.cpu];
  }
}

bool Overlap::possible(std::uint32_t earlier, std::uint32_t later) const {
  if (earlier == later || later >= steps_.size()) return false;
  if (earlier > later) std::swap(earlier, later);
  if (steps_[earlier].cpu != steps_[later].cpu) return later - earlier <= 64;
  // An interrupt does not interrupt itself, and a map is not begun before the one before it has ended.
  const bool one_map =
      (steps_[earlier].kind == ReplayStep::Kind::map) != (steps_[later].kind == ReplayStep::Kind::map);
  const std::uint32_t maps = maps_before_[later] - maps_before_[earlier];
  return one_map && maps == (steps_[earlier].kind == ReplayStep::Kind::map ? 1u : 0u);
}

namespace {

/// Pairs each recorded request with a simulated one: the next, or one that may have come before it.
class Matcher {
 public:
  Matcher(const CommandStream& recorded, const CommandStream& simulated, const Overlap& overlap)
      : recorded_(recorded.requests),
        simulated_(simulated.requests),
        overlap_(overlap),
        taken_(simulated_.size()) {}

  Comparison run() {
    for (std::size_t i = 0; i < recorded_.size(); ++i) {
      const std::size_t at = find(recorded_[i]);
      if (at == simulated_.size()) {
        out_.first = Difference{i, next_};
        return out_;
      }
      if (at != next_) ++out_.exchanged;
      taken_[at] = true;
      pair_of_.push_back(at);
      while (next_ < simulated_.size() && taken_[next_]) ++next_;
    }
    if (next_ < simulated_.size()) out_.first = Difference{recorded_.size(), next_};
    return out_;
  }

  const std::vector<std::size_t>& pairs() const { return pair_of_; }

 private:
  static constexpr std::size_t window = 1024;

  std::size_t find(const Request& wanted) const {
    // What follows its neighbour in both is meant first: one wait is like another, and belongs to its command.
    const std::size_t beside = pair_of_.empty() ? 0 : pair_of_.back() + 1;
    if (beside < simulated_.size() && !taken_[beside] && same(wanted, simulated_[beside]) && may_come_to(beside))
      return beside;
    const std::size_t end = std::min(simulated_.size(), next_ + window);
    for (std::size_t at = next_; at < end; ++at) {
      if (taken_[at]) continue;
      if (same(wanted, simulated_[at])) return at;
      if (!may_be_passed(at, wanted)) break;
    }
    return simulated_.size();
  }

  /// Everything that was not met yet before `at` overlaps with it.
  bool may_come_to(std::size_t at) const {
    for (std::size_t before = next_; before < at; ++before)
      if (!taken_[before] && !overlap_.possible(simulated_[before].step, simulated_[at].step)) return false;
    return true;
  }

  // `wanted` comes later in the simulation than what is at `at`: they overlap, or this is the end of it.
  bool may_be_passed(std::size_t at, const Request& wanted) const {
    for (std::size_t later = at + 1; later < std::min(simulated_.size(), next_ + window); ++later) {
      if (taken_[later] || !same(wanted, simulated_[later])) continue;
      return overlap_.possible(simulated_[at].step, simulated_[later].step);
    }
    return false;
  }

  const std::vector<Request>& recorded_;
  const std::vector<Request>& simulated_;
  const Overlap& overlap_;
  std::vector<bool> taken_;
  std::vector<std::size_t> pair_of_;  // by recorded request
  std::size_t next_ = 0;              // first simulated one that is not paired
  Comparison out_;
};

constexpr std::size_t farthest_company = 64;  // requests

/// By request: a kick comes right before it.
std::vector<bool> starts_of(const CommandStream& stream, std::uint64_t& empty) {
  std::vector<bool> starts(stream.requests.size());
  for (std::size_t i = 0; i < stream.kicks.size(); ++i) {
    const std::size_t end = i + 1 < stream.kicks.size() ? stream.kicks[i + 1] : stream.requests.size();
    if (stream.kicks[i] < end)
      starts[stream.kicks[i]] = true;
    else
      ++empty;
  }
  return starts;
}

}  // namespace

Comparison compare(const CommandStream& recorded, const CommandStream& simulated, const Overlap& overlap) {
  Matcher matcher{recorded, simulated, overlap};
  Comparison out = matcher.run();
  const std::vector<bool> ours = starts_of(simulated, out.kicks.empty_simulated);
  const std::vector<bool> theirs = starts_of(recorded, out.kicks.empty);
  const auto& pairs = matcher.pairs();
  // Two operations share a kick, or part one, only where they overlap: a request with the one before, in either
  // order.
  const auto with_neighbour = [&](std::size_t at) {
    return at > 0 && at < simulated.requests.size() &&
           overlap.possible(simulated.requests[at - 1].step, simulated.requests[at].step);
  };
  const auto overlaps = [&](std::size_t i) {
    const std::uint32_t step = simulated.requests[pairs[i]].step;
    const bool in_recorded = i > 0 && overlap.possible(simulated.requests[pairs[i - 1]].step, step);
    return in_recorded || with_neighbour(pairs[i]) || with_neighbour(i);
  };
  // One of several CPUs' operations that went on together may have carried a part of this one's requests: any of
  // those around it, between the kicks that are in both.
  const auto in_company = [&](std::size_t i) {
    const std::uint32_t step = simulated.requests[pairs[i]].step;
    const auto in_both = [&](std::size_t at) { return theirs[at] && at < ours.size() && ours[at]; };
    const auto overlaps_with = [&](std::size_t at) {
      return overlap.possible(simulated.requests[pairs[at]].step, step) ||
             overlap.possible(simulated.requests[at].step, step);
    };
    for (std::size_t at = i; at > 0 && i - at < farthest_company; --at) {
      if (overlaps_with(at - 1)) return true;
      if (in_both(at - 1)) break;
    }
    for (std::size_t at = i + 1; at < pairs.size() && at - i < farthest_company; ++at) {
      if (in_both(at)) break;
      if (overlaps_with(at)) return true;
    }
    return false;
  };
  std::optional<std::uint32_t> kick_of;  // the operation whose kick the recording lacks
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    // By place in the order: where two changed places, the kick that carries both stands before the first.
    const bool simulated_kick = i < ours.size() && ours[i];
    const std::uint32_t before = i == 0 ? 0 : simulated.requests[pairs[i - 1]].step;
    // A kick that came after the interrupt's unmaps rather than before them stands behind the last of these.
    const bool moved = theirs[i] && kick_of && overlap.possible(*kick_of, before);
    if (theirs[i] == simulated_kick) {
      out.kicks.equal += theirs[i];
    } else if (!overlaps(i) && !moved && !in_company(i)) {
      ++(recorded.others ? out.kicks.others : out.kicks.unexplained);
    } else {
      ++(theirs[i] ? out.kicks.separate : out.kicks.shared);
      kick_of = theirs[i] ? std::nullopt : std::optional{before};
    }
  }
  return out;
}

std::string context(const CommandStream& recorded, const CommandStream& simulated, const Difference& difference) {
  constexpr std::size_t before = 4, after = 4;
  const auto line = [](const CommandStream& stream, std::size_t at) {
    return at < stream.requests.size() ? to_text(stream.requests[at]) : std::string{"(the end)"};
  };
  std::string text = fmt::format("    {:>8}  {:<48}  {:>8}  {}\n", "", "recorded", "", "simulated");
  const std::size_t back = std::min({before, difference.recorded, difference.simulated});
  for (std::size_t i = 0; i < back + after; ++i) {
    const std::size_t r = difference.recorded - back + i;
    const std::size_t s = difference.simulated - back + i;
    if (r > recorded.requests.size() && s > simulated.requests.size()) break;
    text += fmt::format("  {} {:>8}  {:<48}  {:>8}  {}\n", i == back ? ">" : " ", r, line(recorded, r), s,
                        line(simulated, s));
  }
  return text;
}

}  // namespace gnomon::conform
