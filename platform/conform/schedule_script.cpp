// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/schedule_script.hpp"

#include <algorithm>
#include <bit>
#include <map>

namespace gnomon::conform {

using guest::ReplayStep;
using Kind = RecordedStep::Kind;

namespace {

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
void put_prelude(guest::ReplayScript& script, bool lazy, const Hypothesis& h) {
  std::map<std::uint64_t, std::uint32_t> mapping_of;  // by page
  std::uint64_t invented = std::uint64_t{1} << 52;
  const auto step = [&](ReplayStep::Kind kind, std::uint16_t cpu, std::uint32_t mapping) {
    script.steps.push_back({kind, cpu, mapping, Time{}, Time{}});
  };
  for (const Seed& seed : from_the_top(h.seeds)) {
    const std::uint64_t bytes = seed.pages << page_shift;
    invented = (invented + 2 * bytes - 1) & ~(bytes - 1);
    const std::uint32_t mapping = add_mapping(script, {{Gpa{invented}, bytes}}, {true, true});
    mapping_of.emplace(seed.pfn, mapping);
    step(ReplayStep::Kind::map, 0, mapping);
  }
  for (auto seed = h.seeds.rbegin(); seed != h.seeds.rend(); ++seed) {
    step(ReplayStep::Kind::unmap, seed->cpu, mapping_of.at(seed->pfn));
    const bool last = std::next(seed) == h.seeds.rend() || std::next(seed)->cpu != seed->cpu;
    if (lazy && last) step(ReplayStep::Kind::flush_timer, seed->cpu, 0);
  }
  script.prelude = script.steps.size();
}

}  // namespace

Schedule script_of(const Recording& recording, const ScheduleOptions& options, const Hypothesis& h,
                   const TrialLog& log) {
  Schedule s;
  guest::ReplayScript& script = s.script;
  script.cpus = std::max(options.cpus, recording.cpus);
  script.occupied = occupied(h);
  put_prelude(script, options.lazy, h);

  std::vector<std::uint32_t> mapping_of(recording.mappings.size());
  std::uint64_t invented = std::uint64_t{1} << 53;  // for runs that the trace does not tell
  for (std::size_t i = 0; i < recording.mappings.size(); ++i) {
    const RecordedMapping& recorded = recording.mappings[i];
    std::vector<guest::Run> runs;
    for (const gtrace::Run& run : recorded.runs) runs.push_back({Gpa{run.address}, run.bytes});
    if (runs.empty()) {
      const std::uint64_t block = std::bit_ceil(recorded.bytes);
      invented = (invented + block - 1) & ~(block - 1);
      runs.push_back({Gpa{invented}, recorded.bytes});
      invented += recorded.bytes + page_size;
      ++s.unknown_runs;
    }
    mapping_of[i] = add_mapping(
        script, runs,
        {recorded.direction != gtrace::Direction::from_device, recorded.direction != gtrace::Direction::to_device});
  }
  const auto put = [&](ReplayStep::Kind kind, unsigned cpu, std::uint32_t argument) {
    script.steps.push_back({kind, static_cast<std::uint16_t>(cpu), argument, Time{}, Time{}});
  };
  const auto put_step = [&](std::size_t i) {
    const RecordedStep& step = recording.steps[i];
    if (log.timer_at[i]) {
      const auto left = h.left.find(i);
      put(ReplayStep::Kind::flush_timer, step.cpu,
          left == h.left.end() ? 0 : static_cast<std::uint32_t>(left->second));
    }
    if (step.kind == Kind::map) put(ReplayStep::Kind::map, step.cpu, mapping_of[step.mapping]);
    if (step.kind == Kind::unmap) put(ReplayStep::Kind::unmap, step.cpu, mapping_of[step.mapping]);
  };
  auto trim = log.trims.begin();
  for (std::size_t i = 0; i < recording.steps.size(); ++i) {
    for (; trim != log.trims.end() && trim->step == i; ++trim)
      put(ReplayStep::Kind::depot_trim, trim->cpu, trim->size_class);
    for (auto at = h.early_at.lower_bound(i); at != h.early_at.end() && at->first == i; ++at) {
      const RecordedStep& early = recording.steps[at->second];
      put(ReplayStep::Kind::allocate, early.cpu, mapping_of[early.mapping]);
    }
    for (auto at = h.late_at.lower_bound(i); at != h.late_at.end() && at->first == i; ++at) put_step(at->second);
    if (!h.late.contains(i)) put_step(i);
  }
  return s;
}

}  // namespace gnomon::conform
