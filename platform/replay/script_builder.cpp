// SPDX-License-Identifier: Apache-2.0
#include "platform/replay/script_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace gnomon::replay {

using gtrace::Direction;
using gtrace::Event;
using gtrace::EventKind;
using guest::ReplayStep;

namespace {

constexpr std::uint64_t page_up(std::uint64_t value) {
  return (value + page_size - 1) & ~(page_size - 1);
}
constexpr std::uint64_t page_down(std::uint64_t value) {
  return value & ~(page_size - 1);
}

guest::DmaAccess access_of(Direction direction) {
  return {direction != Direction::from_device, direction != Direction::to_device};
}

}  // namespace

void ScriptBuilder::step(ReplayStep::Kind kind, std::uint32_t mapping, const Event& event) {
  if (!std::exchange(any_, true)) began_ns_ = event.time_ns;
  ReplayStep step;
  step.kind = kind;
  step.cpu = static_cast<std::uint16_t>(event.lane);
  step.mapping = mapping;
  step.at = Time::ns(event.time_ns > began_ns_ ? event.time_ns - began_ns_ : 0);
  if (event.kind == EventKind::map) step.inside = Time::ns(event.span_ns);
  script_.steps.push_back(step);
  script_.cpus = std::max(script_.cpus, unsigned{step.cpu} + 1);
}

std::uint32_t ScriptBuilder::add_mapping(const Event& event) {
  guest::ReplayMapping mapping;
  mapping.first_run = static_cast<std::uint32_t>(script_.runs.size());
  const bool known = event.kind == EventKind::map && !event.runs.empty();
  if (known) {
    for (const gtrace::Run& run : event.runs) {
      const std::uint64_t start = page_down(run.address);
      script_.runs.push_back({Gpa{start}, page_up(run.address + run.bytes) - start});
    }
  } else {
    const std::uint64_t start = page_down(event.address);
    const std::uint64_t bytes = page_up(event.address + event.bytes) - start;
    const std::uint64_t block = std::bit_ceil(bytes);
    invented_ = (invented_ + block - 1) & ~(block - 1);
    script_.runs.push_back({Gpa{invented_}, bytes});
    invented_ += bytes + page_size;
    if (event.kind == EventKind::map) ++doubts_.unknown_runs;
  }
  mapping.runs = static_cast<std::uint32_t>(script_.runs.size()) - mapping.first_run;
  for (std::size_t i = mapping.first_run; i < script_.runs.size(); ++i) mapping.bytes += script_.runs[i].bytes;
  mapping.access = access_of(event.direction);
  if (event.kind == EventKind::map && event.direction == Direction::unknown) ++doubts_.unknown_directions;
  script_.mappings.push_back(mapping);
  iovas_.push_back(page_down(event.address));
  return static_cast<std::uint32_t>(script_.mappings.size() - 1);
}

void ScriptBuilder::unmap(std::uint32_t mapping, const Event& event) {
  step(ReplayStep::Kind::unmap, mapping, event);
  ++unmaps_;
}

void ScriptBuilder::add(const Event& event) {
  const std::uint64_t iova = page_down(event.address);
  if (event.kind == EventKind::map) {
    if (const auto found = live_.find(iova); found != live_.end()) {
      ++doubts_.dropped_maps;
      unmap(found->second, event);
    }
    const std::uint32_t mapping = add_mapping(event);
    live_.insert_or_assign(iova, mapping);
    step(ReplayStep::Kind::map, mapping, event);
    ++maps_;
  } else if (event.kind == EventKind::unmap) {
    const auto found = live_.find(iova);
    if (found == live_.end()) {
      const std::uint32_t mapping = add_mapping(event);
      unmap(mapping, event);
      prelude_.push_back({ReplayStep::Kind::map, script_.steps.back().cpu, mapping, Time{}, Time{}});
      ++doubts_.mapped_before;
      return;
    }
    const std::uint32_t mapping = found->second;
    if (page_up(event.address + event.bytes) - iova != script_.mappings[mapping].bytes) {
      ++doubts_.partial_unmaps;
      return;
    }
    live_.erase(found);
    unmap(mapping, event);
  }
}

guest::ReplayScript ScriptBuilder::take() {
  script_.prelude = prelude_.size();
  script_.steps.insert(script_.steps.begin(), prelude_.begin(), prelude_.end());
  return std::move(script_);
}

std::vector<std::string> sentences(const Doubts& d) {
  std::vector<std::string> text;
  const auto say = [&](std::uint64_t count, const char* what) {
    if (count != 0) text.push_back(fmt::format("{} {}", count, what));
  };
  say(d.unknown_runs, "mappings whose physical runs the trace does not tell: one run each");
  say(d.unknown_directions, "mappings whose direction the trace does not tell: both");
  say(d.mapped_before, "unmaps of what was mapped before the trace began: mapped before the measured window");
  say(d.partial_unmaps, "unmaps that are of no whole mapping: left out");
  say(d.dropped_maps, "maps where the unmap before them is not in the trace: unmapped then");
  return text;
}

}  // namespace gnomon::replay
