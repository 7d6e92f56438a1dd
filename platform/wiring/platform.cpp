// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/platform.hpp"

#include <fmt/format.h>

#include "guest/kernel/panic.hpp"
#include <algorithm>

#include "models/hypervisor/core/amd_host_iommu.hpp"
#include "models/hypervisor/core/amdvi_device.hpp"
#include "models/hypervisor/core/intel_iommu_device.hpp"
#include "models/hypervisor/core/s390_host_iommu.hpp"
#include "models/hypervisor/core/smmu_host_iommu.hpp"
#include "models/hypervisor/core/vtd_host_iommu.hpp"
#include "models/iommu/amdvi/unit.hpp"
#include "models/iommu/s390/unit.hpp"
#include "models/iommu/smmuv3/unit.hpp"
#include "models/iommu/tegra/unit.hpp"
#include "models/iommu/vtd/unit.hpp"

namespace gnomon::wiring {

using scenario::HypervisorKind;
using scenario::IommuKind;

namespace {

constexpr std::uint64_t host_reserve = std::uint64_t{1} << 30;  // the host's own memory: page tables, queues

}  // namespace

Platform::Platform(const scenario::Configuration& configuration, trace::Tracer& tracer)
    : configuration_(configuration), tracer_(tracer), locks_(configuration.seed, tracer) {
  build_memory();
  build_processors();
  build_hypervisor();
  build_devices();
  build_replayed_device();
  bind();
}

std::unique_ptr<hypervisor::HostIommu> Platform::make_host_iommu(const HypervisorParts& parts,
                                                                 hypervisor::RegisterPort& registers) {
  const scenario::MachineProfile& machine = configuration_.machine;
  if (machine.iommu.unit == iommu::UnitKind::amdvi) {
    return std::make_unique<hypervisor::AmdHostIommu>(parts.memory, parts.host_pages, parts.monitor, registers,
                                                      machine.host_iommu, parts.tracer);
  }
  if (machine.iommu.unit == iommu::UnitKind::smmuv3) {
    auto driver = std::make_unique<hypervisor::SmmuHostIommu>(
        hypervisor::SmmuHostParts{parts.memory, parts.host_pages, parts.ram, parts.monitor, registers, parts.tracer},
        machine.host_iommu, hypervisor::SmmuHostOptions{machine.smmuv3.range_invalidation});
    guest_queues_ = driver.get();
    return driver;
  }
  if (machine.iommu.unit == iommu::UnitKind::s390) {
    std::vector<hypervisor::S390HostFunction> functions;
    for (unsigned i = 0; i < configuration_.devices.size(); ++i) {
      functions.push_back({configuration_.source_of(i), function_handle(configuration_.source_of(i))});
    }
    const auto register_at_boot = [unit = s390_unit_](std::uint64_t function, Iova first, Iova last, std::uint64_t iota) {
      return unit->register_translation(function, first, last, iota);
    };
    return std::make_unique<hypervisor::S390HostIommu>(parts.memory, parts.host_pages, *s390_hardware_, register_at_boot,
                                                       std::move(functions), machine.host_iommu, parts.tracer);
  }
  return std::make_unique<hypervisor::VtdHostIommu>(parts.memory, parts.host_pages, parts.monitor, registers,
                                                    machine.host_iommu,
                                                    hypervisor::VtdHostOptions{machine.iommu.max_address_mask,
                                                                               machine.iommu.scalable_mode},
                                                    parts.tracer);
}

std::unique_ptr<iommu::RemappingUnit> Platform::make_unit() {
  iommu::IommuConfig config = configuration_.machine.iommu;
  config.faults = configuration_.faults.iommu;
  switch (config.unit) {
    case iommu::UnitKind::vtd: return std::make_unique<iommu::VtdUnit>(config, *bytes_);
    case iommu::UnitKind::amdvi: return std::make_unique<iommu::AmdviUnit>(config, *bytes_);
    case iommu::UnitKind::s390: {
      auto unit = std::make_unique<iommu::S390PciUnit>(config, *bytes_);
      for (unsigned i = 0; i < configuration_.devices.size(); ++i) {
        unit->add_function(function_handle(configuration_.source_of(i)), configuration_.source_of(i), DomainId{static_cast<std::uint16_t>(i + 1)});
      }
      s390_unit_ = unit.get();
      s390_hardware_ = std::make_unique<S390PciHardware>(*s390_unit_, config.timing, tracer_);
      return unit;
    }
    case iommu::UnitKind::tegra: {
      iommu::TegraConfig unit;
      unit.soc = configuration_.machine.tegra_soc;
      unit.coherent = configuration_.guest.tegra_flush == guest::TegraFlush::coherent;
      return std::make_unique<iommu::TegraSmmuUnit>(unit, *bytes_);
    }
    case iommu::UnitKind::smmuv3:
      return std::make_unique<iommu::Smmuv3Unit>(config, *bytes_, configuration_.machine.smmuv3);
  }
  throw std::invalid_argument("no such unit");
}

void Platform::build_memory() {
  const std::uint64_t guest_bytes = configuration_.guest.memory;
  if (configuration_.hypervisor == HypervisorKind::none) {
    const auto* vfio = std::get_if<scenario::VfioWorkloadSpec>(&configuration_.benchmark);
    bytes_ = std::make_unique<PhysicalMemory>(vfio == nullptr ? guest_bytes
                                                              : vm_memory_base(guest_bytes).value + vfio->memory);
    ram_ = std::make_unique<GuestRam>(GuestRam::identity(*bytes_, guest_bytes));
  } else {
    bytes_ = std::make_unique<PhysicalMemory>(host_reserve + guest_bytes);
    ram_ = std::make_unique<GuestRam>(*bytes_, Hpa{host_reserve}, guest_bytes, configuration_.guest.backing,
                                      configuration_.seed);
  }
  host_pages_ = std::make_unique<PageAllocator>(*bytes_, Hpa{page_size}, Hpa{host_reserve});
  memory_ = std::make_unique<Memory>("memory", configuration_.machine.memory, *bytes_, monitor_);
  iommu_ = std::make_unique<Iommu>("iommu", make_unit(), configuration_.machine.iommu.timing, tracer_, activations_);
}

void Platform::build_processors() {
  interrupts_ = std::make_unique<InterruptFabric>("interrupts");
  router_ = std::make_unique<MmioRouter>("mmio");
  const bool virtualised = configuration_.hypervisor != HypervisorKind::none;
  std::vector<Processor*> processors;
  for (unsigned i = 0; i < configuration_.guest.vcpus; ++i) {
    vcpus_.push_back(std::make_unique<Vcpu>(fmt::format("cpu{}", i).c_str(), i, configuration_.machine.cpu, virtualised,
                                            tracer_, activations_));
    processors.push_back(vcpus_.back().get());
  }
  guest_ = std::make_unique<GuestSystem>(configuration_, *ram_, monitor_, locks_, tracer_, processors);
  if (!virtualised && s390_hardware_) guest_->issues_pci_instructions_to(*s390_hardware_);
  for (unsigned i = 0; i < vcpus_.size(); ++i) {
    vcpus_[i]->load([this, i] {
      try {
        guest_->run_cpu(i, [this](unsigned last_cpu) {
          vcpus_[last_cpu]->meet_kernel();
          finished_ = true;
          pause_simulation();
        });
      } catch (const guest::GuestPanic& panic) {  // the kernel would lose its type on the way out of the process
        panic_ = panic.what();
        pause_simulation();
      }
    });
  }
}

void Platform::build_hypervisor() {
  if (configuration_.hypervisor == HypervisorKind::none) return;
  hypervisor::HypervisorConfig config = configuration_.vmm;
  config.vfio.faults = configuration_.faults.vfio;
  const scenario::MachineProfile& machine = configuration_.machine;
  Lock& qemu_lock =
      locks_.add(big_lock, LockKind::queued, {machine.hypervisor.big_lock, machine.hypervisor.big_lock_handover});
  const HypervisorParts parts{*bytes_, *host_pages_, *ram_, monitor_, tracer_};
  hypervisor_ = std::make_unique<Hypervisor>(
      "hypervisor", config, machine.hypervisor, parts, qemu_lock,
      [&](hypervisor::RegisterPort& registers) { return make_host_iommu(parts, registers); });
  for (unsigned i = 0; i < configuration_.devices.size(); ++i) hypervisor_->assign(configuration_.source_of(i));
  build_viommu();
}

bool Platform::owns_queues() const {
  return hypervisor_ && configuration_.guest.translated && configuration_.iommu == IommuKind::smmuv3 &&
         configuration_.guest.smmu.queue == guest::SmmuQueue::owned;
}

void Platform::build_viommu() {
  const hypervisor::HypervisorConfig& config = configuration_.vmm;
  if (!configuration_.guest.translated) return;
  if (configuration_.iommu == IommuKind::amd_iommu) {
    hypervisor::AmdviDeviceConfig device;
    device.faults = configuration_.faults.amdvi;
    hypervisor_->add_viommu(std::make_unique<hypervisor::AmdviDevice>(*ram_, device));
  }
  if (configuration_.iommu == IommuKind::smmuv3) {
    hypervisor::Smmuv3DeviceConfig device = configuration_.smmu_device;
    device.faults = configuration_.faults.smmu_device;
    hypervisor::GuestQueueHost* const queues = owns_queues() ? guest_queues_ : nullptr;
    hypervisor_->add_viommu(std::make_unique<hypervisor::Smmuv3Device>(*ram_, device, queues));
  }
  if (configuration_.iommu == IommuKind::intel_iommu) {
    hypervisor::IntelIommuDeviceConfig device = configuration_.intel_device;
    device.faults = configuration_.faults.intel_device;
    hypervisor_->add_viommu(std::make_unique<hypervisor::IntelIommuDevice>(*ram_, device));
    guest_->traps_stores(*hypervisor_);
  }
  if (configuration_.iommu == IommuKind::s390_pci) {
    hypervisor::S390PciDeviceConfig device;
    device.faults = configuration_.faults.s390_device;
    guest_->issues_pci_instructions_to(hypervisor_->add_s390_functions(device, function_handle));
  }
  if (configuration_.iommu != IommuKind::virtio_iommu) return;

  hypervisor::VirtioIommuDeviceConfig device;
  device.space.page_size_mask = configuration_.iommu_page_sizes;
  device.check_granule = config.check_granule;
  device.faults = configuration_.faults.viommu;
  hypervisor_->add_viommu(device, *guest_->request_queue());
  if (config.service == hypervisor::QueueService::on_kick) return;
  io_core_ = std::make_unique<Vcpu>("io_thread", configuration_.guest.vcpus, configuration_.machine.cpu, false, tracer_,
                                    activations_);
  io_core_->load([this] { hypervisor_->run_io_thread(*io_core_); });
}

void Platform::build_devices() {
  for (unsigned i = 0; i < configuration_.devices.size(); ++i) {
    const scenario::DeviceModel model = configuration_.devices[i].model;
    const bool is_nic = model == scenario::DeviceModel::nic;
    const scenario::MachineProfile& machine = configuration_.machine;
    links_.push_back(nullptr);
    drives_.push_back(nullptr);
    nics_.push_back(nullptr);
    dma_masters_.push_back(nullptr);
    if (model == scenario::DeviceModel::dma_master) {  // on the chip: no link
      dma_masters_.back() =
          std::make_unique<DmaMaster>(fmt::format("dma_master{}", i).c_str(), i, configuration_.source_of(i),
                                      dma_master::DmaMasterConfig{}, tracer_, activations_);
      continue;
    }
    links_.back() = std::make_unique<PcieLink>(fmt::format("pcie{}", i).c_str(), is_nic ? machine.nic_pcie : machine.pcie);
    if (is_nic) {
      nic::NicConfig config = machine.nic;
      if (const auto* iperf = std::get_if<iperf::IperfSpec>(&configuration_.benchmark)) {
        config.peer.rate = iperf->bitrate / 8;
      }
      nics_.back() = std::make_unique<Nic>(fmt::format("nic{}", i).c_str(), i, configuration_.source_of(i), config, tracer_, activations_);
    } else {
      drives_.back() = std::make_unique<NvmeController>(
          fmt::format("nvme{}", i).c_str(), i, configuration_.source_of(i), machine.nvme, configuration_.faults.nvme,
          RandomStream(configuration_.seed, fmt::format("nvme{}", i)), tracer_, activations_);
    }
  }
}

/// The device a recording is of, in the place of the first.
void Platform::build_replayed_device() {
  const auto* replay = std::get_if<guest::ReplaySpec>(&configuration_.benchmark);
  if (replay == nullptr || !replay->accesses) return;
  replayed_ = std::make_unique<ReplayedDevice>("replayed", configuration_.source_of(0));
  guest_->replays_for(*replayed_);
}

void Platform::bind() {
  for (auto& vcpu : vcpus_) {
    vcpu->mmio.bind(router_->cpus);
    vcpu->interprocessor.bind(interrupts_->messages);
    interrupts_->cpus.bind(vcpu->interrupts);
  }
  iommu_->memory.bind(memory_->access);
  if (replayed_) replayed_->dma.bind(iommu_->dma);
  iommu_->messages.bind(interrupts_->messages);
  if (io_core_) {
    io_core_->mmio.bind(router_->cpus);
    io_core_->interprocessor.bind(interrupts_->messages);
    interrupts_->cpus.bind(io_core_->interrupts);
  }
  if (!hypervisor_ && configuration_.guest.translated) {  // the one operating system there is drives it
    router_->map_next(iommu_window, iommu_window_bytes);
    router_->targets.bind(iommu_->registers);
  }
  if (hypervisor_) {
    hypervisor_->iommu_registers.bind(iommu_->registers);
    if (owns_queues()) {  // the queues' own page is the guest's: no exit
      namespace vq = smmuv3::virtual_queue;
      router_->map_next(iommu_window + vq::page0, smmuv3::register_page_bytes, vq::page0);
      router_->targets.bind(iommu_->registers);
    }
    router_->map_next(iommu_window, iommu_window_bytes);
    router_->targets.bind(hypervisor_->trapped);
  }
  for (unsigned i = 0; i < links_.size(); ++i) {
    router_->map_next(device_bar(i), pci::bar_bytes);
    if (dma_masters_[i]) {
      dma_masters_[i]->dma.bind(iommu_->dma);
      router_->targets.bind(dma_masters_[i]->bar);
      continue;
    }
    if (drives_[i]) {
      drives_[i]->dma.bind(links_[i]->device);
      links_[i]->bar.bind(drives_[i]->bar);
    } else {
      nics_[i]->dma.bind(links_[i]->device);
      links_[i]->bar.bind(nics_[i]->bar);
    }
    links_[i]->root.bind(iommu_->dma);
    router_->targets.bind(links_[i]->cpu);
  }
}

std::string Platform::what_does(const Vcpu& vcpu) const {
  const auto it = [&](const auto* processor) { return processor == &vcpu; };
  if (vcpu.halted()) return "idle, waits for an interrupt";
  if (!vcpu.parked()) return "running";
  for (const Lock* lock : all_locks()) {
    if (std::any_of(lock->waiters().begin(), lock->waiters().end(), it))
      return fmt::format("spins for lock {}", locks_.names()[lock->id()]);
  }
  for (const LineMonitor::Watch& watch : monitor_.watched()) {
    if (it(watch.processor)) return fmt::format("spins on {}", guest_->name_of(watch.address));
  }
  return "parked, waits to be woken";
}

std::vector<const Lock*> Platform::all_locks() const {
  std::vector<const Lock*> locks = guest_->device_locks();
  for (const Lock& lock : locks_.locks()) locks.push_back(&lock);
  return locks;
}

std::string Platform::who_waits() const {
  const auto name = [this](const Processor& p) {
    return io_core_.get() == &p ? std::string{"the VMM's I/O thread"} : fmt::format("cpu {}", p.id());
  };
  std::string text;
  for (const auto& vcpu : vcpus_) text += fmt::format("{}: {}\n", name(*vcpu), what_does(*vcpu));
  if (io_core_) text += fmt::format("{}: {}\n", name(*io_core_), what_does(*io_core_));
  for (const Lock* lock : all_locks()) {
    if (!lock->held() && lock->waiting() == 0) continue;
    std::vector<std::string> waiters;
    for (const Processor* waiter : lock->waiters()) waiters.push_back(name(*waiter));
    text += fmt::format("lock {}: held by {}, waited for by {}\n", locks_.names()[lock->id()],
                        lock->held() ? name(*lock->owner()) : "nobody",
                        waiters.empty() ? "nobody" : fmt::format("{}", fmt::join(waiters, ", ")));
  }
  return text + guest_->unanswered();
}

void Platform::close() {
  if (hypervisor_) hypervisor_->close();
}

}  // namespace gnomon::wiring
