// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/vcd_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace gnomon::observe {

namespace {

constexpr std::size_t most_changes = 1 << 16;
constexpr std::size_t text_bytes = 64 * 1024;
constexpr std::uint32_t signals_per_cpu = 3;  // state, exit, spin

const trace::KindSet drawn =
    trace::kinds<trace::IoSubmitted, trace::IoReaped, trace::IoDispatched, trace::CommandCompleted, trace::CpuSpan,
                 trace::VmExit, trace::LockAcquired, trace::LockReleased, trace::GuestRequest, trace::RequestServed,
                 trace::UnmapReturned, trace::FlushQueueFlushed, trace::DmaBurst, trace::InvalidationSubmitted,
                 trace::InvalidationWaitDone>();

/// A signal's short name in the file: printable, without a space (18.2.1).
std::string code_of(std::size_t number) {
  std::string code;
  do {
    code += static_cast<char>('!' + number % 94);
    number /= 94;
  } while (number > 0);
  return code;
}

std::string legal(std::string name) {
  for (char& c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!word) c = '_';
  }
  return name;
}

}  // namespace

VcdTrace::VcdTrace(VcdOptions options) : options_(std::move(options)), file_(options_.path) {
  heap_.reserve(most_changes);
  header();
}

std::uint32_t VcdTrace::add(std::string name, unsigned width) {
  signals_.push_back({std::move(name), width, 0});
  return static_cast<std::uint32_t>(signals_.size() - 1);
}

void VcdTrace::declare(std::size_t first, std::size_t count, const std::string& scope) {
  text_ += fmt::format("$scope module {} $end\n", scope);
  for (std::size_t i = first; i < first + count; ++i)
    text_ += fmt::format("$var wire {} {} {} $end\n", signals_[i].width, code_of(i), signals_[i].name);
  text_ += "$upscope $end\n";
}

void VcdTrace::header() {
  // No $date: the same run writes the same file.
  text_ = "$version gnomon $end\n$timescale 1 ps $end\n$scope module gnomon $end\n";
  for (unsigned cpu = 0; cpu < options_.cpus; ++cpu) {
    add("state", 2);
    add("exit", 1);
    add("spin", 1);
    declare(cpu * signals_per_cpu, signals_per_cpu, fmt::format("cpu{}", cpu));
  }
  first_lock_ = static_cast<std::uint32_t>(signals_.size());
  for (const std::string& name : options_.locks) add(legal(name), 16);
  declare(first_lock_, options_.locks.size(), "lock");
  request_ = add("request", 16);
  flush_ = add("flush", 32);
  nvme_ = add("nvme", 32);
  declare(request_, 3, "queue");
  in_flight_ = add("in_flight", 32);
  declare(in_flight_, 1, "io");
  hit_ = add("iotlb_hit", 1);
  invalidations_ = add("invalidations", 16);
  declare(hit_, 2, "iommu");
  text_ += "$upscope $end\n$enddefinitions $end\n#0\n$dumpvars\n";
  for (std::uint32_t i = 0; i < signals_.size(); ++i) put_value(signals_[i], i);
  text_ += "$end\n";
}

void VcdTrace::put_value(const Signal& signal, std::uint32_t number) {
  if (signal.width == 1) {
    text_ += static_cast<char>('0' + (signal.value & 1));
  } else {
    fmt::format_to(std::back_inserter(text_), "b{:b} ", signal.value);
  }
  text_ += code_of(number);
  text_ += '\n';
}

trace::KindSet VcdTrace::wants() const {
  return drawn;
}

void VcdTrace::change(std::uint64_t at, std::uint32_t signal, std::uint32_t value) {
  if (heap_.size() == most_changes) write_until(most_changes / 2);
  heap_.push_back({std::max(at, written_at_), order_++, signal, value});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

void VcdTrace::span(std::uint32_t signal, std::uint64_t began, std::uint64_t ended, std::uint32_t value) {
  if (ended <= began) return;
  change(began, signal, value);
  change(ended, signal, 0);
}

void VcdTrace::count(std::uint64_t at, std::uint32_t signal, std::uint32_t& depth, std::int64_t by) {
  depth = static_cast<std::uint32_t>(std::max<std::int64_t>(0, std::int64_t{depth} + by));
  change(at, signal, depth);
}

/// Writes the earliest changes until so many are left. Of several changes of a signal at one instant the last
/// counts.
void VcdTrace::write_until(std::size_t left) {
  while (heap_.size() > left) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Change next = heap_.back();
    heap_.pop_back();
    if (!heap_.empty() && heap_.front().at == next.at && heap_.front().signal == next.signal) continue;
    Signal& signal = signals_[next.signal];
    if (signal.value == next.value) continue;
    if (!marked_ || next.at != written_at_) {
      fmt::format_to(std::back_inserter(text_), "#{}\n", next.at);
      written_at_ = next.at;
      marked_ = true;
    }
    signal.value = next.value;
    put_value(signal, next.signal);
    if (text_.size() < text_bytes) continue;
    file_.write(text_);
    text_.clear();
  }
}

void VcdTrace::on_event(Time at, const trace::Event& event) {
  if (!drawn.test(event.index())) return;  // the dump ends with the last event it shows
  const std::uint64_t now = at.ps();
  last_ = now;
  const auto before = [now](std::uint64_t took) { return now - std::min(now, took); };
  if (const auto* burst = std::get_if<trace::DmaBurst>(&event)) {
    change(now, hit_, burst->iotlb_hit != 0 ? 1 : 0);
  } else if (const auto* cpu = std::get_if<trace::CpuSpan>(&event)) {
    if (cpu->cpu >= options_.cpus || cpu->activity > trace::Activity::softirq) return;
    span(cpu->cpu * signals_per_cpu, cpu->began_ps, now, 1 + static_cast<std::uint32_t>(cpu->activity));
  } else if (const auto* exit = std::get_if<trace::VmExit>(&event)) {
    if (exit->cpu >= options_.cpus || exit->reason == trace::ExitReason::hlt) return;
    span(exit->cpu * signals_per_cpu + 1, exit->began_ps, now, 1);
  } else if (const auto* taken = std::get_if<trace::LockAcquired>(&event)) {
    if (taken->cpu < options_.cpus) span(taken->cpu * signals_per_cpu + 2, before(taken->waited_ps), now, 1);
  } else if (const auto* released = std::get_if<trace::LockReleased>(&event)) {
    if (released->lock >= options_.locks.size()) return;
    span(first_lock_ + released->lock, before(released->held_ps), now, released->cpu + 1);
  } else if (std::holds_alternative<trace::IoSubmitted>(event)) {
    count(now, in_flight_, depth_[3], 1);
  } else if (std::holds_alternative<trace::IoReaped>(event)) {
    count(now, in_flight_, depth_[3], -1);
  } else if (std::holds_alternative<trace::IoDispatched>(event)) {
    count(now, nvme_, depth_[2], 1);
  } else if (const auto* done = std::get_if<trace::CommandCompleted>(&event)) {
    if (done->queue != 0) count(now, nvme_, depth_[2], -1);
  } else if (std::holds_alternative<trace::GuestRequest>(event)) {
    count(now, request_, depth_[0], 1);
  } else if (std::holds_alternative<trace::RequestServed>(event)) {
    count(now, request_, depth_[0], -1);
  } else if (const auto* unmapped = std::get_if<trace::UnmapReturned>(&event)) {
    if (unmapped->deferred != 0) count(now, flush_, depth_[1], 1);
  } else if (std::holds_alternative<trace::FlushQueueFlushed>(event)) {
    count(now, flush_, depth_[1], -std::int64_t{depth_[1]});
  } else if (std::holds_alternative<trace::InvalidationSubmitted>(event)) {
    count(now, invalidations_, depth_[4], 1);
  } else if (std::holds_alternative<trace::InvalidationWaitDone>(event)) {
    count(now, invalidations_, depth_[4], -1);
  }
}

std::error_code VcdTrace::close() {
  write_until(0);
  if (last_ > written_at_) fmt::format_to(std::back_inserter(text_), "#{}\n", last_);
  file_.write(text_);
  return file_.close();
}

}  // namespace gnomon::observe
