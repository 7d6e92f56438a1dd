// SPDX-License-Identifier: Apache-2.0
// How long unmapped memory stays reachable, and when the flush queue's timer fires.
#include <catch2/catch.hpp>

#include "tests/support/time_text.hpp"
#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

double ns(Time t) {
  return static_cast<double>(t.ps()) * 1e-3;
}

/// From each deferred unmap that armed the timer to the start of the flush it brought.
std::vector<Time> timer_waits(const Events& events) {
  std::vector<Time> waits;
  Time armed = Time::max();
  for (const TimedEvent& e : events) {
    if (const auto* unmap = std::get_if<trace::UnmapReturned>(&e.event)) {
      if (unmap->deferred != 0 && armed == Time::max()) armed = e.at;
    } else if (const auto* flush = std::get_if<trace::FlushQueueFlushed>(&e.event)) {
      if (flush->cause != trace::FlushCause::timer) continue;
      waits.push_back(Time::ps(flush->began_ps) - armed);
      armed = Time::max();
    }
  }
  return waits;
}

TEST_CASE("the flush timer fires with the granularity of the kernel's timer wheel") {
  struct Row {
    unsigned hz;
    guest::FlushQueueConfig queue;
    Time earliest, latest;
  };
  const auto row = GENERATE(Row{250, guest::flush_queue_per_cpu, Time::ms(12), Time::ms(16)},
                            Row{1000, guest::flush_queue_per_cpu, Time::ms(10), Time::ms(11)},
                            Row{100, guest::flush_queue_per_cpu, Time::ms(10), Time::ms(20)},
                            Row{250, guest::flush_queue_single, Time::ms(1000), Time::ms(1032)});
  scenario::Configuration c = lazy_configuration();
  c.guest.hz = row.hz;
  c.guest.flush_queue = row.queue;
  c.jobs = {random_writes(4096, 1, 6)};
  c.jobs[0].thinktime = row.queue.timeout * 3 / 2 + Time::us(12'345);  // each I/O finds the queue flushed
  const std::vector<Time> waits = timer_waits(run_whole(c, Keep::events).events);
  REQUIRE(waits.size() == 5);
  for (const Time wait : waits) {
    CHECK(wait >= row.earliest);
    CHECK(wait <= row.latest + Time::us(10));  // the interrupt and the softirq before it
  }
}

TEST_CASE("lazy: memory stays reachable until the timer at the latest") {
  scenario::Configuration c = lazy_configuration();
  c.jobs = {random_writes(4096, 1, 6)};
  c.jobs[0].thinktime = Time::ms(30);
  const WholeRun run = run_whole(c);
  CHECK(run.metric("exposure.max_ns") >= ns(Time::ms(12)));
  CHECK(run.metric("exposure.max_ns") <= ns(Time::ms(16) + Time::us(50)));
  CHECK(run.metric("exposure.byte_seconds") >= 5 * 4096 * 0.012);
  CHECK(run.metric("exposure.byte_seconds") <= 6 * 4096 * 0.01605);
  CHECK(run.result.verdicts == 0);
}

TEST_CASE("lazy under load: the next map's kick ends the window long before the timer") {
  const WholeRun run = run_whole(lazy_configuration());
  CHECK(run.metric("exposure.max_ns") > 0);
  CHECK(run.metric("exposure.max_ns") < ns(Time::us(20)));
}

TEST_CASE("strict: nothing is ever reachable after its unmap has returned") {
  const bool late_dma = GENERATE(false, true);
  scenario::Configuration c = base_configuration();
  c.jobs[0].thinktime = Time::us(100);
  c.faults.nvme.late_dma = late_dma;
  const WholeRun run = run_whole(c);
  CHECK(run.metric("exposure.max_ns") == 0);
  CHECK(run.metric("exposure.byte_seconds") == 0);
  CHECK(run.metric("exposure.dma_beats") == 0);
}

TEST_CASE("a drive that goes on using finished pages is refused, exposed or free to, by policy") {
  scenario::Configuration c = lazy_configuration();
  c.jobs = {random_writes(4096, 1, 20)};
  c.jobs[0].thinktime = Time::ms(3);
  c.faults.nvme.stray_dma = Time::us(5);
  SECTION("lazy: inside the window, and of a new owner too, as buffers are used again") {
    const WholeRun run = run_whole(c);
    CHECK(run.metric("exposure.dma_beats") > 0);
    CHECK(run.metric("exposure.new_owner_beats") > 0);
    CHECK(run.metric("exposure.new_owner_beats") < run.metric("exposure.dma_beats"));
    CHECK(run.metric("device.stray_refused") > 0);
    CHECK(run.result.verdicts == 0);
  }
  SECTION("strict: refused, but where the address is in use again") {
    c.guest.deferred = false;
    const WholeRun run = run_whole(c);
    for (const observe::Finding& finding : run.result.findings) WARN(finding.explanation);
    CHECK(run.metric("exposure.dma_beats") == 0);
    CHECK(run.metric("device.stray_refused") > 0.9 * run.metric("device.stray_accesses"));
    CHECK(run.result.verdicts == 0);
  }
  SECTION("passthrough: everything, always") {
    c.guest.translated = false;
    c.guest.deferred = false;
    const WholeRun run = run_whole(c);
    CHECK(run.metric("device.stray_refused") == 0);
    CHECK(run.metric("exposure.dma_beats") >= run.metric("device.stray_accesses"));
    CHECK(run.metric("exposure.max_ns") == Approx(run.metric("sim.simulated_ns")));
    CHECK(run.result.verdicts == 0);
  }
  SECTION("encrypted memory: bounce buffers alone") {
    c.guest.translated = false;
    c.guest.deferred = false;
    c.guest.memory_encryption = true;
    const WholeRun run = run_whole(c);
    CHECK(run.metric("io.completed") == 20);
    CHECK(run.metric("exposure.dma_beats") == 0);
    CHECK(run.metric("exposure.max_ns") == 0);
  }
}

TEST_CASE("a window that is open at the end counts up to there") {
  scenario::Configuration c = lazy_configuration();
  c.jobs = {random_writes(4096, 1, 1)};
  const WholeRun run = run_whole(c, Keep::events);
  const auto removed = of_kind<trace::MappingRemoved>(run.events);
  REQUIRE(removed.size() == 1);
  CHECK(run.metric("exposure.max_ns") == Approx(run.metric("sim.simulated_ns") - ns(removed[0].first)));
}

TEST_CASE("a full flush queue is flushed at once, and does not put the timer off") {
  scenario::Configuration c = lazy_configuration();
  c.jobs = {random_writes(4096, 4, 2000)};
  const WholeRun run = run_whole(c, Keep::events);
  CHECK(run.metric("guest.flush_queue.timer_flushes") == 1);
  CHECK(run.metric("guest.flush_queue.full_flushes") > 1);
  const std::vector<Time> waits = timer_waits(run.events);
  REQUIRE(waits.size() == 1);
  CHECK(waits[0] >= Time::ms(12));
  CHECK(waits[0] <= Time::ms(16) + Time::us(50));  // an unmap under way goes first
  // 255 entries fit: the 256th unmap after a flush brings the next.
  std::uint64_t unmaps = 0;
  for (const TimedEvent& e : run.events) {
    if (std::holds_alternative<trace::UnmapReturned>(e.event)) ++unmaps;
    if (std::holds_alternative<trace::FlushQueueFlushed>(e.event)) {
      CHECK(unmaps == 256);
      break;
    }
  }
}

}  // namespace
}  // namespace gnomon::test
