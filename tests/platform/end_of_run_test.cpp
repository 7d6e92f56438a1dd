// SPDX-License-Identifier: Apache-2.0
// How runs end: well, by a deadlock, by the watchdog, by an exception.
#include <catch2/catch.hpp>

#include "tests/support/isolated.hpp"
#include "tests/support/time_text.hpp"
#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

TEST_CASE("a guest that sleeps for long is not a guest that has stopped") {
  scenario::Configuration c = base_configuration();
  c.jobs = {random_writes(4096, 1, 3)};
  c.jobs[0].thinktime = Time::ms(700);
  const WholeRun run = run_whole(c);
  CHECK(run.result.status == run::Status::ok);
  CHECK(run.metric("io.completed") == 3);
  CHECK(run.metric("sim.simulated_ns") >= 1.4e9);
}

TEST_CASE("a drive that falls silent is a deadlock, and the report says who waits") {
  // The vIOMMU takes the drive's completion queue out of the shadow along with the first buffer: its next
  // completion faults, and it reports a fatal status that nobody reads.
  scenario::Configuration c = base_configuration();
  c.jobs = {random_writes(4096, 4, 200)};
  c.faults.viommu.unmap_past_end = true;
  const WholeRun run = run_whole(c);
  CHECK(run.result.status == run::Status::deadlock);
  CHECK_THAT(run.result.explanation,
             Catch::Contains("nothing can happen any more") && Catch::Contains("cpu 0: idle"));
  CHECK(run.metric("io.in_flight_at_end") > 0);
  CHECK(run.metric("io.submitted_total") == run.metric("io.completed_total") + run.metric("io.in_flight_at_end"));
  CHECK(run.result.files.empty());  // no report of a job that never ended
}

TEST_CASE("a workload that cannot finish is stopped by the watchdog") {
  // The host has room for the drive's queues and nothing else: every request goes back to its queue, for ever.
  scenario::Configuration c = base_configuration();
  c.jobs = {random_writes(4096, 1, 0)};
  c.jobs[0].has_runtime = true;
  c.jobs[0].runtime = Time::ms(5);
  c.vmm.vfio.dma_entry_limit = 5;
  c.guest.sync_map = false;
  const WholeRun run = run_whole(c);
  CHECK(run.result.status == run::Status::watchdog);
  CHECK_THAT(run.result.explanation, Catch::Contains("no I/O and no DMA"));
  CHECK(run.metric("io.completed_total") == 0);
  CHECK(run.metric("io.in_flight_at_end") == 1);
  CHECK(run.metric("sim.simulated_ns") > 10e9);
  CHECK(run.metric("sim.simulated_ns") < 10.1e9);
}

TEST_CASE("a workload with a time limit ends at it") {
  scenario::Configuration c = base_configuration();
  c.jobs = {random_writes(4096, 4, 0)};
  c.jobs[0].has_runtime = c.jobs[0].time_based = true;
  c.jobs[0].runtime = Time::ms(3);
  c.jobs[0].ramp_time = Time::ms(2);
  const WholeRun run = run_whole(c, Keep::events);
  CHECK(run.result.status == run::Status::ok);
  const auto opened = of_kind<trace::WindowOpened>(run.events);
  const auto closed = of_kind<trace::WindowClosed>(run.events);
  REQUIRE(opened.size() == 1);
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].first - opened[0].first >= Time::ms(3) - Time::us(60));
  CHECK(closed[0].first - opened[0].first <= Time::ms(3) + Time::us(60));
  CHECK(run.metric("io.completed") < run.metric("io.completed_total"));
  CHECK(run.metric("io.in_flight_at_end") == 0);
}

TEST_CASE("a process simulates once") {
  CHECK_THROWS_WITH(isolated_bytes([] {
                      static_cast<void>(run::simulate(base_configuration(), {}));
                      static_cast<void>(run::simulate(base_configuration(), {}));
                      return std::string();
                    }),
                    Catch::Contains("simulates once"));
}

TEST_CASE("what the simulated software throws comes out") {
  scenario::Configuration c = base_configuration();
  c.jobs[0].offset.bytes = std::uint64_t{1} << 60;
  CHECK_THROWS_WITH(run_whole(c), Catch::Contains("job 'job'"));
}

}  // namespace
}  // namespace gnomon::test
