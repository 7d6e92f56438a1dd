// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "guest/kernel/cpu.hpp"

namespace gnomon::conform {
namespace {

constexpr std::size_t kinds = static_cast<std::size_t>(Request::Kind::other) + 1;
std::array<std::uint64_t, kinds> counts_of(const CommandStream& stream) {
  std::array<std::uint64_t, kinds> counts{};
  for (const Request& request : stream.requests) ++counts[static_cast<std::size_t>(request.kind)];
  return counts;
}

std::string row(const char* what, std::uint64_t recorded, std::uint64_t simulated) {
  return fmt::format("    {:<28}{:>10}{:>12}\n", what, recorded, simulated);
}

class Writer {
 public:
  explicit Writer(const ReportInput& input) : in_(input) {}

  Verdict run() {
    out_.text = fmt::format("{}\n  guest: {}\n  driven by {}\n", in_.title, in_.guest, in_.driven_by);
    if (!in_.job_difference.empty())
      fail(fmt::format("the trace is not what the job does: {}", in_.job_difference));
    iovas();
    flushes();
    if (in_.recorded != nullptr)
      commands();
    else if (!in_.note.empty())
      out_.text += "  commands: " + in_.note + "\n";
    else
      out_.text += "  commands: the trace has no log of the vIOMMU; nothing to compare\n";
    out_.text += out_.conforms ? "  conforms\n" : "  DOES NOT CONFORM\n";
    return out_;
  }

 private:
  void fail(const std::string& what) {
    out_.conforms = false;
    out_.text += "  " + what + "\n";
  }

  void iovas() {
    const Schedule& s = in_.schedule;
    const auto& ours = in_.simulated.iovas();
    const std::size_t common = std::min(ours.size(), s.iovas.size());
    const auto parted =
        std::mismatch(s.iovas.begin(), s.iovas.begin() + static_cast<std::ptrdiff_t>(common), ours.begin());
    const auto equal = static_cast<std::size_t>(parted.first - s.iovas.begin());
    const bool all = equal == s.iovas.size() && equal == ours.size() && !s.mismatch;
    if (all) {
      out_.text += fmt::format("  IOVAs: all {} equal; ", s.maps);
    } else if (equal < common) {
      fail(fmt::format("IOVAs: the first difference is map {} of {}: recorded {:#x}, simulated {:#x}", equal,
                       s.maps, *parted.first, *parted.second));
    } else {
      fail(fmt::format("IOVAs: {} of {} maps were simulated", ours.size(), s.maps));
    }
    if (!all) out_.text += "    ";
    out_.text += fmt::format("{} free in magazines before the trace, {} allocated before an interrupt's unmaps\n",
                             s.free_before, s.interrupted);
    if (s.unknown_runs != 0)
      out_.text += fmt::format("  {} mappings whose physical runs the trace does not tell: taken as one each\n",
                               s.unknown_runs);
    if (s.overtaken != 0)
      out_.text +=
          fmt::format("    {} allocated before a map of another CPU whose event came first\n", s.overtaken);
    if (s.delayed_flushes + s.left_queues != 0)
      out_.text += fmt::format(
          "    {} flushes began after unmaps of another CPU; {} times a CPU freed what was in its queue before the "
          "timer came to it\n",
          s.delayed_flushes, s.left_queues);
    if (s.depot_trims != 0)
      out_.text += fmt::format(
          "    {} magazines of a depot went back to the tree, {} of them at another time than their delay's end\n",
          s.depot_trims, s.moved_trims);
    if (in_.recording.unnamed != 0)
      out_.text += fmt::format("  {} maps and unmaps whose device the trace does not tell are not compared\n",
                               in_.recording.unnamed);
    if (in_.recording.mapped_before != 0)
      out_.text += fmt::format("  {} unmaps of what was mapped before the trace are left out\n",
                               in_.recording.mapped_before);
  }

  void flushes() {
    const Schedule& s = in_.schedule;
    if (s.timer_flushes + s.full_flushes == 0) return;
    out_.text += fmt::format("  flush queue: {} full, which follow from the order; {} by the timer", s.full_flushes,
                             s.timer_flushes);
    if (s.unmarked_timer_flushes != 0)
      out_.text += fmt::format(" ({} of them seen by what they did)", s.unmarked_timer_flushes);
    out_.text += "\n";
    if (in_.simulated.full_flushes() != s.full_flushes || in_.simulated.timer_flushes() != s.timer_flushes)
      fail(fmt::format("the simulated guest flushed {} times full, {} by the timer", in_.simulated.full_flushes(),
                       in_.simulated.timer_flushes()));
    timer_delays();
  }

  // The wheel never fires early: what the timeout rounds to in jiffies is the least, and the tick that follows the
  // most, unless the softirq has to wait.
  void timer_delays() {
    const TimerDelays& d = in_.schedule.delays;
    if (d.count == 0) return;
    const std::uint64_t tick_ns = 1'000'000'000 / in_.hz;
    const std::uint64_t jiffies = (in_.flush_timeout.ns() + tick_ns - 1) / tick_ns;
    const std::uint64_t earliest = jiffies * tick_ns;
    const std::uint64_t latest = guest::timer_wheel_expiry(0, jiffies) * tick_ns;
    std::vector<std::uint64_t> all = d.all_ns;
    std::sort(all.begin(), all.end());
    constexpr std::uint64_t clock_slack = 500'000;  // the tick and the trace read different clocks
    const auto late = std::count_if(all.begin(), all.end(), [&](auto ns) { return ns > latest + clock_slack; });
    out_.text += fmt::format(
        "    timer, from the entry that armed it: {:.1f} to {:.1f} ms, median {:.1f}; {} jiffies of {} Hz are "
        "{:.0f} "
        "to {:.0f} ms; {} fired later, held up\n",
        static_cast<double>(d.shortest_ns) * 1e-6, static_cast<double>(d.longest_ns) * 1e-6,
        static_cast<double>(all[all.size() / 2]) * 1e-6, jiffies, in_.hz, static_cast<double>(earliest) * 1e-6,
        static_cast<double>(latest) * 1e-6, late);
    const auto early = std::count_if(all.begin(), all.end(), [&](auto ns) { return ns + clock_slack < earliest; });
    if (early != 0)
      out_.text +=
          fmt::format("    {} fired sooner: a late tick had left jiffies behind when they were armed\n", early);
    if (d.shortest_ns + tick_ns < earliest) fail("a timer fired before its time");
  }

  void commands() {
    const CommandStream& theirs = in_.recorded->stream;
    CommandStream ours = in_.simulated.stream();
    leave_out_unannounced(theirs, ours);
    std::vector<guest::ReplayStep> steps;
    for (std::size_t i = in_.schedule.script.prelude; i < in_.schedule.script.steps.size(); ++i)
      if (in_.schedule.script.steps[i].kind < guest::ReplayStep::Kind::allocate ||
          in_.schedule.script.steps[i].kind == guest::ReplayStep::Kind::flush_timer)
        steps.push_back(in_.schedule.script.steps[i]);
    forget_unknown_directions(steps, ours);
    const Overlap overlap{steps};
    const Comparison c = compare(theirs, ours, overlap);
    out_.text += fmt::format("    {:<28}{:>10}{:>12}\n", "commands", "recorded", "simulated");
    const auto recorded = counts_of(theirs);
    const auto simulated = counts_of(ours);
    for (std::size_t i = 0; i < kinds; ++i)
      if (recorded[i] + simulated[i] != 0)
        out_.text += row(name_of(static_cast<Request::Kind>(i)), recorded[i], simulated[i]);
    const bool virtio = in_.recorded->unit == Unit::virtio_iommu;
    out_.text += row(virtio ? "notifications" : "tail writes", theirs.kicks.size(), ours.kicks.size());
    if (c.first) {
      fail(fmt::format("commands: the first difference is request {} of {}", c.first->recorded,
                       theirs.requests.size()));
      out_.text += context(theirs, ours, *c.first);
    } else {
      out_.text += fmt::format("  commands: all {} equal; {} in another order within overlapping operations\n",
                               theirs.requests.size(), c.exchanged);
    }
    kicks(c, virtio);
  }

  /// What a lazy guest has queued when the trace ends goes with a kick that is no more in it, and QEMU never saw
  /// it.
  void leave_out_unannounced(const CommandStream& theirs, CommandStream& ours) {
    const std::size_t sent = std::max(in_.simulated.announced(), theirs.requests.size());
    if (ours.requests.size() <= sent) return;
    out_.text += fmt::format("  {} requests were queued and not announced when the trace ended: left out\n",
                             ours.requests.size() - sent);
    ours.requests.resize(sent);
  }

  /// Where the guest's trace does not tell a mapping's direction, neither is what the device may do with it
  /// compared.
  void forget_unknown_directions(const std::vector<guest::ReplayStep>& steps, CommandStream& ours) {
    const std::size_t own = in_.schedule.script.mappings.size() - in_.recording.mappings.size();  // of the prelude
    std::uint64_t maps = 0;
    for (Request& request : ours.requests) {
      if (request.kind != Request::Kind::map || request.step >= steps.size()) continue;
      const std::size_t mapping = steps[request.step].mapping;
      if (mapping < own || in_.recording.mappings[mapping - own].direction != gtrace::Direction::unknown) continue;
      request.flags = unknown;
      ++maps;
    }
    if (maps != 0)
      out_.text += fmt::format("  {} MAPs whose direction the trace does not tell: flags are not compared\n", maps);
  }

  void kicks(const Comparison& c, bool virtio) {
    const KickCounts& k = c.kicks;
    out_.text += fmt::format("  {}: {} before the same request", virtio ? "notifications" : "tail writes", k.equal);
    const auto name = [&](std::uint64_t count, const char* what) {
      if (count != 0) out_.text += fmt::format("; {} {}", count, what);
    };
    name(k.shared, "recorded requests went with the notification of an overlapping operation");
    name(k.separate, "recorded notifications split what overlapping operations send with one");
    name(k.others, "in one of the two only: they may be shared with another device's requests");
    name(k.empty, "recorded with nothing left to announce");
    name(k.empty_simulated, "simulated with nothing left to announce");
    out_.text += "\n";
    if (!c.first && k.unexplained != 0)
      fail(fmt::format("{} differ: {} are in one of the two only, and no overlap explains it",
                       virtio ? "notifications" : "tail writes", k.unexplained));
    if (!virtio && !c.first && (k.shared + k.separate + k.empty + k.empty_simulated) != 0)
      fail("tail writes differ, and nothing shares one");
  }

  const ReportInput& in_;
  Verdict out_;
};

}  // namespace

Verdict report(const ReportInput& input) {
  return Writer{input}.run();
}

}  // namespace gnomon::conform
