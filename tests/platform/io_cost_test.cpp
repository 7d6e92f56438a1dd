// SPDX-License-Identifier: Apache-2.0
// What a Linux 6.12 guest asks of its vIOMMU for one I/O. Nothing here is a matter of timing: the counts are exact.
#include <catch2/catch.hpp>

#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

constexpr double ios = 200;

TEST_CASE("4 KiB at depth 1, strict: one MAP, one UNMAP and two kicks an I/O") {
  const WholeRun run = run_whole(base_configuration());
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.metric("io.completed") == ios);
  CHECK(run.metric("api.map_calls") == ios);
  CHECK(run.metric("api.unmap_calls") == ios);
  CHECK(run.metric("guest.map_requests") == ios);
  CHECK(run.metric("guest.unmap_requests") == ios);
  CHECK(run.metric("guest.kicks") == 2 * ios);
  CHECK(run.metric("guest.kicks_suppressed") == 0);
  CHECK(run.metric("guest.syncs") == 2 * ios);
  CHECK(run.metric("exits.by_reason.EPT_MISCONFIG") == 2 * ios);
  CHECK(run.metric("hypervisor.map_ioctls") == ios);
  CHECK(run.metric("hypervisor.unmap_ioctls") == ios);
  CHECK(run.metric("iotlb.invalidations.page") == ios);
  CHECK(run.metric("iotlb.invalidations.range") == 0);
  CHECK(run.metric("invalidation.pages_modified") == 2 * ios);
  CHECK(run.metric("invalidation.pages_covered") == 2 * ios);
}

TEST_CASE("4 KiB at depth 1, lazy: the UNMAP rides on the next I/O's kick") {
  const WholeRun run = run_whole(lazy_configuration());
  REQUIRE(run.result.status == run::Status::ok);
  REQUIRE(run.metric("guest.flush_queue.timer_flushes") == 0);  // over before the first could come
  CHECK(run.metric("guest.map_requests") == ios);
  CHECK(run.metric("guest.unmap_requests") == ios);
  CHECK(run.metric("guest.kicks") == ios);
  CHECK(run.metric("guest.syncs") == ios);
  CHECK(run.metric("hypervisor.map_ioctls") == ios);
  CHECK(run.metric("hypervisor.unmap_ioctls") == ios - 1);  // the last waits for a kick that does not come
}

TEST_CASE("the flush queue's timer costs one sync a flush, and a kick where something is queued") {
  scenario::Configuration c = lazy_configuration();
  c.jobs[0].thinktime = Time::us(200);
  const WholeRun run = run_whole(c);
  const double flushes = run.metric("guest.flush_queue.timer_flushes");
  CHECK(flushes >= 2);
  CHECK(run.metric("guest.flush_queue.full_flushes") == 0);
  CHECK(run.metric("guest.syncs") == ios + flushes);
  CHECK(run.metric("guest.kicks") + run.metric("guest.kicks_suppressed") == ios + flushes);
}

TEST_CASE("64 KiB in two runs: one kick for both MAPs with iotlb_sync_map, one each without") {
  struct Row {
    bool lazy, sync_map;
    double kicks;  // an I/O
  };
  const auto row = GENERATE(Row{false, true, 2}, Row{false, false, 3}, Row{true, true, 1}, Row{true, false, 2});
  scenario::Configuration c = row.lazy ? lazy_configuration() : base_configuration();
  c.jobs = {random_writes(64 * 1024, 1, 100)};
  c.guest.sync_map = row.sync_map;
  const WholeRun run = run_whole(c);
  REQUIRE(run.result.status == run::Status::ok);
  REQUIRE(run.metric("guest.flush_queue.timer_flushes") == 0);
  CHECK(run.metric("guest.map_requests") == 2 * 100);
  CHECK(run.metric("guest.unmap_requests") == 100);
  CHECK(run.metric("guest.kicks") == row.kicks * 100);
  CHECK(run.metric("hypervisor.map_ioctls") == 2 * 100);
}

TEST_CASE("128 KiB in 32 runs: still one kick, unless the ring is too small for them") {
  scenario::Configuration c = base_configuration();
  c.guest.buffers.runs_per_64k = 16;
  c.jobs = {random_writes(128 * 1024, 1, 20)};
  SECTION("256 entries") {
    const WholeRun run = run_whole(c);
    CHECK(run.metric("guest.map_requests") == 32 * 20);
    CHECK(run.metric("guest.kicks") == 2 * 20);
    CHECK(run.metric("guest.early_syncs") == 0);
  }
  SECTION("16 entries: the 17th finds the ring full") {
    c.vmm.request_queue_size = 16;
    const WholeRun run = run_whole(c);
    REQUIRE(run.result.status == run::Status::ok);
    CHECK(run.metric("guest.map_requests") == 32 * 20);
    CHECK(run.metric("guest.early_syncs") == 20);
    CHECK(run.metric("guest.kicks") == 3 * 20);
  }
}

TEST_CASE("a request above the transfer limit is several commands, each with its own map and unmap") {
  scenario::Configuration c = base_configuration();
  c.jobs = {random_writes(1024 * 1024, 1, 10)};
  const WholeRun run = run_whole(c);
  CHECK(run.metric("io.completed") == 10);
  CHECK(run.metric("api.map_calls") == 8 * 10);
  CHECK(run.metric("guest.map_requests") == 32 * 10);  // two runs in each 64 KiB
  CHECK(run.metric("guest.unmap_requests") == 8 * 10);
  CHECK(run.metric("nvme.submission_doorbells") == 8 * 10);
}

TEST_CASE("without a vIOMMU nothing of an I/O reaches the hypervisor but interrupts and halts") {
  scenario::Configuration c = base_configuration();
  c.iommu = scenario::IommuKind::none;
  c.guest.translated = false;
  SECTION("virtual machine, VFIO maps all of its memory at once") {
    const WholeRun run = run_whole(c);
    CHECK(run.metric("io.completed") == ios);
    CHECK(run.metric("guest.kicks") == 0);
    CHECK(run.metric("api.map_calls") == 0);
    CHECK(run.metric("hypervisor.map_ioctls") == 0);
    CHECK(run.metric("hypervisor.pages_pinned_total") == static_cast<double>(c.guest.memory / page_size));
    CHECK(run.metric("exits.total") > 0);
  }
  SECTION("bare metal") {
    c.hypervisor = scenario::HypervisorKind::none;
    const WholeRun run = run_whole(c);
    CHECK(run.metric("io.completed") == ios);
    CHECK(run.metric("exits.total") == 0);
    CHECK(run.metric("hypervisor.pages_pinned_total") == 0);
  }
}

}  // namespace
}  // namespace gnomon::test
