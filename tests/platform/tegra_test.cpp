// SPDX-License-Identifier: Apache-2.0
// Whole runs behind a Tegra SMMU: what maps and unmaps cost and of what that is the sum, and a display beside them.
#include <catch2/catch.hpp>

#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

using guest::ApiOperation;
using guest::TegraFlush;
using scenario::Configuration;
using trace::Verdict;

constexpr std::array every_flush{TegraFlush::before,
                                 TegraFlush::range,
                                 TegraFlush::one_callback,
                                 TegraFlush::walk_in_flush,
                                 TegraFlush::map_sync_unmap_sync,
                                 TegraFlush::unsynchronised,
                                 TegraFlush::coherent};

Configuration behind_tegra(TegraFlush flush, const tegra::Soc& soc = tegra::tegra210) {
  Configuration c = base_configuration();
  c.hypervisor = scenario::HypervisorKind::none;
  c.machine.iommu.unit = iommu::UnitKind::tegra;
  c.machine.tegra_soc = &soc;
  c.machine.software.scatter_element = Time::ns(890);
  c.iommu = scenario::IommuKind::tegra_smmu;
  c.devices = {{scenario::DeviceModel::dma_master, false}};
  c.guest.tegra_flush = flush;
  c.guest.core.calls = guest::DriverCalls::per_page;
  c.guest.core.sync_map = c.guest.core.gather = flush != TegraFlush::before;
  c.jobs.clear();
  return c;
}

constexpr unsigned pages = 64;

/// 64 scattered pages mapped and unmapped in a table that another buffer holds.
Configuration api(TegraFlush flush, const tegra::Soc& soc = tegra::tegra210) {
  Configuration c = behind_tegra(flush, soc);
  guest::ApiBenchmarkSpec spec;
  spec.prepare = {{ApiOperation::Kind::map, Iova{0x8020'0000}, page_size}};
  spec.operations = {{ApiOperation::Kind::map, Iova{0x8000'0000}, pages * page_size, 0, pages},
                     {ApiOperation::Kind::unmap, Iova{0x8000'0000}, pages * page_size}};
  if (flush == TegraFlush::unsynchronised) {
    const ApiOperation by_hand{ApiOperation::Kind::flush_all, {}};
    spec.prepare.push_back(by_hand);
    spec.operations.insert(spec.operations.begin() + 1, by_hand);
    spec.operations.push_back(by_hand);
  }
  c.benchmark = spec;
  return c;
}

/// A display of 256 KiB frames, 1000 of them a second, all in one table.
Configuration display(TegraFlush flush) {
  Configuration c = behind_tegra(flush);
  guest::DmaMasterSpec spec;
  spec.buffer = std::uint64_t{256} << 10;
  spec.rate = spec.buffer * 1000;
  spec.duration = Time::ms(20);
  spec.runs = 64;
  spec.flip = true;
  c.benchmark = spec;
  return c;
}

double ns(Time t) {
  return static_cast<double>(t.ps()) * 1e-3;
}

}  // namespace

// What is left when maintenance is taken away is what the costs of the software say, call by call.
TEST_CASE("the parts of a map and an unmap are counted apart, and sum to what a timer around them reads") {
  const TegraFlush flush = GENERATE(from_range(every_flush));
  const Configuration c = api(flush);
  const WholeRun run = run_whole(c);
  CAPTURE(static_cast<int>(flush));
  const guest::TegraSmmuCosts& costs = c.machine.tegra_smmu;
  const guest::GuestCosts& software = c.machine.software;
  const Time page = software.iommu_call + costs.page + costs.entry_store;
  Time rest = (page * 2 + software.scatter_element) * pages;
  // To see whether an entry is absent: all of a map's, the first of each group of four of an unmap's.
  if (flush == TegraFlush::walk_in_flush) rest += costs.entry_load * (pages + pages / 4);
  CHECK(run.metric("api.software_ns.mean") * 2 == Approx(ns(rest)));

  double sum = 0;
  double shares = 0;
  for (const char* part : {"tlb", "cache", "barrier", "read_back", "software"}) {
    sum += run.metric(std::string("api.") + part + "_ns.mean");
    shares += run.metric(std::string("api.") + part + "_share");
  }
  CHECK(sum == Approx(run.metric("api.call_ns.mean")));
  CHECK(shares == Approx(1));
  if (flush != TegraFlush::unsynchronised) {
    CHECK(run.metric("api.map_ns.mean") + run.metric("api.unmap_ns.mean") == Approx(2 * sum));
  }
  CHECK(run.metric("api.cache_ns.mean") * 2 == Approx(run.metric("api.lines_cleaned") * ns(costs.clean_line)));
  CHECK(run.metric("api.barrier_ns.mean") * 2 == Approx(run.metric("api.barriers") * ns(costs.barrier)));
  CHECK(run.metric("api.tlb_ns.mean") * 2 == Approx(run.metric("api.register_writes") * ns(costs.register_write)));
  CHECK(run.metric("api.read_back_ns.mean") * 2 ==
        Approx(run.metric("api.register_reads") * ns(costs.register_read)));
}

TEST_CASE("each SoC has its lines: what one range flush cleans and writes") {
  struct Row {
    const tegra::Soc& soc;
    unsigned lines, flushes, writes_each;  // of a map's 256 bytes of entries
  };
  const Row row = GENERATE(Row{tegra::tegra30, 8, 16, 1}, Row{tegra::tegra114, 4, 8, 1},
                           Row{tegra::tegra124, 4, 8, 2}, Row{tegra::tegra210, 4, 4, 2});
  CAPTURE(row.soc.name);
  const WholeRun run = run_whole(api(TegraFlush::range, row.soc));
  CHECK(run.metric("api.lines_cleaned") == 2 * row.lines);
  CHECK(run.metric("api.register_writes") == 2 * (row.flushes * row.writes_each + pages / 4));
  CHECK(run.metric("api.register_reads") == 2);
  CHECK(run.metric("api.barriers") == 2);
}

TEST_CASE("a display streams frames that come and go, and nothing goes wrong") {
  const TegraFlush flush = GENERATE(from_range(every_flush));
  CAPTURE(static_cast<int>(flush));
  const WholeRun run = run_whole(display(flush));
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("stream.refused") == 0);
  CHECK(run.metric("stream.underruns") == 0);
  CHECK(run.metric("stream.bytes_per_s") == Approx(262'144'000).epsilon(0.01));
  CHECK(run.metric("api.map_calls") >= 18);
  CHECK(run.metric("iotlb.misses") > 0);
  CHECK(run.metric("exits.total") == 0);
}

TEST_CASE("a frame is not let go before the next has taken its place: slow maps repeat frames") {
  Configuration c = display(TegraFlush::before);
  c.machine.tegra_smmu.register_read = Time::us(15);  // 64 maps and unmaps in 2.2 ms
  const WholeRun run = run_whole(c);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("stream.refused") == 0);
  CHECK(run.metric("api.map_calls") < 12);
  CHECK(run.metric("stream.bytes_per_s") == Approx(262'144'000).epsilon(0.01));
}

TEST_CASE("what the driver of a Tegra SMMU or its caller forgets, the display shows and the sanitizer names") {
  struct Row {
    const char* what;
    TegraFlush flush;
    void (*plant)(Configuration&);
    Verdict verdict;
  };
  const Row row = GENERATE(
      Row{"the flush by hand", TegraFlush::unsynchronised,
          [](Configuration& c) { c.faults.dma_master.forget_flush = true; }, Verdict::stale_dma},
      Row{"to clean", TegraFlush::range, [](Configuration& c) { c.faults.tegra_driver.skip_clean = true; },
          Verdict::spurious_fault},
      Row{"the page-table cache", TegraFlush::before,
          [](Configuration& c) { c.faults.tegra_driver.skip_ptc_flush = true; }, Verdict::stale_dma},
      Row{"the TLB", TegraFlush::map_sync_unmap_sync,
          [](Configuration& c) { c.faults.tegra_driver.skip_tlb_flush = true; }, Verdict::stale_dma},
      Row{"the directory", TegraFlush::range,
          [](Configuration& c) { c.faults.tegra_driver.skip_directory_flush = true; }, Verdict::spurious_fault});
  CAPTURE(row.what);
  Configuration c = display(row.flush);
  row.plant(c);
  const WholeRun run = run_whole(c);
  CHECK(run.count(row.verdict) > 0);
  // Without the flush by hand the first entries of the second slot stay in the CPU's cache too.
  const bool uncleaned = row.flush == TegraFlush::unsynchronised;
  CHECK(run.count(row.verdict) + (uncleaned ? run.count(Verdict::spurious_fault) : 0) == run.result.verdicts);
}

TEST_CASE("a stream behind a PCI machine's IOMMU, on bare metal and in a guest") {
  Configuration c = base_configuration();
  c.jobs.clear();
  c.devices = {{scenario::DeviceModel::dma_master, false}};
  c.benchmark = std::get<guest::DmaMasterSpec>(display(TegraFlush::before).benchmark);
  if (GENERATE(false, true)) {
    c.hypervisor = scenario::HypervisorKind::none;
    c.iommu = scenario::IommuKind::intel_iommu;
  }
  const WholeRun run = run_whole(c);
  CHECK(run.result.verdicts == 0);
  CHECK(run.metric("stream.refused") == 0);
  CHECK(run.metric("dma.bytes") > 15 * 262'144);
}

TEST_CASE("behind a Tegra SMMU the same configuration gives the same trace") {
  const WholeRun one = run_whole(display(TegraFlush::range));
  const WholeRun other = run_whole(display(TegraFlush::range));
  CHECK(one.result.trace_hash == other.result.trace_hash);
  CHECK(one.result.trace_hash != run_whole(display(TegraFlush::before)).result.trace_hash);
}

}  // namespace gnomon::test
