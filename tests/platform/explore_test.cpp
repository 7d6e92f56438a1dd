#include <catch2/catch.hpp>
#include <fmt/format.h>
#include "tests/support/whole_run.hpp"
using namespace gnomon; using namespace gnomon::test;
static void show(const char* n, const WholeRun& r) {
  fmt::print("== {} {} {} hash {:016x} verdicts {} events {}\n", n, run::to_string(r.result.status), r.result.explanation, r.result.trace_hash, r.result.verdicts, r.events.size());
  for (auto k : {"io.completed","io.errors","io.requeues","io.lat_ns.mean","guest.map_requests","guest.unmap_requests","guest.kicks","guest.kicks_suppressed","guest.syncs","guest.flush_queue.full_flushes","guest.flush_queue.timer_flushes","hypervisor.map_ioctls","hypervisor.unmap_ioctls","dma.faults","iotlb.hits","iotlb.misses","exposure.max_ns","exposure.dma_beats","io.in_flight_at_end","hypervisor.pages_pinned_total","hypervisor.pages_unpinned_total", "hypervisor.shadow_entries","api.map_failures"}) fmt::print("  {} {:.6g}", k, r.metric(k));
  fmt::print("\n");
  for (auto* v : {"stale_dma", "missing_invalidation", "shadow_divergence", "map_invisible","early_reuse", "spurious_fault", "pin_leak"}) if (r.metric(std::string("sanitizer.")+v)!=0) fmt::print("   !! {} {}\n", v, r.metric(std::string("sanitizer.")+v));
  int i=0; for (auto& f : r.result.findings) if (i++<4) fmt::print("   {} {}\n", observe::verdict_name(f.verdict), f.explanation);
}
template <class F> void go(const char* n, F f) { try { auto c = f(); show(n, run_whole(c)); } catch (std::exception& e) { fmt::print("== {} THROW {}\n", n, e.what()); } }
TEST_CASE("x") {
  for (int q : {4,16,32}) go("psi mask", [&] { auto c = base_configuration(); c.jobs = {random_reads(65536, q, 400)}; c.faults.iommu.ignore_psi_mask = true; return c; });
  for (bool f : {true, false}) go("dom inv", [&] { auto c = base_configuration(); c.machine.iommu.max_address_mask=0; c.jobs = {random_writes(65536, 16, 200)}; c.guest.backing = Backing::pages_4k; c.faults.iommu.ignore_domain_invalidation = f; return c; });
  for (unsigned lim : {6u, 7u, 8u}) for (int mode : {0, 1, 2}) go(fmt::format("limit {} mode {}", lim, mode).c_str(), [&] { auto c = base_configuration(); c.jobs = {random_writes(4096, 16, 200)}; c.vmm.vfio.dma_entry_limit = lim; c.guest.report_request_errors = mode == 1; c.guest.sync_map = mode != 2; return c; });
  go("late strict", [] { auto c = base_configuration(); c.jobs[0].thinktime = Time::us(100); c.faults.nvme.late_dma = true; return c; });
  go("late lazy", [] { auto c = lazy_configuration(); c.jobs[0].thinktime = Time::us(100);c.faults.nvme.late_dma = true; return c; });
  go("lazy full", [] { auto c = lazy_configuration(); c.jobs = {random_writes(4096, 4, 2000)}; return c; });
  go("lazy full 4 cpu", [] { auto c = lazy_configuration(); c.guest.vcpus=4; c.jobs = {random_writes(4096, 4, 2000)}; c.jobs[0].numjobs=4; return c; });
  go("strict 4 cpu", [] { auto c = base_configuration(); c.guest.vcpus=4; c.jobs = {random_writes(4096, 4, 2000)}; c.jobs[0].numjobs=4; return c; });
  go("lazy 4 cpu sq", [] { auto c = lazy_configuration(); c.guest.flush_queue = guest::flush_queue_single; c.guest.vcpus=4; c.jobs = {random_writes(4096, 4, 2000)}; c.jobs[0].numjobs=4; return c; });
  go("strict 4 cpu ioeventfd", [] { auto c = base_configuration(); c.vmm.service = hypervisor::QueueService::ioeventfd; c.guest.vcpus=4; c.jobs = {random_writes(4096, 4, 2000)}; c.jobs[0].numjobs=4; return c; });
  go("strict 4 cpu worker", [] { auto c = base_configuration(); c.vmm.service = hypervisor::QueueService::worker; c.guest.vcpus=4; c.jobs = {random_writes(4096, 4, 2000)}; c.jobs[0].numjobs=4; return c; });
  go("bare", [] { auto c = base_configuration(); c.hypervisor = scenario::HypervisorKind::none; c.viommu= scenario::ViommuKind::none; c.guest.translated=false; return c; });
  go("passthrough", [] { auto c = base_configuration(); c.viommu= scenario::ViommuKind::none; c.guest.translated=false; return c; });
  go("two devices", [] { auto c = base_configuration(); c.nvme_devices = 2; return c; });
  go("64k no indirect", [] { auto c = base_configuration(); c.vmm.indirect = false; c.jobs = {random_writes(65536, 4, 200)}; return c; });
  go("64k no eventidx lazy", [] { auto c = lazy_configuration(); c.vmm.event_idx = false; c.jobs = {random_writes(65536, 4, 200)}; return c; });
  go("2M", [] { auto c = base_configuration(); c.jobs = {random_writes(2<<20, 4, 50)}; return c; });
  go("kernel 6.1", [] { auto c = base_configuration(); c.guest.sync_map=false; c.guest.sync_map_can_fail=false; return c; });
  go("queue 16", [] { auto c = base_configuration(); c.vmm.request_queue_size = 16; c.guest.buffers.runs_per_64k=16; c.viommu_page_sizes=0x1000; c.jobs = {random_writes(131072, 4, 100)}; return c; });
  go("queue 16 lazy", [] { auto c = lazy_configuration(); c.vmm.request_queue_size = 16; c.guest.buffers.runs_per_64k=16; c.viommu_page_sizes=0x1000; c.jobs = {random_writes(131072, 4, 100)}; return c; });
  go("poll interval", [] { auto c = base_configuration(); c.machine.host_iommu.poll_interval = Time::us(1); return c; });
}
