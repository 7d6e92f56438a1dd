// SPDX-License-Identifier: Apache-2.0
// Blame and the ledger of refills over whole runs: every picosecond of every I/O, every walk.
#include "platform/observe/blame.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

scenario::Configuration configuration(int which) {
  scenario::Configuration c = which % 2 == 0 ? base_configuration() : lazy_configuration();
  if (which < 2) return c;
  c.guest.vcpus = 4;
  c.jobs = {random_reads(4096, 8, 200), random_writes(256 * 1024, 4, 60)};
  c.jobs[0].numjobs = 5;  // two threads on one CPU
  if (which == 4) c.vmm.service = hypervisor::QueueService::ioeventfd;
  if (which == 5) c.guest.flush_queue = guest::flush_queue_single;
  if (which == 6) {
    c.iommu = scenario::IommuKind::none;
    c.guest.translated = false;
  }
  if (which == 7) c.jobs[0].thinktime = Time::us(30);
  return c;
}

TEST_CASE("the parts of every I/O's latency sum to it, and fit to the picosecond") {
  const WholeRun run = run_whole(configuration(GENERATE(range(0, 8))), Keep::events);
  REQUIRE(run.result.status == run::Status::ok);
  observe::Blame blame;
  std::uint64_t reaped = 0;
  for (const TimedEvent& e : run.events) {
    blame.on_event(e.at, e.event);
    const auto* done = std::get_if<trace::IoReaped>(&e.event);
    if (done == nullptr) continue;
    ++reaped;
    const auto& split = blame.last();
    REQUIRE(split.io == done->io);
    REQUIRE(split.latency == done->latency_ps);
    REQUIRE(std::accumulate(split.parts.begin(), split.parts.end(), std::uint64_t{0}) == done->latency_ps);
    REQUIRE(split.parts[static_cast<std::size_t>(observe::Cause::media)] > 0);
  }
  CHECK(reaped > 0);
  CHECK(blame.misfits() == 0);
}

TEST_CASE("the means of the window sum to its mean latency") {
  const WholeRun run = run_whole(configuration(GENERATE(range(0, 8))));
  double sum = 0;
  for (const auto& [name, value] : run.result.metrics) sum += name.starts_with("blame.") ? value : 0;
  CHECK(sum == Approx(run.metric("io.lat_ns.mean")).margin(1.0));  // that is of whole nanoseconds
}

TEST_CASE("a guest without a vIOMMU waits for no invalidation, a strict one does") {
  CHECK(run_whole(configuration(6)).metric("blame.host_invalidation_ns") == 0);
  CHECK(run_whole(configuration(6)).metric("blame.hypervisor_ns") == 0);
  CHECK(run_whole(configuration(0)).metric("blame.host_invalidation_ns") > 0);
  CHECK(run_whole(configuration(0)).metric("blame.hypervisor_ns") > 0);
  CHECK(run_whole(configuration(4)).metric("blame.hypervisor_ns") > 0);  // while the guest polls
}

TEST_CASE("every walk of the window has one reason") {
  const WholeRun run = run_whole(configuration(GENERATE(range(0, 8))));
  const double told = run.metric("iotlb.refills.cold") + run.metric("iotlb.refills.capacity") +
                      run.metric("iotlb.refills.invalidated_modified") +
                      run.metric("iotlb.refills.invalidated_unmodified");
  CHECK(told == run.metric("iotlb.misses"));
}

}  // namespace
}  // namespace gnomon::test
