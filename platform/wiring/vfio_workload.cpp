// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/vfio_workload.hpp"

#include <fmt/format.h>

namespace gnomon::wiring {

using hypervisor::IoPageTable;
using hypervisor::IotlbSync;
using hypervisor::IotlbSyncRange;

/// The container's page table is the IOMMU core's domain: what the container asks becomes iommu_map and
/// iommu_unmap_fast, with one gather from sync to sync.
class VfioWorkload::Table final : public IoPageTable, public IotlbSync {
 public:
  Table(guest::IommuDomain& domain, const hypervisor::HypervisorCosts& costs, guest::Cpu& cpu)
      : domain_(domain), costs_(costs), cpu_(cpu) {}

  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t /*leaf_bytes*/,
                 hypervisor::DmaAccess access) override {
    const guest::DmaAccess wanted{permits(access, hypervisor::DmaAccess::read),
                                  permits(access, hypervisor::DmaAccess::write)};
    const guest::MapResult result = domain_.map(cpu_, iova, Gpa{hpa.value}, bytes, wanted);
    return {result.error == 0, result.error == 0 ? bytes : result.left_mapped, 0, 0};
  }

  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    if (unmapped_.bytes == 0) unmapped_ = {iova, 0, cpu_.now()};
    const std::uint64_t done = domain_.unmap_fast(cpu_, iova, bytes, gather_);
    unmapped_.bytes += done;
    return {done, 0, 0};
  }

  std::optional<Hpa> iova_to_phys(Iova iova) override {
    cpu_.work(costs_.software_walk);
    const auto gpa = domain_.driver().iova_to_phys(iova);
    return gpa ? std::optional(Hpa{gpa->value}) : std::nullopt;
  }

  std::uint64_t page_sizes() const override { return domain_.driver().page_sizes().bits; }

  void sync(const IotlbSyncRange& range) override {
    cpu_.work(costs_.unmap_region * range.regions);
    domain_.iotlb_sync(cpu_, gather_);
    gather_ = guest::IotlbGather{};
    cpu_.processor().sync();
    cpu_.emit(trace::UnmapReturned{unmapped_.iova.value, unmapped_.bytes, (cpu_.now() - unmapped_.began).ps(),
                                   domain_.driver().domain(), cpu_.id(), 0, 0});
    unmapped_ = {};
    cpu_.work(costs_.unpin_page * range.pages_to_unpin);
  }

 private:
  struct Unmapped {
    Iova iova;
    std::uint64_t bytes = 0;
    Time began;
  };
  guest::IommuDomain& domain_;
  const hypervisor::HypervisorCosts& costs_;
  guest::Cpu& cpu_;
  guest::IotlbGather gather_;
  Unmapped unmapped_;  // since the last sync
};

VfioWorkload::VfioWorkload(const scenario::VfioWorkloadSpec& spec, guest::IommuDomain& domain,
                           const GuestRam& guest_memory, hypervisor::PinCounts& pins,
                           const hypervisor::HypervisorCosts& costs, guest::Cpu& cpu)
    : guest_memory_(guest_memory), costs_(costs), cpu_(cpu),
      table_(std::make_unique<Table>(domain, costs, cpu)),
      container_(*table_, guest_memory, pins, config_of(spec)) {}

VfioWorkload::~VfioWorkload() = default;

hypervisor::VfioConfig VfioWorkload::config_of(const scenario::VfioWorkloadSpec& spec) {
  hypervisor::VfioConfig config;
  config.fine_grained_superpages = spec.unmap == scenario::VfioUnmap::pages;
  return config;
}

void VfioWorkload::start(guest::Cpu& cpu, std::function<void(guest::Cpu&)> on_done) {
  on_done_ = std::move(on_done);
  cpu_.wake(*this, cpu);
}

bool VfioWorkload::turn(guest::Cpu& cpu) {
  cpu.emit(trace::WindowOpened{1});
  const Time began = cpu.now();
  mapped_ = container_.map(Iova{0}, Gpa{0}, guest_memory_.size(), hypervisor::DmaAccess::read_write, *table_);
  cpu.work(costs_.ioctl_map + costs_.pin_batch * mapped_.pin_batches + costs_.pin_page * mapped_.pages_pinned);
  cpu.processor().sync();
  const Time mapped = cpu.now();
  unmapped_ = container_.unmap_all(*table_);
  cpu.work(costs_.ioctl_unmap);
  cpu.processor().sync();
  map_took_ = mapped - began;
  unmap_took_ = cpu.now() - mapped;
  cpu.emit(trace::VfioTornDown{map_took_.ps(), unmap_took_.ps(), mapped_.runs, unmapped_.regions, unmapped_.syncs,
                               unmapped_.walk_steps});
  cpu.emit(trace::WindowClosed{1});
  on_done_(cpu);
  return false;
}

std::vector<guest::WorkloadOutput> VfioWorkload::outputs(Time /*now*/) const {
  const auto ms = [](Time t) { return static_cast<double>(t.ps()) * 1e-9; };
  return {{"vfio.txt",
           fmt::format("MAP_DMA: {:.3f} ms, {} runs, {} pages pinned\n"
                       "UNMAP_DMA: {:.3f} ms, {} regions unmapped, {} syncs, {} software walks\n",
                       ms(map_took_), mapped_.runs, mapped_.pages_pinned, ms(unmap_took_), unmapped_.regions,
                       unmapped_.syncs, unmapped_.walk_steps)}};
}

}  // namespace gnomon::wiring
