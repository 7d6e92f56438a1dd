// SPDX-License-Identifier: Apache-2.0
#include "guest/replay/replay_workload.hpp"

#include <stdexcept>
#include <utility>

#include "models/base/wide.hpp"

namespace gnomon::guest {

namespace {

// A CPU that has nothing to do for longer goes idle; for less, it is taken to be busy with something else.
constexpr Time busy_for = Time::us(20);

}  // namespace

/// The operations of one CPU.
class ReplayWorkload::Lane final : public Thread, private Timer {
 public:
  Lane(ReplayWorkload& replay, Cpu& cpu) : replay_(replay), cpu_(cpu) {}

  std::vector<std::size_t> steps;  // after the prelude
  std::size_t next = 0;
  std::uint32_t waits_for = no_mapping;

  static constexpr std::uint32_t no_mapping = ~std::uint32_t{0};

  void wake(Cpu& from) { cpu_.wake(*this, from); }
  Cpu& cpu() { return cpu_; }

  bool turn(Cpu& cpu) override {
    const bool ordered = !replay_.window_ || replay_.spec_.pacing == ReplayPacing::ordered;
    return ordered ? turn_in_order(cpu) : turn_in_time(cpu);
  }

 private:
  void expired(Cpu& cpu) override { cpu_.wake(*this, cpu); }

  // This CPU's steps up to the first of another, which is told.
  bool turn_in_order(Cpu& cpu) {
    const ReplayScript& script = replay_.script_;
    const std::size_t end = replay_.spec_.pacing == ReplayPacing::ordered ? script.steps.size() : script.prelude;
    cpu.processor().sync();
    if (replay_.cursor_ >= end || script.steps[replay_.cursor_].cpu != cpu.id()) return false;
    replay_.perform(cpu, script.steps[replay_.cursor_]);
    ++replay_.cursor_;
    replay_.next_in_order(cpu);
    return replay_.cursor_ < end && script.steps[replay_.cursor_].cpu == cpu.id();
  }

  bool turn_in_time(Cpu& cpu) {
    if (next == steps.size()) {
      if (!std::exchange(finished_, true)) replay_.lane_finished(cpu);
      return false;
    }
    const ReplayStep& step = replay_.script_.steps[steps[next]];
    cpu.processor().sync();
    if (!replay_.ready(step)) {
      waits_for = step.mapping;  // another CPU makes the mapping, and wakes this one
      return false;
    }
    const Time due = this->due(step);
    if (due > cpu.now()) {
      if (due - cpu.now() > busy_for) {
        if (!armed()) cpu.arm_at(*this, due);
        return false;
      }
      cpu.processor().spend(due - cpu.now());
    }
    replay_.perform(cpu, step);
    cpu.processor().sync();
    ended_at_ = cpu.now();
    ++next;
    return true;
  }

  Time due(const ReplayStep& step) const {
    if (replay_.spec_.pacing == ReplayPacing::open) return replay_.began_ + replay_.scaled(step.at);
    if (next == 0) return replay_.began_ + replay_.scaled(step.at);
    const ReplayStep& before = replay_.script_.steps[steps[next - 1]];
    const Time gap = step.at - before.at;
    return ended_at_ + replay_.scaled(gap > before.inside ? gap - before.inside : Time{});
  }

  ReplayWorkload& replay_;
  Cpu& cpu_;
  Time ended_at_;
  bool finished_ = false;
};

ReplayWorkload::ReplayWorkload(const ReplaySpec& spec, DmaDevice& dma, ReplayDevice* device, std::vector<Cpu*> cpus,
                               GuestPages& pages)
    : spec_(spec),
      script_(*spec.script),
      dma_(dma),
      device_(device),
      translated_(dynamic_cast<TranslatedDma*>(&dma)),
      memory_(script_.runs, pages),
      mappings_(script_.mappings.size()) {
  if (script_.cpus > cpus.size()) throw std::invalid_argument("a trace of more CPUs than the guest has");
  if (spec.pacing == ReplayPacing::ordered && translated_ == nullptr)
    throw std::invalid_argument("a recorded order needs a device that is translated");
  placed_.reserve(script_.runs.size());
  for (const Run& run : script_.runs) placed_.push_back({memory_.place(run.start), run.bytes});
  for (Cpu* cpu : cpus) lanes_.push_back(std::make_unique<Lane>(*this, *cpu));
  for (std::size_t i = script_.prelude; i < script_.steps.size(); ++i)
    lanes_[script_.steps[i].cpu]->steps.push_back(i);
}

ReplayWorkload::~ReplayWorkload() = default;

Time ReplayWorkload::scaled(Time recorded) const {
  return Time::ps(static_cast<std::uint64_t>(Wide{recorded.ps()} * 1'000'000 / spec_.rate_ppm));
}

void ReplayWorkload::start(Cpu& cpu, std::function<void(Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu.processor().sync();
  next_in_order(cpu);
}

/// Who is next where order alone counts; the window opens after the prelude.
void ReplayWorkload::next_in_order(Cpu& cpu) {
  if (cursor_ == script_.prelude && !window_) {
    begin_window(cpu);
    if (spec_.pacing != ReplayPacing::ordered) return;
  }
  if (cursor_ < script_.steps.size()) {
    Lane& lane = *lanes_[script_.steps[cursor_].cpu];
    if (lane.cpu().id() != cpu.id() || cursor_ == 0) lane.wake(cpu);
  } else if (spec_.pacing == ReplayPacing::ordered) {
    cpu.emit(trace::WindowClosed{1});
    on_done_(cpu);
  }
}

void ReplayWorkload::begin_window(Cpu& cpu) {
  cpu.emit(trace::WindowOpened{lanes_.size()});
  window_ = true;
  began_ = cpu.now();
  if (spec_.pacing == ReplayPacing::ordered) {
    if (cursor_ < script_.steps.size()) lanes_[script_.steps[cursor_].cpu]->wake(cpu);
    return;
  }
  running_ = lanes_.size();
  for (const auto& lane : lanes_) lane->wake(cpu);
}

void ReplayWorkload::lane_finished(Cpu& cpu) {
  if (--running_ > 0) return;
  cpu.emit(trace::WindowClosed{lanes_.size()});
  on_done_(cpu);
}

bool ReplayWorkload::ready(const ReplayStep& step) const {
  return step.kind != ReplayStep::Kind::unmap || mappings_[step.mapping].state >= State::mapped;
}

void ReplayWorkload::perform(Cpu& cpu, const ReplayStep& step) {
  using Kind = ReplayStep::Kind;
  if (step.kind == Kind::flush_timer) return translated_->flush_timer_fired(cpu, step.mapping);
  if (step.kind == Kind::depot_trim) return translated_->depot_work_ran(cpu, step.mapping);
  Mapping& mapping = mappings_[step.mapping];
  switch (step.kind) {
    case Kind::allocate:
      if (translated_->allocate(cpu, script_.mappings[step.mapping].bytes, mapping.iova) == 0)
        mapping.state = State::allocated;
      break;
    case Kind::map: map(cpu, mapping, step.mapping); break;
    case Kind::unmap:
      if (mapping.state == State::mapped) {
        dma_.unmap(cpu, mapping.dma);
        ++unmaps_;
      } else {
        ++skipped_unmaps_;
      }
      mapping.state = State::to_come;
      break;
    case Kind::flush_timer:
    case Kind::depot_trim: break;
  }
}

void ReplayWorkload::map(Cpu& cpu, Mapping& mapping, std::uint32_t number) {
  const ReplayMapping& wanted = script_.mappings[number];
  const std::span<const Run> runs{placed_.data() + wanted.first_run, wanted.runs};
  const int error = mapping.state == State::allocated
                        ? translated_->map_at(cpu, mapping.iova, runs, wanted.access, mapping.dma)
                        : dma_.map(cpu, runs, wanted.access, mapping.dma);
  mapping.state = error == 0 ? State::mapped : State::failed;
  ++maps_;
  if (error != 0) ++failed_maps_;
  if (error == 0 && device_ != nullptr) {
    cpu.processor().sync();
    device_->access(mapping.dma, wanted.access);
  }
  for (const auto& lane : lanes_) {
    if (lane->waits_for != number) continue;
    lane->waits_for = Lane::no_mapping;
    lane->wake(cpu);
  }
}

std::vector<WorkloadOutput> ReplayWorkload::outputs(Time /*now*/) const {
  std::string text = "maps: " + std::to_string(maps_) + "\nunmaps: " + std::to_string(unmaps_) + "\n";
  text += "maps that failed: " + std::to_string(failed_maps_) +
          "\nunmaps of mappings that failed: " + std::to_string(skipped_unmaps_) + "\n";
  if (device_ != nullptr)
    text += "pages the device accessed: " + std::to_string(device_->accesses()) +
            "\nof them refused: " + std::to_string(device_->refused()) + "\n";
  return {{"replay.txt", text}};
}

}  // namespace gnomon::guest
