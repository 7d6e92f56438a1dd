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
  go("strict", [] { return base_configuration(); });
  go("lazy", [] { return lazy_configuration(); });
  go("lazy think", [] { auto c = lazy_configuration(); c.jobs[0].thinktime = Time::us(200); return c; });
  for (bool l : {true}) for (bool s : {true, false}) go(fmt::format("64k lazy {} sync_map {}", l, s).c_str(), [&] { auto c = l ? lazy_configuration() : base_configuration(); c.jobs = {random_writes(65536, 1, 200)}; c.guest.sync_map = s; return c; });
  go("vfio.skip_invalidation", [] { auto c = base_configuration(); c.jobs = {random_writes(4096, 4, 200)}; c.faults.vfio.skip_invalidation = true; return c; });
  go("psi mask", [] { auto c = base_configuration(); c.jobs = {random_writes(65536, 4, 200)}; c.faults.iommu.ignore_psi_mask = true; return c; });
  go("psi mask 4k backing", [] { auto c = base_configuration(); c.guest.backing = Backing::pages_4k; c.jobs = {random_writes(65536, 4, 200)}; c.faults.iommu.ignore_psi_mask = true; return c; });
  go("psi mask clean 4k backing", [] { auto c = base_configuration(); c.guest.backing = Backing::pages_4k; c.jobs = {random_writes(65536, 4, 200)};  return c; });
  go("keep wc", [] { auto c = base_configuration(); c.jobs = {random_writes(4096, 4, 200)}; c.faults.iommu.keep_walk_cache = true; return c; });
  for (int q : {1,4}) go("reap wo flush", [&] { auto c = lazy_configuration(); c.jobs = {random_writes(4096, q, 200)}; c.faults.flush_queue.reap_without_flush = true; return c; });
  for (int q : {2,4,16}) go("past end", [&] { auto c = base_configuration(); c.jobs = {random_writes(4096, q, 200)}; c.faults.viommu.unmap_past_end = true; return c; });
  go("leak pins", [] { auto c = base_configuration(); c.faults.vfio.leak_pins = true; return c; });
  for (unsigned lim : {6u, 7u, 8u}) for (int mode : {0, 1, 2}) go(fmt::format("limit {} mode {}", lim, mode).c_str(), [&] { auto c = base_configuration(); c.jobs = {random_writes(4096, 16, 200)}; c.vmm.vfio.dma_entry_limit = lim; c.guest.report_request_errors = mode == 1; c.guest.sync_map = mode != 2; return c; });
  go("late strict", [] { auto c = base_configuration(); c.jobs[0].thinktime = Time::us(100); c.faults.nvme.late_dma = true; return c; });
  go("late lazy", [] { auto c = lazy_configuration(); c.jobs[0].thinktime = Time::us(100);c.faults.nvme.late_dma = true; return c; });
}
