// SPDX-License-Identifier: Apache-2.0
// The same configuration and seed are the same run, whoever watches it.
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/whole_run.hpp"
#include "tests/unit/observe/scratch_folder.hpp"

namespace gnomon::test {
namespace {

scenario::Configuration four_cpus() {
  scenario::Configuration c = lazy_configuration();
  c.guest.vcpus = 4;
  c.jobs = {random_writes(4096, 4, 200)};
  c.jobs[0].numjobs = 4;
  return c;
}

/// A nested SMMUv3 whose queues the guest owns, and one that is shared on bare metal.
scenario::Configuration smmu(scenario::HypervisorKind hypervisor) {
  scenario::Configuration c = four_cpus();
  c.hypervisor = hypervisor;
  c.iommu = scenario::IommuKind::smmuv3;
  c.machine.iommu.unit = iommu::UnitKind::smmuv3;
  c.machine.smmuv3.virtual_queues = true;
  const bool guest = hypervisor != scenario::HypervisorKind::none;
  c.guest.smmu.queue = guest ? guest::SmmuQueue::owned : guest::SmmuQueue::registers;
  return c;
}
scenario::Configuration smmu_owned() { return smmu(scenario::HypervisorKind::kvm); }
scenario::Configuration smmu_bare() { return smmu(scenario::HypervisorKind::none); }

TEST_CASE("same configuration, same seed: the same run to the last number") {
  const auto make = GENERATE(base_configuration, lazy_configuration, four_cpus, smmu_owned, smmu_bare);
  const WholeRun first = run_whole(make());
  const WholeRun second = run_whole(make());
  CHECK(first.result.trace_hash == second.result.trace_hash);
  CHECK(first.result.metrics == second.result.metrics);
  REQUIRE(first.result.files.size() == second.result.files.size());
  for (std::size_t i = 0; i < first.result.files.size(); ++i) {
    CHECK(first.result.files[i].text == second.result.files[i].text);
  }
}

TEST_CASE("another seed is another run") {
  const auto make = GENERATE(base_configuration, four_cpus);
  scenario::Configuration other = make();
  other.seed = 2;
  CHECK(run_whole(make()).result.trace_hash != run_whole(other).result.trace_hash);
}

TEST_CASE("observers change nothing") {
  const scenario::Configuration c = four_cpus();
  const std::uint64_t alone = run_whole(c).result.trace_hash;
  const ScratchFolder folder;
  const std::string path = folder / "run.perfetto-trace";
  const WholeRun watched = run_whole(c, Keep::events, path);
  CHECK(watched.result.output_error == "");
  CHECK(watched.result.trace_hash == alone);
  CHECK(std::filesystem::file_size(path) > 100'000);
  CHECK(watched.metric("sim.trace_events") == static_cast<double>(watched.events.size()));
}

}  // namespace
}  // namespace gnomon::test
