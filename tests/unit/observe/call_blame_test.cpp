// SPDX-License-Identifier: Apache-2.0
// A call's time, split: what its CPU did before it began is not its own, and nothing of it is lost.
#include "platform/observe/call_blame.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using namespace gnomon::trace;
using observe::CallBlame;
using Cause = CallBlame::Cause;

namespace {

constexpr std::uint64_t in_ps(std::uint64_t ns) {
  return ns * 1000;
}

struct Scene {
  CallBlame blame;
  void at(std::uint64_t ns, const Event& event) { blame.on_event(Time::ns(ns), event); }
  std::uint64_t ns(Cause cause) const { return blame.last().parts[static_cast<std::size_t>(cause)] / 1000; }
  double value(const std::string& name) const {
    for (const auto& [metric, value] : blame.values())
      if (metric == name) return value;
    return -1;
  }
};

std::uint64_t sum_of(const CallBlame::Split& split) {
  return std::accumulate(split.parts.begin(), split.parts.end(), std::uint64_t{0});
}

}  // namespace

TEST_CASE("each stretch of a call goes to its cause, and what came before it to none", "[call-blame]") {
  Scene s;
  s.at(0, WindowOpened{1});
  s.at(900, VmExit{in_ps(400), 0, ExitReason::ept_misconfig});    // before the call
  s.at(1100, LockAcquired{in_ps(150), 0, 0});                     // 50 of it before
  s.at(1200, VmExit{in_ps(1150), 1, ExitReason::ept_misconfig});  // another CPU's
  // An exit of 600: 50 for the big lock, held for 400, of which 150 for the invalidation queue.
  s.at(1560, LockAcquired{in_ps(50), 1, 0});
  s.at(1600, InvalidationSubmitted{0, 2});
  s.at(1750, InvalidationWaitDone{in_ps(1600)});
  s.at(1960, LockReleased{in_ps(400), 1, 0});
  s.at(2100, VmExit{in_ps(1500), 0, ExitReason::ept_misconfig});
  s.at(2200, InterruptTaken{in_ps(2200), 0, 0x30});
  s.at(2230, CpuSpan{in_ps(2200), 0, Activity::interrupt});
  s.at(2400, MapReturned{0, 4096, in_ps(1400), 1, 0, 1, 0});
  CHECK(s.blame.last().took == in_ps(1400));
  CHECK(s.ns(Cause::lock_wait) == 100 + 50);
  CHECK(s.ns(Cause::host_invalidation) == 150);
  CHECK(s.ns(Cause::hypervisor) == 250);
  CHECK(s.ns(Cause::exit) == 150);
  CHECK(s.ns(Cause::interrupt) == 30);
  CHECK(s.ns(Cause::guest_cpu) == 1400 - 150 - 150 - 250 - 150 - 30);
  CHECK(s.value("blame.map.exit_ns") == 150);
  CHECK(s.value("blame.unmap.exit_ns") == -1);
}

TEST_CASE("a full queue's flush is the unmap's that found it full, the timer's is nobody's", "[call-blame]") {
  Scene s;
  s.at(0, WindowOpened{1});
  s.at(1000, UnmapReturned{0, 4096, in_ps(200), 1, 0, 1, 0});
  s.at(1300, UnmapReturned{0, 4096, in_ps(200), 1, 0, 1, 0});
  s.at(1340, LockAcquired{in_ps(30), 0, 0});
  s.at(1900, VmExit{in_ps(1400), 0, ExitReason::ept_misconfig});
  s.at(1950, FlushQueueFlushed{in_ps(1350), 1, 0, FlushCause::full, 0});
  CHECK(s.blame.last().took == in_ps(650));
  CHECK(s.value("blame.unmap.exit_ns") == 250);
  CHECK(s.value("blame.unmap.lock_wait_ns") == 15);
  CHECK(s.value("blame.unmap.guest_cpu_ns") == (200 + 200 + 650 - 500 - 30) / 2.0);
  s.at(4000, VmExit{in_ps(3000), 1, ExitReason::hlt});
  s.at(4050, CpuSpan{in_ps(3000), 1, Activity::idle});
  s.at(5000, VmExit{in_ps(4600), 1, ExitReason::ept_misconfig});
  s.at(5100, FlushQueueFlushed{in_ps(4500), 1, 1, FlushCause::timer, 0});
  CHECK(s.value("blame.flush.exit_ns") == 400);
  CHECK(s.value("blame.flush.guest_cpu_ns") == 200);
  CHECK(s.value("blame.unmap.exit_ns") == 250);
}

TEST_CASE("calls outside the measured window do not count", "[call-blame]") {
  Scene s;
  s.at(1000, MapReturned{0, 4096, in_ps(200), 1, 0, 1, 0});
  CHECK(s.blame.values().empty());
}

TEST_CASE("whatever the events say, the parts of a call sum to its time", "[call-blame]") {
  CallBlame blame;
  test::RandomEvents events(GENERATE(range(1, 9)));
  std::uint64_t calls = 0;
  events.run(20'000, [&](Time at, const Event& event) {
    blame.on_event(at, event);
    std::uint64_t took = 0;
    if (const auto* map = std::get_if<MapReturned>(&event)) took = map->took_ps;
    if (const auto* unmap = std::get_if<UnmapReturned>(&event)) took = unmap->took_ps;
    if (took == 0) return;
    ++calls;
    REQUIRE(blame.last().took == took);
    REQUIRE(sum_of(blame.last()) == took);
  });
  CHECK(calls > 0);
}
