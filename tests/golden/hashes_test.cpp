// SPDX-License-Identifier: Apache-2.0
// Trace hashes of small runs, the same on every compiler, optimisation level and machine.
#include <fmt/format.h>

#include <functional>

#include "tests/golden/golden_file.hpp"
#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

using scenario::Configuration;

Configuration mixed(Configuration c) {
  c.guest.vcpus = 4;
  c.jobs = {random_reads(4096, 8, 200), random_writes(64 * 1024, 4, 100)};
  c.jobs[0].numjobs = 3;
  return c;
}

struct Case {
  const char* name;
  std::function<Configuration()> make;
};

template <class F>
Case with(const char* name, Configuration base, F change) {
  change(base);
  return {name, [base] { return base; }};
}

std::vector<Case> cases() {
  const auto nothing = [](Configuration&) {};
  return {
      with("strict", base_configuration(), nothing),
      with("strict seed 2", base_configuration(), [](auto& c) { c.seed = 2; }),
      with("lazy", lazy_configuration(), nothing),
      with("lazy with pauses", lazy_configuration(), [](auto& c) { c.jobs[0].thinktime = Time::us(200); }),
      with("no sync_map, 4 KiB pages", base_configuration(),
           [](auto& c) {
             c.guest.sync_map = false;
             c.guest.backing = Backing::pages_4k;
             c.jobs = {random_writes(64 * 1024, 2, 50)};
           }),
      with("mixed strict", mixed(base_configuration()), nothing),
      with("mixed lazy", mixed(lazy_configuration()), nothing),
      with("mixed lazy, one queue", mixed(lazy_configuration()),
           [](auto& c) {
             c.guest.flush_queue = {false, 64, Time::s(1)};
           }),
      with("mixed strict, queued locks", mixed(base_configuration()),
           [](auto& c) { c.guest.spinlock = LockKind::queued; }),
      with("mixed strict, ioeventfd", mixed(base_configuration()),
           [](auto& c) { c.vmm.service = hypervisor::QueueService::ioeventfd; }),
      with("mixed lazy, worker", mixed(lazy_configuration()),
           [](auto& c) { c.vmm.service = hypervisor::QueueService::worker; }),
      with("polling host IOMMU, posted interrupts", mixed(base_configuration()),
           [](auto& c) {
             c.machine.host_iommu.poll_interval = Time::us(1);
             c.machine.cpu.posted_interrupts = true;
             c.machine.nested_paging_tax_ppm = 30'000;
           }),
      with("refused maps", base_configuration(),
           [](auto& c) {
             c.vmm.vfio.dma_entry_limit = 7;
             c.jobs = {random_writes(4096, 16, 100)};
           }),
      with("three drives", mixed(base_configuration()),
           [](auto& c) {
             c.devices.resize(3);
             c.jobs.push_back(c.jobs[0]);
             for (std::size_t i = 0; i < 3; ++i) c.jobs[i].filename = fmt::format("/dev/nvme{}n1", i);
           }),
      with("no vIOMMU", mixed(base_configuration()),
           [](auto& c) {
             c.iommu = scenario::IommuKind::none;
             c.guest.translated = false;
           }),
      with("bare metal", mixed(base_configuration()),
           [](auto& c) {
             c.hypervisor = scenario::HypervisorKind::none;
             c.iommu = scenario::IommuKind::none;
             c.guest.translated = false;
           }),
  };
}

TEST_CASE("the trace hashes that are written down") {
  std::string text;
  for (const Case& c : cases()) {
    const WholeRun run = run_whole(c.make());
    REQUIRE(run.result.status == run::Status::ok);
    text += fmt::format("{:016x}  {}\n", run.result.trace_hash, c.name);
  }
  check_golden("hashes.txt", text);
}

}  // namespace
}  // namespace gnomon::test
