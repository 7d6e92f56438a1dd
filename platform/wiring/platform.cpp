// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/platform.hpp"

#include <fmt/format.h>

#include "models/iommu/vtd/unit.hpp"

namespace gnomon::wiring {

using scenario::HypervisorKind;
using scenario::IommuKind;

namespace {
constexpr std::uint64_t host_reserve = std::uint64_t{1} << 30;  // the host's own memory: page tables, queues
}

Platform::Platform(const scenario::Configuration& configuration, trace::Tracer& tracer)
    : configuration_(configuration), tracer_(tracer), locks_(configuration.seed, tracer) {
  build_memory();
  build_processors();
  build_hypervisor();
  build_devices();
  bind();
}

void Platform::build_memory() {
  const std::uint64_t guest_bytes = configuration_.guest.memory;
  if (configuration_.hypervisor == HypervisorKind::none) {
    bytes_ = std::make_unique<PhysicalMemory>(guest_bytes);
    ram_ = std::make_unique<GuestRam>(GuestRam::identity(*bytes_, guest_bytes));
  } else {
    bytes_ = std::make_unique<PhysicalMemory>(host_reserve + guest_bytes);
    ram_ = std::make_unique<GuestRam>(*bytes_, Hpa{host_reserve}, guest_bytes, configuration_.guest.backing,
                                      configuration_.seed);
  }
  host_pages_ = std::make_unique<PageAllocator>(*bytes_, Hpa{page_size}, Hpa{host_reserve});
  memory_ = std::make_unique<Memory>("memory", configuration_.machine.memory, *bytes_, monitor_);
  iommu::IommuConfig iommu = configuration_.machine.iommu;
  iommu.faults = configuration_.faults.iommu;
  iommu_ = std::make_unique<Iommu>("iommu", std::make_unique<iommu::VtdUnit>(iommu, *bytes_), iommu.timing, tracer_,
                                   activations_);
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
  for (unsigned i = 0; i < vcpus_.size(); ++i) {
    vcpus_[i]->load([this, i] {
      guest_->run_cpu(i, [this](unsigned last_cpu) {
        vcpus_[last_cpu]->meet_kernel();
        finished_ = true;
        sc_core::sc_pause();
      });
    });
  }
}

void Platform::build_hypervisor() {
  if (configuration_.hypervisor == HypervisorKind::none) return;
  hypervisor::HypervisorConfig config = configuration_.vmm;
  config.vfio.faults = configuration_.faults.vfio;
  const scenario::MachineProfile& machine = configuration_.machine;
  Lock& big_lock =
      locks_.add("big_lock", LockKind::queued, {machine.hypervisor.big_lock, machine.hypervisor.big_lock_handover});
  const HypervisorParts parts{*bytes_, *host_pages_, *ram_, monitor_, tracer_};
  hypervisor_ = std::make_unique<Hypervisor>("hypervisor", config, machine.hypervisor, machine.host_iommu,
                                             machine.iommu.max_address_mask, parts, big_lock);
  for (unsigned i = 0; i < configuration_.devices.size(); ++i) hypervisor_->assign(device_source(i));
  if (guest_->request_queue() == nullptr) return;

  hypervisor::VirtioIommuDeviceConfig device;
  device.space.page_size_mask = configuration_.iommu_page_sizes;
  device.check_granule = config.check_granule;
  device.faults = configuration_.faults.viommu;
  hypervisor_->add_viommu(device, *guest_->request_queue());
  if (config.service == hypervisor::QueueService::on_kick) return;
  io_core_ = std::make_unique<Vcpu>("io_thread", configuration_.guest.vcpus, machine.cpu, false, tracer_, activations_);
  io_core_->load([this] { hypervisor_->run_io_thread(*io_core_); });
}

void Platform::build_devices() {
  for (unsigned i = 0; i < configuration_.devices.size(); ++i) {
    links_.push_back(std::make_unique<PcieLink>(fmt::format("pcie{}", i).c_str(), configuration_.machine.pcie));
    drives_.push_back(std::make_unique<NvmeController>(
        fmt::format("nvme{}", i).c_str(), i, device_source(i), configuration_.machine.nvme, configuration_.faults.nvme,
        RandomStream(configuration_.seed, fmt::format("nvme{}", i)), tracer_, activations_));
  }
}

void Platform::bind() {
  for (auto& vcpu : vcpus_) {
    vcpu->mmio.bind(router_->cpus);
    vcpu->interprocessor.bind(interrupts_->messages);
    interrupts_->cpus.bind(vcpu->interrupts);
  }
  iommu_->memory.bind(memory_->access);
  iommu_->messages.bind(interrupts_->messages);
  if (io_core_) {
    io_core_->mmio.bind(router_->cpus);
    io_core_->interprocessor.bind(interrupts_->messages);
    interrupts_->cpus.bind(io_core_->interrupts);
  }
  if (hypervisor_) {
    hypervisor_->iommu_registers.bind(iommu_->registers);
    router_->map_next(iommu_window, iommu_window_bytes);
    router_->targets.bind(hypervisor_->trapped);
  }
  for (unsigned i = 0; i < drives_.size(); ++i) {
    drives_[i]->dma.bind(links_[i]->device);
    links_[i]->root.bind(iommu_->dma);
    links_[i]->bar.bind(drives_[i]->bar);
    router_->map_next(device_bar(i), pci::bar_bytes);
    router_->targets.bind(links_[i]->cpu);
  }
}

std::string Platform::who_waits() const {
  std::string text;
  for (const auto& vcpu : vcpus_) {
    text += fmt::format("cpu {}: {}\n", vcpu->id(), vcpu->parked() ? "spinning" : vcpu->halted() ? "idle" : "running");
  }
  for (const Lock& lock : locks_.locks()) {
    if (!lock.held() && lock.waiting() == 0) continue;
    text += fmt::format("lock {}: held by {}, {} waiting\n", locks_.names()[lock.id()],
                        lock.held() ? fmt::format("cpu {}", lock.owner()->id()) : "nobody", lock.waiting());
  }
  return text;
}

void Platform::close() {
  if (hypervisor_) hypervisor_->close();
}

}  // namespace gnomon::wiring
