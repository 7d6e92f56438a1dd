// SPDX-License-Identifier: Apache-2.0
// The Tegra SMMU's driver on the unit itself, over one memory: what is mapped, and what a device then sees of it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/tegra_smmu/instance.hpp"
#include "models/iommu/tegra/unit.hpp"
#include "tests/support/amd_bench.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::test {

struct TegraBench {
  static constexpr Gpa window{std::uint64_t{0x7001'9000}};
  static constexpr SourceId head{tegra::client::display_0a.id};
  static constexpr SourceId other_head{tegra::client::display_0a_b.id};

  /// A register access: a load is what came back.
  struct Access {
    bool store = false;
    std::uint32_t offset = 0;
    std::uint32_t value = 0;
    bool operator==(const Access&) const = default;
  };

  explicit TegraBench(guest::TegraFlush flush = guest::TegraFlush::before, const tegra::Soc& soc = tegra::tegra210,
                      guest::TegraDriverFaults faults = {}, guest::GuestCosts guest_costs = {},
                      guest::TegraSmmuCosts unit_costs = {})
      : costs(guest_costs),
        unit({&soc, 64, 4, flush == guest::TegraFlush::coherent}, bytes),
        instance(memory, {window, &soc, flush, unit_costs, faults}),
        driver(instance.make_domain(cpu, 1)),
        domain(*driver, core(flush)) {
    tracer.add(recorder);
  }
  /// What 4.3's core does, and what the proposals change in it: one callback a map, one an unmap.
  static guest::IommuCoreBehaviour core(guest::TegraFlush flush) {
    guest::IommuCoreBehaviour b;
    b.calls = guest::DriverCalls::per_page;
    b.sync_map = b.gather = flush != guest::TegraFlush::before;
    return b;
  }

  void boot() {
    instance.probe(cpu);
    (void)instance.attach(cpu, *driver, head);
    forget();
  }
  void forget() {
    accesses.clear();
    recorder.events.clear();
  }
  int map(std::uint64_t iova_page, std::span<const guest::Run> runs) {
    return domain.map_sg(cpu, Iova::from_page(iova_page), runs, {}).error;
  }
  int map(std::uint64_t iova_page, std::uint64_t gpa_page, std::uint64_t count) {
    const guest::Run run{Gpa::from_page(gpa_page), count * page_size};
    return map(iova_page, {&run, 1});
  }
  std::uint64_t unmap(std::uint64_t iova_page, std::uint64_t count) {
    return domain.unmap(cpu, Iova::from_page(iova_page), count * page_size) / page_size;
  }
  /// The page a write of the device lands in; none: it faulted.
  std::optional<std::uint64_t> lands(std::uint64_t iova_page, SourceId source = head) {
    const auto t = unit.translate(source, Iova::from_page(iova_page), iommu::Access::write);
    if (t.kind == iommu::Translation::Kind::fault) return std::nullopt;
    return t.hpa.page();
  }
  guest::TegraDomain& tegra() { return static_cast<guest::TegraDomain&>(*driver); }
  /// The sum over what the driver has told since forget().
  trace::SmmuMaintained maintained() const {
    trace::SmmuMaintained sum{};
    for (const auto& [at, e] : of_kind<trace::SmmuMaintained>(recorder.events)) {
      sum.tlb_ps += e.tlb_ps;
      sum.cache_ps += e.cache_ps;
      sum.barrier_ps += e.barrier_ps;
      sum.read_back_ps += e.read_back_ps;
      sum.lines_cleaned += e.lines_cleaned;
      sum.barriers += e.barriers;
      sum.register_writes += e.register_writes;
      sum.register_reads += e.register_reads;
    }
    return sum;
  }

  PhysicalMemory bytes{std::uint64_t{256} << 20};
  GuestRam ram = GuestRam::identity(bytes, bytes.size());
  guest::GuestPages pages{Gpa::from_page(0x100), Gpa::from_page(0x8000)};
  guest::KernelMemory memory{ram, pages};
  guest::GuestCosts costs;
  trace::Tracer tracer;
  Recorder recorder;
  SoloProcessor below;
  std::vector<Access> accesses;
  /// Who answers beyond the unit's registers.
  std::function<std::uint64_t(bool store, std::uint32_t offset, std::uint64_t value, unsigned bytes)> beside;
  iommu::TegraSmmuUnit unit;
  MmioProcessor processor{below, window,
                          [this](Processor&, bool store, std::uint32_t offset, std::uint64_t value, unsigned n) {
                            if (offset >= tegra::register_space_bytes) return beside(store, offset, value, n);
                            if (store) unit.write(offset, value, n);
                            const std::uint64_t loaded = store ? value : unit.read(offset, n);
                            accesses.push_back({store, offset, static_cast<std::uint32_t>(loaded)});
                            return loaded;
                          }};
  guest::Cpu cpu{processor, costs, {}, tracer};
  guest::TegraSmmuInstance instance;
  std::unique_ptr<guest::IommuDriver> driver;
  guest::IommuDomain domain;
};

}  // namespace gnomon::test
