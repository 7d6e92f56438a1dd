// SPDX-License-Identifier: Apache-2.0
// An I/O's latency, split: every stretch goes where it belongs, and whatever happens nothing is lost.
#include "platform/observe/blame.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <numeric>

#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using namespace gnomon::trace;
using observe::Blame;
using observe::Cause;

namespace {

struct Scene {
  std::unique_ptr<Blame> blame = std::make_unique<Blame>();
  void at(std::uint64_t ns, const Event& event) { blame->on_event(Time::ns(ns), event); }
  std::uint64_t ns(Cause cause) const { return blame->last().parts[static_cast<std::size_t>(cause)] / 1000; }
  std::uint64_t sum() const {
    const auto& parts = blame->last().parts;
    return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0});
  }
};

IoSubmitted submitted(std::uint64_t io, std::uint32_t cpu = 0) {
  return {io, 0, 4096, 0, cpu, Direction::read, 0};
}
IoReaped reaped(std::uint64_t io, std::uint64_t latency_ns, std::uint32_t cpu = 0) {
  return {io, 4096, latency_ns * 1000, 0, cpu, Direction::read, 0};
}
/// Picoseconds, as events carry them.
constexpr std::uint64_t in_ps(std::uint64_t ns) {
  return ns * 1000;
}

}  // namespace

TEST_CASE("each stretch of an I/O goes to its cause", "[blame]") {
  Scene s;
  s.at(0, WindowOpened{1});
  s.at(1000, CpuSpan{0, 0, Activity::task});
  s.at(1000, submitted(1));
  s.at(1300, LockAcquired{in_ps(100), 0, 0});
  // An exit of 600 ns in which the big lock was waited for 50, held for 400, and the invalidation queue waited for
  // 150.
  s.at(1560, LockAcquired{in_ps(50), 1, 0});
  s.at(1600, InvalidationSubmitted{0, 2});
  s.at(1750, InvalidationWaitDone{in_ps(1600)});
  s.at(1960, LockReleased{in_ps(400), 1, 0});
  s.at(2100, VmExit{in_ps(1500), 0, ExitReason::ept_misconfig});
  s.at(2150, LockReleased{in_ps(850), 0, 0});  // the guest's own lock: what its holder did is known
  s.at(2200, IoDispatched{1, 0, 0, 1, 7});
  s.at(2400, CpuSpan{in_ps(1000), 0, Activity::task});
  s.at(5200, trace::CommandTimes{in_ps(300), in_ps(200), in_ps(1500), 0, 1, 7, 0});
  s.at(5900, VmExit{in_ps(2400), 0, ExitReason::hlt});
  s.at(5950, CpuSpan{in_ps(2400), 0, Activity::idle});
  s.at(6000, InterruptTaken{in_ps(5700), 0, 0x30});
  s.at(6500, IoCompleted{1, 0, 0});
  s.at(6600, CpuSpan{in_ps(5950), 0, Activity::interrupt});
  s.at(7000, reaped(1, 6000));
  CHECK(s.blame->misfits() == 0);
  CHECK(s.ns(Cause::lock_wait) == 150);
  CHECK(s.ns(Cause::host_invalidation) == 150);
  CHECK(s.ns(Cause::hypervisor) == 250);
  CHECK(s.ns(Cause::exit) == 150);
  CHECK(s.ns(Cause::guest_cpu) == 500 + 500);
  CHECK(s.ns(Cause::media) == 1500);
  CHECK(s.ns(Cause::iotlb) == 200);
  CHECK(s.ns(Cause::queueing) == 300);
  CHECK(s.ns(Cause::pcie) == 1000);
  CHECK(s.ns(Cause::interrupt) == 700 + 50);  // asleep in the exit, then waking up, still in the idle span
  CHECK(s.ns(Cause::run_queue) == 50 + 500);
  CHECK(s.sum() == in_ps(6000));
  double mean = 0;
  for (const auto& [name, value] : s.blame->values()) mean += value;
  CHECK(mean == Approx(6000.0));
}

TEST_CASE("without VM exits an idle CPU sleeps as long as its span says", "[blame]") {
  Scene s;
  s.at(0, submitted(1));
  s.at(100, IoDispatched{1, 0, 0, 1, 0});
  s.at(150, CpuSpan{0, 0, Activity::task});
  s.at(900, trace::CommandTimes{0, 0, in_ps(800), 0, 1, 0, 0});
  s.at(1300, CpuSpan{in_ps(150), 0, Activity::idle});
  s.at(1300, InterruptTaken{in_ps(950), 0, 0x30});
  s.at(1500, IoCompleted{1, 0, 0});
  s.at(1600, CpuSpan{in_ps(1300), 0, Activity::interrupt});
  s.at(1700, reaped(1, 1700));
  CHECK(s.ns(Cause::interrupt) == 400);
  CHECK(s.ns(Cause::guest_cpu) == 100 + 200);
  CHECK(s.ns(Cause::run_queue) == 200);
  CHECK(s.ns(Cause::media) == 800);
  CHECK(s.blame->misfits() == 0);
}

TEST_CASE("of an I/O's commands the one that completes last is followed, whichever was given first", "[blame]") {
  Scene s;
  s.at(0, submitted(1));
  s.at(100, IoDispatched{1, 0, 0, 1, 0});
  s.at(300, IoDispatched{1, 0, 0, 1, 1});
  s.at(800, trace::CommandTimes{0, 0, in_ps(400), 0, 1, 1, 0});
  s.at(1000, trace::CommandTimes{in_ps(150), 0, in_ps(700), 0, 1, 0, 0});
  s.at(1000, IoCompleted{1, 0, 0});
  s.at(1000, reaped(1, 1000));
  CHECK(s.ns(Cause::guest_cpu) == 100);
  CHECK(s.ns(Cause::media) == 700);
  CHECK(s.ns(Cause::queueing) == 150);
  CHECK(s.ns(Cause::pcie) == 50);
  CHECK(s.sum() == in_ps(1000));
  CHECK(s.blame->misfits() == 0);
}

TEST_CASE("the parts of an I/O are those of the command that completes last, also where another came between", "[blame]") {
  Scene s;
  s.at(0, submitted(1));
  s.at(100, IoDispatched{1, 0, 0, 1, 0});
  s.at(300, IoDispatched{1, 0, 0, 1, 1});
  s.at(800, trace::CommandTimes{0, 0, in_ps(700), 0, 1, 0, 0});
  s.at(1000, trace::CommandTimes{in_ps(150), 0, in_ps(400), 0, 1, 1, 0});
  s.at(1000, IoCompleted{1, 0, 0});
  s.at(1000, reaped(1, 1000));
  CHECK(s.ns(Cause::guest_cpu) == 300);
  CHECK(s.ns(Cause::media) == 400);
  CHECK(s.ns(Cause::queueing) == 150);
  CHECK(s.ns(Cause::pcie) == 150);
  CHECK(s.sum() == in_ps(1000));
  CHECK(s.blame->misfits() == 0);
}

TEST_CASE("however often the guest takes its own locks, what the hypervisor did is known", "[blame]") {
  constexpr std::uint32_t guests = 0, hypervisors = 1;
  Scene s;
  s.blame = std::make_unique<Blame>(hypervisors);
  s.at(0, submitted(1));
  for (std::uint64_t i = 1; i <= 40; ++i) s.at(10 * i, LockReleased{in_ps(5), guests, 0});
  s.at(700, LockReleased{in_ps(200), hypervisors, 0});
  s.at(800, VmExit{in_ps(450), 0, ExitReason::ept_misconfig});
  s.at(900, IoDispatched{1, 0, 0, 1, 0});
  s.at(1500, trace::CommandTimes{0, 0, in_ps(600), 0, 1, 0, 0});
  s.at(1500, IoCompleted{1, 0, 0});
  s.at(1500, reaped(1, 1500));
  CHECK(s.ns(Cause::guest_cpu) == 450 + 100);
  CHECK(s.ns(Cause::exit) == 150);
  CHECK(s.ns(Cause::hypervisor) == 200);
}

TEST_CASE("an I/O whose command found no tag queued until the completion that made room", "[blame]") {
  Scene s;
  s.at(100, submitted(1));
  s.at(200, IoDispatched{1, 0, 0, 1, 0});
  s.at(200, submitted(2));
  s.at(900, trace::CommandTimes{0, 0, in_ps(700), 0, 1, 0, 0});
  s.at(1000, CpuSpan{0, 0, Activity::task});
  s.at(1000, InterruptTaken{in_ps(950), 0, 0x30});
  s.at(1200, IoCompleted{1, 0, 0});
  s.at(1300, IoDispatched{2, 0, 0, 1, 0});
  s.at(1400, CpuSpan{in_ps(1000), 0, Activity::interrupt});
  s.at(1500, reaped(1, 1400));
  CHECK(s.ns(Cause::media) == 700);
  CHECK(s.ns(Cause::run_queue) == 100 + 300);  // the thread went on until the interrupt; then others were served
  s.at(2300, trace::CommandTimes{0, 0, in_ps(1000), 0, 1, 0, 0});
  s.at(2300, IoCompleted{2, 0, 0});
  s.at(2300, reaped(2, 2100));
  CHECK(s.ns(Cause::queueing) == 1000);
  CHECK(s.ns(Cause::guest_cpu) == 100);
  CHECK(s.sum() == in_ps(2100));
  CHECK(s.blame->misfits() == 0);
}

TEST_CASE("a completion finished on another CPU is accounted where its thread waits", "[blame]") {
  Scene s;
  s.at(0, submitted(1, 0));
  s.at(10, IoDispatched{1, 0, 0, 1, 0});
  s.at(500, trace::CommandTimes{0, 0, in_ps(490), 0, 1, 0, 0});
  s.at(600, IoCompleted{1, 1, 0});
  s.at(800, VmExit{in_ps(400), 0, ExitReason::ept_misconfig});  // under way at 600: half of it is the I/O's
  s.at(1000, reaped(1, 1000, 0));
  CHECK(s.sum() == in_ps(1000));
  CHECK(s.blame->misfits() == 0);
}

TEST_CASE("a thousand I/Os in flight are all followed", "[blame]") {
  Scene s;
  constexpr std::uint64_t many = 5000;
  for (std::uint64_t io = 1; io <= many; ++io) s.at(io, submitted(io));
  for (std::uint64_t io = 1; io <= many; ++io) {
    s.at(many + io, reaped(io, many));
    REQUIRE(s.blame->last().io == io);
    REQUIRE(s.sum() == many * 1000);
  }
}

TEST_CASE("whatever the events say, the parts of an I/O sum to the time between its two ends", "[blame]") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    test::RandomEvents events(seed);
    Blame blame;
    std::map<std::uint64_t, std::uint64_t> since;
    std::size_t reaps = 0;
    events.run(4000, [&](Time at, const Event& event) {
      blame.on_event(at, event);
      if (const auto* begun = std::get_if<IoSubmitted>(&event)) since[begun->io] = at.ps();
      const auto* done = std::get_if<IoReaped>(&event);
      if (done == nullptr || !since.contains(done->io)) return;
      ++reaps;
      const auto& parts = blame.last().parts;
      REQUIRE(blame.last().io == done->io);
      REQUIRE(std::accumulate(parts.begin(), parts.end(), std::uint64_t{0}) == at.ps() - since[done->io]);
      REQUIRE(*std::max_element(parts.begin(), parts.end()) <= at.ps() - since[done->io]);
      since.erase(done->io);
    });
    REQUIRE(reaps > 20);
  }
}
