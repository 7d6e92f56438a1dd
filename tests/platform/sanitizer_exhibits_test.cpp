// SPDX-License-Identifier: Apache-2.0
// One bug after another is planted, and the sanitizer must say exactly what it is. Without the bug it must be
// silent.
#include <catch2/catch.hpp>
#include <functional>

#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

using scenario::Configuration;
using trace::Verdict;

struct Exhibit {
  const char* name;
  std::function<Configuration()> setting;
  std::function<void(Configuration&)> plant;
  Verdict verdict;
};

Configuration writes(std::uint64_t bytes, std::uint32_t depth) {
  Configuration c = base_configuration();
  c.jobs = {random_writes(bytes, depth, 200)};
  return c;
}

/// Several at a time, of which the drive finishes the later first: an IOVA comes back with another buffer.
Configuration reads_64k(Backing backing) {
  Configuration c = base_configuration();
  c.guest.backing = backing;
  c.jobs = {random_reads(64 * 1024, 4, 200)};
  return c;
}

/// 12 KiB in one MAP, which the vIOMMU shadows in pieces of 4 and 8 KiB.
Configuration pieces() {
  Configuration c = writes(12 * 1024, 1);
  c.guest.buffers.runs_per_64k = 1;
  c.iommu_page_sizes = page_size;
  return c;
}

/// Behind QEMU's AMD-Vi, whose NpCache has the guest flush maps too.
Configuration behind_amd(Configuration c) {
  c.iommu = scenario::IommuKind::amd_iommu;
  return c;
}

/// Behind QEMU's VT-d in caching mode, which has the guest flush maps too.
Configuration behind_intel(Configuration c) {
  c.iommu = scenario::IommuKind::intel_iommu;
  return c;
}

/// A first-level table of the guest that the hardware walks nested: only invalidations reach the hypervisor.
Configuration nested(Configuration c) {
  c = behind_intel(std::move(c));
  c.intel_device.scalable = true;
  c.intel_device.shadowing = hypervisor::IntelShadowing::nested;
  c.guest.intel.kernel.first_level_default = true;
  c.machine.iommu.scalable_mode = c.machine.iommu.first_stage = c.machine.iommu.nested = true;
  return c;
}

/// Every page a leaf of its own.
Configuration intel_reads_of_pages() {
  Configuration c = behind_intel(reads_64k(Backing::pages_4k));
  c.guest.buffers.runs_per_64k = 16;
  return c;
}

/// Every page a leaf of its own.
Configuration amd_reads_of_pages() {
  Configuration c = behind_amd(reads_64k(Backing::pages_4k));
  c.guest.buffers.runs_per_64k = 16;
  return c;
}

/// Bare metal, and an AMD-Vi that takes its time over each command.
Configuration slow_amd_unit() {
  Configuration c = reads_64k(Backing::pages_4k);
  c.hypervisor = scenario::HypervisorKind::none;
  c.iommu = scenario::IommuKind::amd_iommu;
  c.machine.iommu.unit = iommu::UnitKind::amdvi;
  c.machine.iommu.timing.descriptor_execute = Time::us(200);
  return c;
}

/// Bare metal behind an SMMUv3; or a guest nested in one.
Configuration behind_smmu(Configuration c, scenario::HypervisorKind hypervisor = scenario::HypervisorKind::none) {
  c.hypervisor = hypervisor;
  c.iommu = scenario::IommuKind::smmuv3;
  c.machine.iommu.unit = iommu::UnitKind::smmuv3;
  return c;
}
Configuration nested_smmu(guest::SmmuQueue queue) {
  Configuration c = behind_smmu(reads_64k(Backing::thp_2m), scenario::HypervisorKind::kvm);
  c.guest.smmu.queue = queue;
  c.machine.smmuv3.virtual_queues = true;
  return c;
}
/// An SMMUv3 whose TLBIs take long to complete.
Configuration slow_smmu() {
  Configuration c = behind_smmu(reads_64k(Backing::pages_4k));
  c.machine.iommu.timing.completion = Time::us(200);
  return c;
}
/// 33 pages a mapping, which are two TLBIs by range.
Configuration uneven_ranges() {
  Configuration c = behind_smmu(base_configuration());
  c.guest.nvme_max_transfer = 256 * 1024;
  c.jobs = {random_reads(33 * page_size, 4, 200)};
  return c;
}

/// The host refuses mappings: it has room for the drive's five and two more.
void limit_host(Configuration& c) {
  c.vmm.vfio.dma_entry_limit = 7;
}

const std::vector<Exhibit>& exhibits() {
  static const std::vector<Exhibit> all{
      {"driver.skip_iotlb_sync", [] { return writes(4096, 1); },
       [](Configuration& c) { c.faults.driver.skip_iotlb_sync = true; }, Verdict::missing_invalidation},
      {"vfio.skip_invalidation", [] { return writes(4096, 4); },
       [](Configuration& c) { c.faults.vfio.skip_invalidation = true; }, Verdict::stale_dma},
      {"iommu.ignore_psi_mask, a run is one piece of several pages", [] { return reads_64k(Backing::thp_2m); },
       [](Configuration& c) { c.faults.iommu.ignore_psi_mask = true; }, Verdict::stale_dma},
      {"iommu.ignore_psi_mask, every page a run", [] { return reads_64k(Backing::pages_4k); },
       [](Configuration& c) { c.faults.iommu.ignore_psi_mask = true; }, Verdict::stale_dma},
      {"iommu.ignore_domain_invalidation",
       [] {
         Configuration c = reads_64k(Backing::pages_4k);
         c.machine.iommu.max_address_mask = 0;  // more than a page is a domain-selective invalidation
         return c;
       },
       [](Configuration& c) { c.faults.iommu.ignore_domain_invalidation = true; }, Verdict::stale_dma},
      {"flush_queue.reap_without_flush",
       [] {
         Configuration c = lazy_configuration();
         c.jobs = {random_writes(4096, 4, 600)};
         return c;
       },
       [](Configuration& c) { c.faults.flush_queue.reap_without_flush = true; }, Verdict::early_reuse},
      {"viommu.unmap_first_piece_only", pieces,
       [](Configuration& c) { c.faults.viommu.unmap_first_piece_only = true; }, Verdict::shadow_divergence},
      {"viommu.unmap_past_end", [] { return writes(4096, 4); },
       [](Configuration& c) { c.faults.viommu.unmap_past_end = true; }, Verdict::shadow_divergence},
      {"vfio.leak_pins", [] { return writes(4096, 1); }, [](Configuration& c) { c.faults.vfio.leak_pins = true; },
       Verdict::pin_leak},
      {"amd_driver.skip_map_flush", [] { return behind_amd(writes(4096, 1)); },
       [](Configuration& c) { c.faults.amd_driver.skip_map_flush = true; }, Verdict::map_invisible},
      {"amd_driver.skip_unmap_flush", [] { return behind_amd(writes(4096, 1)); },
       [](Configuration& c) { c.faults.amd_driver.skip_unmap_flush = true; }, Verdict::missing_invalidation},
      {"amd_driver.skip_wait", slow_amd_unit, [](Configuration& c) { c.faults.amd_driver.skip_wait = true; },
       Verdict::stale_dma},
      {"amdvi.skip_unmap_events", [] { return behind_amd(writes(4096, 1)); },
       [](Configuration& c) { c.faults.amdvi.skip_unmap_events = true; }, Verdict::missing_invalidation},
      {"amdvi.ignore_size_bit", amd_reads_of_pages, [](Configuration& c) { c.faults.amdvi.ignore_size_bit = true; },
       Verdict::map_invisible},
      {"intel_driver.skip_map_flush", [] { return behind_intel(writes(4096, 1)); },
       [](Configuration& c) { c.faults.intel_driver.skip_map_flush = true; }, Verdict::map_invisible},
      {"intel_driver.skip_unmap_flush", [] { return behind_intel(writes(4096, 1)); },
       [](Configuration& c) { c.faults.intel_driver.skip_unmap_flush = true; }, Verdict::missing_invalidation},
      {"intel_device.skip_unmap_events", [] { return behind_intel(writes(4096, 1)); },
       [](Configuration& c) { c.faults.intel_device.skip_unmap_events = true; }, Verdict::missing_invalidation},
      {"intel_device.ignore_address_mask", intel_reads_of_pages,
       [](Configuration& c) { c.faults.intel_device.ignore_address_mask = true; }, Verdict::map_invisible},
      {"intel_driver.skip_unmap_flush, nested", [] { return nested(reads_64k(Backing::pages_4k)); },
       [](Configuration& c) { c.faults.intel_driver.skip_unmap_flush = true; }, Verdict::stale_dma},
      {"intel_device.drop_forwarded, nested", [] { return nested(reads_64k(Backing::pages_4k)); },
       [](Configuration& c) { c.faults.intel_device.drop_forwarded = true; }, Verdict::stale_dma},
      {"iommu.ignore_psi_mask, nested", [] { return nested(reads_64k(Backing::pages_4k)); },
       [](Configuration& c) { c.faults.iommu.ignore_psi_mask = true; }, Verdict::stale_dma},
      {"smmu_driver.skip_unmap_flush", [] { return behind_smmu(reads_64k(Backing::pages_4k)); },
       [](Configuration& c) { c.faults.smmu_driver.skip_unmap_flush = true; }, Verdict::stale_dma},
      {"smmu_driver.skip_sync", slow_smmu, [](Configuration& c) { c.faults.smmu_driver.skip_sync = true; },
       Verdict::stale_dma},
      {"smmu_driver.first_range_only", uneven_ranges,
       [](Configuration& c) { c.faults.smmu_driver.first_range_only = true; }, Verdict::stale_dma},
      {"smmu_device.drop_invalidations", [] { return nested_smmu(guest::SmmuQueue::registers); },
       [](Configuration& c) { c.faults.smmu_device.drop_invalidations = true; }, Verdict::stale_dma},
      {"smmu_driver.skip_unmap_flush, with a queue of its own", [] { return nested_smmu(guest::SmmuQueue::owned); },
       [](Configuration& c) { c.faults.smmu_driver.skip_unmap_flush = true; }, Verdict::stale_dma},
      {"a refused MAP whose error is lost", [] { return writes(4096, 16); }, limit_host, Verdict::map_invisible},
  };
  return all;
}

TEST_CASE("every planted bug raises its own verdict and no other") {
  const std::size_t index = GENERATE(range(std::size_t{0}, exhibits().size()));
  const Exhibit& exhibit = exhibits()[index];
  INFO(exhibit.name);
  Configuration c = exhibit.setting();
  exhibit.plant(c);
  const WholeRun run = run_whole(c);
  CHECK(run.count(exhibit.verdict) > 0);
  CHECK(run.count(exhibit.verdict) == run.result.verdicts);
  REQUIRE_FALSE(run.result.findings.empty());
  for (const observe::Finding& finding : run.result.findings) {
    CHECK(finding.verdict == exhibit.verdict);
    CHECK(finding.explanation.size() > 40);
  }
}

TEST_CASE("the same runs without the bug are silent") {
  const std::size_t index = GENERATE(range(std::size_t{0}, exhibits().size()));
  INFO(exhibits()[index].name);
  const WholeRun run = run_whole(exhibits()[index].setting());
  for (const observe::Finding& finding : run.result.findings) UNSCOPED_INFO(finding.explanation);
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("dma.faults") == 0);
  CHECK(run.metric("io.errors") == 0);
}

TEST_CASE("silent in every shape of guest and hypervisor") {
  Configuration c = GENERATE(base_configuration(), lazy_configuration());
  c.guest.vcpus = 4;
  c.jobs = {random_reads(4096, 8, 200), random_writes(64 * 1024, 4, 100)};
  c.jobs[0].numjobs = 3;
  SECTION("on the kicking vCPU") {}
  SECTION("by the main loop's thread") {
    c.vmm.service = hypervisor::QueueService::ioeventfd;
  }
  SECTION("by a worker") {
    c.vmm.service = hypervisor::QueueService::worker;
  }
  SECTION("one flush queue") {
    c.guest.flush_queue = guest::flush_queue_single;
  }
  SECTION("queued spinlocks") {
    c.guest.spinlock = LockKind::queued;
  }
  SECTION("a small ring, without indirect descriptors or EVENT_IDX") {
    c.vmm.request_queue_size = 16;
    c.vmm.indirect = c.vmm.event_idx = false;
  }
  SECTION("4 KiB pages in host and guest") {
    c.guest.backing = Backing::pages_4k;
    c.guest.buffers.runs_per_64k = 16;
    c.iommu_page_sizes = page_size;
  }
  const WholeRun run = run_whole(c);
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.metric("io.completed") == 700);
  CHECK(run.result.verdicts == 0);
  for (const observe::Finding& finding : run.result.findings) WARN(finding.explanation);
}

TEST_CASE("a refused MAP whose error arrives is a mapping error: the request waits and nothing is lost") {
  Configuration c = writes(4096, 16);
  limit_host(c);
  SECTION("each MAP sent and waited for, as before 6.8") {
    c.guest.sync_map = false;
  }
  SECTION("a driver that returns the errors of queued requests") {
    c.guest.report_request_errors = true;
  }
  const WholeRun run = run_whole(c);
  REQUIRE(run.result.status == run::Status::ok);
  CHECK(run.metric("api.map_failures") > 0);
  CHECK(run.metric("io.requeues") == run.metric("api.map_failures"));
  CHECK(run.metric("io.completed") == 200);
  CHECK(run.metric("io.errors") == 0);
  CHECK(run.metric("dma.faults") == 0);
  CHECK(run.result.verdicts == 0);
}

TEST_CASE("a lost error is survived by the drive's retries, at the price of faults") {
  Configuration c = writes(4096, 16);
  limit_host(c);
  const WholeRun run = run_whole(c);
  CHECK(run.metric("dma.faults") == static_cast<double>(run.count(Verdict::map_invisible)));
  CHECK(run.metric("io.requeues") == 0);
  CHECK(run.metric("io.completed") == 200);
}

TEST_CASE("DMA after its completion: blocked in strict mode, served inside lazy mode's declared window") {
  const auto late = [](Configuration c) {
    c.jobs[0].thinktime = Time::us(100);  // the late burst comes 20 us after the completion, the next map later
    c.faults.nvme.late_dma = true;
    return run_whole(c);
  };
  SECTION("strict: a fault, which is the IOMMU doing its work") {
    const WholeRun run = late(base_configuration());
    CHECK(run.metric("dma.faults") == 199);  // the run ends before the last
    CHECK(run.metric("exposure.dma_beats") == 0);
    CHECK(run.result.verdicts == 0);
  }
  SECTION("lazy: counted as exposure, and no verdict, since lazy mode allows it") {
    const WholeRun run = late(lazy_configuration());
    CHECK(run.metric("dma.faults") + run.metric("exposure.dma_beats") == 199);
    CHECK(run.metric("dma.faults") <= 2);  // where the flush queue's timer came in between
    CHECK(run.result.verdicts == 0);
  }
}

}  // namespace
}  // namespace gnomon::test
