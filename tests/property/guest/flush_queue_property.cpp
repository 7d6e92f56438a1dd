// SPDX-License-Identifier: Apache-2.0
// The flush queue against plain bookkeeping: no IOVA leaves before a flush that began after it was queued has
// ended.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <deque>
#include <tuple>
#include <vector>

#include "guest/dma/flush_queue.hpp"

namespace gnomon::guest {
namespace {

constexpr unsigned cpus = 3;

using Step = std::tuple<std::uint8_t, std::uint8_t>;  // what, CPU or flush

// Remembers when everything happened. Time is the number of the event.
class Checker {
 public:
  explicit Checker(bool per_cpu) : per_cpu_(per_cpu), waiting_(per_cpu ? cpus : 1) {}

  void queued(unsigned cpu, std::uint64_t pfn) { queue(cpu).push_back({pfn, ++now_}); }
  void flush_begins() { running_.push_back(++now_); }
  void flush_ends(std::size_t which) {  // not always the oldest: CPUs flush side by side
    const auto it = running_.begin() + static_cast<std::ptrdiff_t>(which % running_.size());
    latest_covered_ = std::max(latest_covered_, *it);
    running_.erase(it);
  }
  // False when the entry was released too early, out of order, or never queued.
  bool released(unsigned cpu, std::uint64_t pfn) {
    auto& entries = queue(cpu);
    if (entries.empty() || entries.front().pfn != pfn) return false;
    const bool covered = entries.front().queued_at < latest_covered_;
    entries.pop_front();
    return covered;
  }
  std::size_t waiting(unsigned cpu) { return queue(cpu).size(); }
  std::size_t running() const { return running_.size(); }

 private:
  struct Entry {
    std::uint64_t pfn;
    std::uint64_t queued_at;
  };
  std::deque<Entry>& queue(unsigned cpu) { return waiting_[per_cpu_ ? cpu : 0]; }

  bool per_cpu_;
  std::vector<std::deque<Entry>> waiting_;
  std::vector<std::uint64_t> running_;  // when each began
  std::uint64_t latest_covered_ = 0;    // the latest beginning of a flush that has ended
  std::uint64_t now_ = 0;
};

struct World {
  World(bool per_cpu, FlushQueueFaults faults)
      : queue({per_cpu, 8, Time::ms(10)}, cpus, faults), checker(per_cpu) {}

  void reap(unsigned cpu) {
    queue.reap(cpu, [&](const FlushQueueEntry& entry) { sound = checker.released(cpu, entry.iova_pfn) && sound; });
  }
  void begin_flush() {
    queue.begin_flush();
    checker.flush_begins();
  }
  void end_flush(std::size_t which) {
    queue.end_flush();
    checker.flush_ends(which);
  }
  void unmap(unsigned cpu) {
    reap(cpu);
    unsigned tries = 0;
    while (queue.needs_flush(cpu)) {
      begin_flush();
      end_flush(checker.running() - 1);
      reap(cpu);
      bounded = bounded && ++tries <= checker.running() + 1;  // one more than the flushes in its way
    }
    queue.push(cpu, ++pfn, 1);
    checker.queued(cpu, pfn);
    if (queue.arm_timer()) ++timers;
    armed_while_waiting = armed_while_waiting && queue.timer_armed();
  }
  void timer() {
    if (timers == 0) return;
    --timers;
    queue.timer_fired();
    begin_flush();
    end_flush(checker.running() - 1);
    for (unsigned cpu = 0; cpu < queue.queues(); ++cpu) reap(cpu);
  }

  FlushQueue queue;
  Checker checker;
  std::uint64_t pfn = 0;
  unsigned timers = 0;  // started and not fired
  bool sound = true;
  bool bounded = true;
  bool armed_while_waiting = true;
};

void run(World& world, const std::vector<Step>& program) {
  for (const auto& [what, which] : program) {
    switch (what % 8) {
      case 0:
        if (world.checker.running() < 3) world.begin_flush();
        break;
      case 1:
        if (world.checker.running() > 0) world.end_flush(which);
        break;
      case 2: world.timer(); break;
      case 3: world.reap(which % cpus); break;
      default: world.unmap(which % cpus); break;
    }
  }
}

rc::Gen<std::vector<Step>> programs() {
  return rc::gen::scale(3.0, rc::gen::arbitrary<std::vector<Step>>());
}

TEST_CASE("No IOVA is released before a flush that began after its unmap has ended", "[property]") {
  const bool per_cpu = GENERATE(true, false);
  CHECK(rc::check("safe and live", [per_cpu] {
    World world(per_cpu, {});
    run(world, *programs());
    RC_ASSERT(world.sound);
    RC_ASSERT(world.bounded);
    RC_ASSERT(world.armed_while_waiting);
    RC_ASSERT(world.timers <= 1u);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) RC_ASSERT(world.queue.queued(cpu) == world.checker.waiting(cpu));

    // Once the flushes under way have ended, one more releases everything.
    while (world.checker.running() > 0) world.end_flush(0);
    world.begin_flush();
    world.end_flush(0);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
      world.reap(cpu);
      RC_ASSERT(world.queue.queued(cpu) == 0u);
      RC_ASSERT(world.checker.waiting(cpu) == 0u);
    }
    RC_ASSERT(world.sound);
  }));
}

TEST_CASE("The checker sees the planted bug", "[property]") {
  const bool per_cpu = GENERATE(true, false);
  CHECK(rc::check("two unmaps on one CPU", [per_cpu] {
    World world(per_cpu, {.reap_without_flush = true});
    run(world, *programs());
    world.unmap(0);
    world.unmap(0);
    RC_ASSERT(!world.sound);
  }));
}

}  // namespace
}  // namespace gnomon::guest
