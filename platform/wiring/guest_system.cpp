// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/guest_system.hpp"

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>
#include <variant>

#include "guest/dma/reserved_windows.hpp"
#include "guest/dma_master/workload.hpp"
#include "guest/iperf/workload.hpp"
#include "guest/replay/replay_workload.hpp"
#include "platform/wiring/vfio_workload.hpp"

namespace gnomon::wiring {

using scenario::Configuration;

namespace {

constexpr Gpa first_free{std::uint64_t{16} << 20};   // below: firmware, kernel image
constexpr std::uint64_t low_memory_end = std::uint64_t{3} << 30;  // above: the PCI hole of a PC
constexpr unsigned first_vector = first_device_vector;
constexpr const char* flush_queue_lock = "flush_queue";

guest::CpuOptions cpu_options(const Configuration& c) {
  guest::CpuOptions options;
  options.hz = c.guest.hz;
  if (c.hypervisor != scenario::HypervisorKind::none) options.nested_paging_tax_ppm = c.machine.nested_paging_tax_ppm;
  return options;
}

}  // namespace

GuestSystem::GuestSystem(const Configuration& configuration, GuestRam& ram, LineMonitor& monitor, LockTable& locks,
                         trace::Tracer& tracer, std::vector<Processor*> processors)
    : configuration_(configuration), ram_(ram), locks_(locks),
      pages_(first_free, Gpa{std::min(configuration.guest.memory, low_memory_end)}), kernel_memory_(ram, pages_) {
  for (Processor* processor : processors) {
    cpus_.push_back(std::make_unique<guest::Cpu>(*processor, configuration.machine.software,
                                                 cpu_options(configuration), tracer));
    cpu_pointers_.push_back(cpus_.back().get());
  }
  if (const auto* vfio = std::get_if<scenario::VfioWorkloadSpec>(&configuration.benchmark)) {
    vm_memory_ = std::make_unique<GuestRam>(ram.memory(), vm_memory_base(configuration.guest.memory), vfio->memory,
                                            configuration.guest.backing, configuration.seed);
    pins_ = std::make_unique<hypervisor::PinCounts>(ram.memory().size());
  }
  if (configuration.guest.translated) {
    const bool traps = configuration.iommu == scenario::IommuKind::intel_iommu &&
                       configuration.intel_device.shadowing == hypervisor::IntelShadowing::write_protect;
    if (!configuration.guest.s390_own_dma) {
      iommu_ = make_guest_iommu({traps ? &store_trap_ : nullptr, configuration, ram, pages_, kernel_memory_, monitor,
                                 locks, pci_instructions_});
    }
  }
  if (configuration.guest.s390_own_dma) {  // observers learn the names before the guest boots
    locks_.id_of(s390_bitmap_lock);
    locks_.id_of(s390_table_lock);
  }
  if (iommu_) {  // likewise
    locks_.id_of(flush_queue_lock);
    if (configuration.iommu == scenario::IommuKind::amd_iommu) locks_.id_of("amd_domain");
    if (configuration.iommu == scenario::IommuKind::intel_iommu) locks_.id_of("intel_domain");
  }
}

void GuestSystem::run_cpu(unsigned index, const std::function<void(unsigned)>& on_done) {
  guest::Cpu& cpu = *cpus_[index];
  if (index == 0) boot(cpu, on_done);
  cpu.run();
}

void GuestSystem::boot(guest::Cpu& cpu, const std::function<void(unsigned)>& on_done) {
  if (iommu_) iommu_->instance().probe(cpu);
  for (unsigned i = 0; i < configuration_.devices.size(); ++i) add_device(cpu, i);
  workload_ = make_workload();
  workload_->start(cpu, [on_done](guest::Cpu& last) { on_done(last.id()); });
}

void GuestSystem::add_device(guest::Cpu& cpu, unsigned index) {
  devices_.push_back(std::make_unique<Device>());
  Device& device = *devices_.back();
  device.dma = make_dma(cpu, index, device);
  if (configuration_.devices[index].model == scenario::DeviceModel::dma_master) device.dma_master.emplace(device_bar(index));
  if (unmanaged() || std::holds_alternative<guest::ReplaySpec>(configuration_.benchmark)) return;
  if (configuration_.devices[index].model == scenario::DeviceModel::dma_master) return;
  if (configuration_.devices[index].model == scenario::DeviceModel::nic) return add_nic(cpu, index, device);
  guest::NvmeDriverOptions options;
  options.bar = device_bar(index);
  options.device = index;
  options.max_transfer = configuration_.guest.nvme_max_transfer;
  device.nvme = std::make_unique<guest::NvmeDriver>(options, *device.dma, ram_, pages_, cpu_pointers_);
  device.nvme->probe(cpu, first_vector + index);
}

void GuestSystem::add_nic(guest::Cpu& cpu, unsigned index, Device& device) {
  guest::NicDriverOptions options;
  options.bar = device_bar(index);
  options.device = index;
  options.costs = configuration_.machine.nic_software;
  options.seed = configuration_.seed;
  options.gro_ends_with_poll = configuration_.guest.hz < 1000;
  if (const auto* iperf = std::get_if<iperf::IperfSpec>(&configuration_.benchmark)) {
    options.pool.recycled_ppm = iperf->recycled_ppm;
  }
  device.nic = std::make_unique<guest::NicDriver>(options, *device.dma, ram_, pages_, cpu_pointers_);
  device.nic->probe(cpu, first_vector + index);
}

std::unique_ptr<guest::DmaDevice> GuestSystem::make_dma(guest::Cpu& cpu, unsigned index, Device& device) {
  const scenario::GuestConfiguration& g = configuration_.guest;
  if (g.s390_own_dma) {
    return make_s390_own_dma(configuration_, cpu, kernel_memory_, pci_instructions_, index, locks_, device.queue_locks);
  }
  if (!iommu_) {
    if (!g.memory_encryption) return std::make_unique<guest::DirectDma>();
    device.unbounced = std::make_unique<guest::DirectDma>();
    return std::make_unique<guest::BouncedDma>(*device.unbounced, swiotlb(), guest::BouncedDma::What::everything);
  }
  guest::IommuInstance& iommu = iommu_->instance();
  device.driver = iommu.make_domain(cpu, index + 1);
  if (const int error = iommu.attach(cpu, *device.driver, configuration_.source_of(index)); error != 0) {
    throw std::runtime_error("IOMMU: attach failed: " + std::string(std::strerror(error)));
  }
  device.domain = std::make_unique<guest::IommuDomain>(*device.driver, g.core);
  const unsigned queues = g.flush_queue.per_cpu ? g.vcpus : 1;
  for (unsigned i = 0; i < queues; ++i) {
    device.queue_locks.push_back(locks_.make(flush_queue_lock, g.spinlock, configuration_.machine.lock));
  }
  guest::DmaDomainOptions options;
  const bool untrusted = configuration_.devices[index].untrusted;
  options.deferred = g.deferred && !untrusted;
  const auto* replay = std::get_if<guest::ReplaySpec>(&configuration_.benchmark);
  options.own_timer = replay == nullptr || replay->pacing != guest::ReplayPacing::ordered;
  options.flush_queue = g.flush_queue;
  options.faults = configuration_.faults.flush_queue;
  options.iova = g.iova;
  options.limits.force_dac = g.force_dac;
  // A first-level table maps the lower canonical half alone.
  const bool first_level = configuration_.iommu == scenario::IommuKind::intel_iommu;
  const bool tegra = configuration_.iommu == scenario::IommuKind::tegra_smmu;
  options.limits.aperture_end = (std::uint64_t{1} << (tegra ? 32 : first_level ? 47 : 48)) - 1;
  if (configuration_.iommu == scenario::IommuKind::s390_pci) options.limits.aperture_end = s390_aperture(index).last.value;
  auto dma = std::make_unique<guest::TranslatedDma>(*device.domain, options, cpu_pointers_, device.queue_locks);
  if (replay != nullptr && replay->pacing == guest::ReplayPacing::ordered) {  // as in the recorded guest
    for (const guest::PageRange& taken : replay->script->occupied) dma->reserve(taken.first, taken.last);
  } else {
    keep_out(*dma, index);
  }
  if (!untrusted) return dma;
  device.unbounced = std::move(dma);
  return std::make_unique<guest::BouncedDma>(*device.unbounced, swiotlb(), guest::BouncedDma::What::parts_of_pages);
}

guest::Swiotlb& GuestSystem::swiotlb() {
  if (!swiotlb_) {
    constexpr std::uint64_t bytes = guest::Swiotlb::default_bytes;
    swiotlb_ = std::make_unique<guest::Swiotlb>(pages_.allocate(bytes, guest::Swiotlb::most_bytes), bytes);
  }
  return *swiotlb_;
}

guest::S390Aperture GuestSystem::s390_aperture(unsigned index) const {
  const guest::S390FunctionInfo info = s390_function_info(configuration_, configuration_.source_of(index));
  return guest::s390_function(info, s390_options(configuration_)).aperture;
}

/// Device addresses that the kernel never hands out: a PC's windows; what lies below an s390 function's aperture.
void GuestSystem::keep_out(guest::TranslatedDma& dma, unsigned index) const {
  if (configuration_.iommu == scenario::IommuKind::s390_pci) {
    dma.reserve(0, s390_aperture(index).first.page() - 1);
  } else if (configuration_.hypervisor != scenario::HypervisorKind::none) {
    const auto windows = guest::reserved_windows(configuration_.guest.memory);
    for (const guest::PageRange& window : windows) dma.reserve(window.first, window.last);
  } else {
    dma.reserve(guest::interrupt_window.first, guest::interrupt_window.last);
  }
}

bool GuestSystem::unmanaged() const {
  return std::holds_alternative<guest::ApiBenchmarkSpec>(configuration_.benchmark) ||
         std::holds_alternative<guest::DmaMasterSpec>(configuration_.benchmark) ||
         std::holds_alternative<scenario::VfioWorkloadSpec>(configuration_.benchmark);
}

std::unique_ptr<guest::Workload> GuestSystem::make_workload() {
  if (const auto* api = std::get_if<guest::ApiBenchmarkSpec>(&configuration_.benchmark)) {
    return std::make_unique<guest::ApiBenchmark>(*api, *devices_[0]->domain, *cpus_[0], pages_);
  }
  if (const auto* maps = std::get_if<guest::MapBenchmarkSpec>(&configuration_.benchmark)) {
    return std::make_unique<guest::MapBenchmark>(*maps, *devices_[0]->dma, cpu_pointers_, pages_);
  }
  if (const auto* vfio = std::get_if<scenario::VfioWorkloadSpec>(&configuration_.benchmark)) {
    return std::make_unique<VfioWorkload>(*vfio, *devices_[0]->domain, *vm_memory_, *pins_,
                                          configuration_.machine.hypervisor, *cpus_[0]);
  }
  if (const auto* stream = std::get_if<guest::DmaMasterSpec>(&configuration_.benchmark)) {
    const bool by_hand = configuration_.iommu == scenario::IommuKind::tegra_smmu &&
                         configuration_.guest.tegra_flush == guest::TegraFlush::unsynchronised;
    return std::make_unique<guest::DmaMasterWorkload>(*stream, *devices_[0]->domain, *devices_[0]->dma_master, *cpus_[0],
                                                      pages_, by_hand, configuration_.faults.dma_master);
  }
  if (const auto* iperf = std::get_if<iperf::IperfSpec>(&configuration_.benchmark)) {
    return std::make_unique<guest::IperfWorkload>(*iperf, cpu_pointers_, *devices_[0]->nic);
  }
  if (const auto* replay = std::get_if<guest::ReplaySpec>(&configuration_.benchmark)) {
    return std::make_unique<guest::ReplayWorkload>(*replay, *devices_[0]->dma, replay_device_, cpu_pointers_, pages_);
  }
  guest::FioOptions options;
  options.seed = configuration_.seed;
  options.device_bytes = configuration_.machine.nvme.capacity;
  options.buffers = configuration_.guest.buffers;
  std::vector<guest::NvmeDriver*> drives;
  for (const auto& device : devices_) {
    if (device->nvme) drives.push_back(device->nvme.get());
  }
  return std::make_unique<guest::FioWorkload>(configuration_.jobs, options, cpu_pointers_, drives, pages_);
}

std::vector<const Lock*> GuestSystem::device_locks() const {
  std::vector<const Lock*> locks;
  for (const auto& device : devices_)
    for (const Lock& lock : device->queue_locks) locks.push_back(&lock);
  return locks;
}

std::string GuestSystem::name_of(Hpa word) const {
  if (const auto* queue = request_queue(); queue != nullptr && word == ram_.to_hpa(queue->used_index()))
    return "the used ring of virtio-iommu's request queue";
  return fmt::format("the word at host address {:#x}", word.value);
}

std::string GuestSystem::unanswered() const {
  std::string text;
  if (const std::uint64_t requests = iommu_ ? iommu_->in_flight() : 0; requests > 0)
    text += fmt::format("virtio-iommu's request queue: {} requests in flight\n", requests);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const guest::NvmeDriver* drive = devices_[i]->nvme.get();
    if (const std::uint64_t commands = drive == nullptr ? 0 : drive->in_flight(); commands > 0)
      text += fmt::format("nvme{}: {} commands in flight\n", i, commands);
  }
  return text;
}

std::vector<std::string> GuestSystem::thread_names(const std::vector<fio::JobSpec>& jobs) {
  std::vector<std::string> names;
  for (const fio::JobSpec& job : jobs) names.insert(names.end(), job.numjobs, job.name);
  return names;
}

}  // namespace gnomon::wiring
