// SPDX-License-Identifier: Apache-2.0
// Whole runs of s390 machines: guests shadowed by KVM before and since 6.7, and logical partitions.
#include <catch2/catch.hpp>
#include <functional>

#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

using scenario::Configuration;
using scenario::HypervisorKind;
using trace::Verdict;

Configuration s390_configuration(HypervisorKind hypervisor) {
  Configuration c = base_configuration();
  c.hypervisor = hypervisor;
  c.iommu = scenario::IommuKind::s390_pci;
  c.machine.iommu.unit = iommu::UnitKind::s390;
  c.machine.exit_names = observe::ExitSpelling::sie;
  c.guest.memory = std::uint64_t{256} << 20;
  c.guest.translated = true;
  c.jobs = {random_writes(4096, 8, 300)};
  return c;
}

Configuration lazily(Configuration c) {
  c.guest.deferred = true;
  if (c.hypervisor != HypervisorKind::none) c.guest.flush_queue = guest::flush_queue_single;
  return c;
}

Configuration before_6_7(Configuration c) {
  c.guest.s390_own_dma = true;
  return c;
}

/// Room for the queues, and for some hundred pages more than are in flight.
Configuration with_few_slots(Configuration c) {
  c.vmm.vfio.dma_entry_limit = 300;
  return c;
}

TEST_CASE("an s390 guest under KVM refreshes after each map, and after each strict unmap") {
  const WholeRun run = run_whole(s390_configuration(HypervisorKind::kvm));
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("io.completed_total") == 300);
  CHECK(run.metric("guest.refreshes.map") == run.metric("api.map_calls"));
  CHECK(run.metric("guest.refreshes.unmap") == run.metric("api.unmap_calls"));
  CHECK(run.metric("hypervisor.map_ioctls") == run.metric("api.map_pages"));
  CHECK(run.metric("exits.by_reason.Instruction") >=
        run.metric("guest.refreshes.map") + run.metric("guest.refreshes.unmap"));
}

TEST_CASE("in a logical partition a map needs no refresh and nothing exits") {
  const WholeRun strict = run_whole(s390_configuration(HypervisorKind::none));
  REQUIRE(strict.result.status == run::Status::ok);
  CHECK(strict.result.verdicts == 0);
  CHECK(strict.metric("exits.total") == 0);
  CHECK(strict.metric("guest.refreshes.map") == 0);
  CHECK(strict.metric("guest.refreshes.unmap") == strict.metric("api.unmap_calls"));
  CHECK(strict.metric("dma.faults") == 0);
}

TEST_CASE("s390 is silent, strict and lazy, before and since 6.7, and twice the same") {
  const HypervisorKind hypervisor = GENERATE(HypervisorKind::kvm, HypervisorKind::none);
  const bool lazy = GENERATE(false, true);
  const bool own = GENERATE(false, true);
  Configuration c = s390_configuration(hypervisor);
  c.guest.vcpus = 2;
  c.jobs[0].numjobs = 2;
  if (lazy) c = lazily(c);
  if (own) c = before_6_7(c);
  const WholeRun run = run_whole(c);
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("io.completed_total") == 600);
  CHECK(run.metric("io.errors") == 0);
  CHECK(run.result.trace_hash == run_whole(c).result.trace_hash);
}

TEST_CASE("out of slots, a full refresh makes room, and no request is held back") {
  const bool own = GENERATE(false, true);
  Configuration c = with_few_slots(lazily(s390_configuration(HypervisorKind::kvm)));
  if (own) c = before_6_7(c);
  const WholeRun run = run_whole(c);
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("guest.refreshes.out_of_resources") > 0);
  CHECK(run.metric("guest.refreshes.retries") == run.metric("guest.refreshes.out_of_resources"));
  CHECK(run.metric("guest.refreshes.retries_failed") == 0);
  CHECK(run.metric("api.map_failures") == 0);
  CHECK(run.metric("io.requeues") == 0);
  CHECK(run.metric("io.completed_total") == 300);
}

TEST_CASE("without the full refresh a map fails, the request waits, and none is lost") {
  Configuration c = with_few_slots(lazily(s390_configuration(HypervisorKind::kvm)));
  c.faults.s390_driver.no_full_refresh = true;
  const WholeRun run = run_whole(c);
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("api.map_failures") > 0);
  CHECK(run.metric("io.requeues") > 0);
  CHECK(run.metric("io.errors") == 0);
  CHECK(run.metric("io.completed_total") == 300);
}

struct Planted {
  const char* name;
  std::function<Configuration()> setting;
  std::function<void(Configuration&)> plant;
  Verdict verdict;
};

TEST_CASE("every bug planted in s390 raises its own verdict and no other") {
  const auto kvm = [] { return s390_configuration(HypervisorKind::kvm); };
  const auto once = [] {  // a second map there would find the old one in its way
    Configuration c = s390_configuration(HypervisorKind::kvm);
    c.jobs = {random_writes(4096, 1, 1)};
    return c;
  };
  const auto wrapping = [] {  // an aperture of as many pages as the run maps a few times over
    Configuration c = before_6_7(lazily(s390_configuration(HypervisorKind::kvm)));
    c.guest.memory = std::uint64_t{64} << 20;
    c.jobs = {random_writes(128 * 1024, 4, 1000)};
    return c;
  };
  const Planted planted = GENERATE_COPY(
      Planted{"s390_driver.skip_map_refresh", kvm,
              [](Configuration& c) { c.faults.s390_driver.skip_map_refresh = true; }, Verdict::map_invisible},
      Planted{"s390_driver.skip_unmap_refresh", kvm,
              [](Configuration& c) { c.faults.s390_driver.skip_unmap_refresh = true; },
              Verdict::missing_invalidation},
      Planted{"s390_device.skip_unmap_events", once,
              [](Configuration& c) { c.faults.s390_device.skip_unmap_events = true; },
              Verdict::missing_invalidation},
      Planted{"s390_own_dma.release_without_refresh", wrapping,
              [](Configuration& c) { c.faults.s390_own_dma.release_without_refresh = true; },
              Verdict::early_reuse});
  INFO(planted.name);
  Configuration c = planted.setting();
  CHECK(run_whole(c).result.verdicts == 0);
  planted.plant(c);
  const WholeRun run = run_whole(c);
  for (const observe::Finding& finding : run.result.findings) UNSCOPED_INFO(finding.explanation);
  CHECK((run.count(planted.verdict) > 0 && run.count(planted.verdict) == run.result.verdicts));
}

}  // namespace
}  // namespace gnomon::test
