// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/guest_system.hpp"

#include <cstring>

namespace gnomon::wiring {

using scenario::Configuration;
using scenario::ViommuKind;

namespace {

constexpr Gpa first_free{std::uint64_t{16} << 20};   // below: firmware, kernel image
constexpr std::uint64_t low_memory_end = std::uint64_t{3} << 30;  // above: the PCI hole of a PC
constexpr unsigned first_vector = first_device_vector;
constexpr const char* flush_queue_lock = "flush_queue";
constexpr std::uint64_t msi_first = 0xfee00;  // the interrupt window is reserved in every domain, in pages
constexpr std::uint64_t msi_last = 0xfeeff;

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
      pages_(first_free, Gpa{std::min(configuration.guest.memory, low_memory_end)}) {
  for (Processor* processor : processors) {
    cpus_.push_back(std::make_unique<guest::Cpu>(*processor, configuration.machine.software,
                                                 cpu_options(configuration), tracer));
    cpu_pointers_.push_back(cpus_.back().get());
  }
  if (configuration.viommu == ViommuKind::virtio_iommu) set_up_viommu(monitor, locks);
  for (unsigned i = 0; i < configuration.nvme_devices; ++i) devices_.push_back(make_device(i));
}

void GuestSystem::set_up_viommu(LineMonitor& monitor, LockTable& locks) {
  const auto& vmm = configuration_.vmm;
  const std::uint16_t size = vmm.request_queue_size;
  const Gpa rings = pages_.allocate(std::uint64_t{64} * size);
  viommu_layout_ = virtio::SplitQueueLayout::contiguous(rings, size);
  guest::RequestPool pool;
  pool.readable_bytes = virtio_iommu::max_readable_bytes;
  pool.writable_bytes = sizeof(virtio_iommu::Tail);
  pool.base = pages_.allocate(pool.bytes(size));
  viommu_ring_ = std::make_unique<guest::VirtqueueDriver>(
      ram_, viommu_layout_, pool, guest::VirtqueueDriverConfig{vmm.indirect, vmm.event_idx, false});
  Lock& lock = locks.add("viommu_request", configuration_.guest.spinlock, configuration_.machine.lock);
  viommu_queue_ = std::make_unique<guest::ViommuRequestQueue>(
      *viommu_ring_, ram_, monitor, lock, ram_.to_hpa(viommu_layout_.used_index()),
      guest::ViommuRequestQueue::Options{viommu_window, configuration_.guest.report_request_errors});
}

std::unique_ptr<GuestSystem::Device> GuestSystem::make_device(unsigned index) {
  const scenario::GuestConfiguration& g = configuration_.guest;
  auto device = std::make_unique<Device>();
  if (!g.translated || viommu_queue_ == nullptr) {
    device->dma = std::make_unique<guest::DirectDma>();
  } else {
    device->driver = std::make_unique<guest::ViommuDomain>(
        *viommu_queue_, guest::ViommuDriverBehaviour{g.sync_map, configuration_.faults.driver}, index + 1,
        guest::PageSizeBitmap{configuration_.viommu_page_sizes});
    device->domain = std::make_unique<guest::IommuDomain>(*device->driver,
                                                          guest::IommuCoreBehaviour{g.sync_map_can_fail});
    const unsigned queues = g.flush_queue.per_cpu ? g.vcpus : 1;
    for (unsigned i = 0; i < queues; ++i) {
      device->queue_locks.push_back(locks_.make(flush_queue_lock, g.spinlock, configuration_.machine.lock));
    }
    guest::DmaDomainOptions options;
    options.deferred = g.deferred;
    options.flush_queue = g.flush_queue;
    options.faults = configuration_.faults.flush_queue;
    options.iova = g.iova;
    options.limits.force_dac = g.force_dac;
    options.limits.aperture_end = (std::uint64_t{1} << 48) - 1;
    auto dma = std::make_unique<guest::TranslatedDma>(*device->domain, options, cpu_pointers_, device->queue_locks);
    dma->reserve(msi_first, msi_last);
    device->dma = std::move(dma);
  }
  guest::NvmeDriverOptions options;
  options.bar = nvme_bar(index);
  options.device = index;
  options.max_transfer = g.nvme_max_transfer;
  device->nvme = std::make_unique<guest::NvmeDriver>(options, *device->dma, ram_, pages_, cpu_pointers_);
  return device;
}

void GuestSystem::run_cpu(unsigned index, const std::function<void(unsigned)>& on_done) {
  guest::Cpu& cpu = *cpus_[index];
  if (index == 0) boot(cpu, on_done);
  cpu.run();
}

void GuestSystem::boot(guest::Cpu& cpu, const std::function<void(unsigned)>& on_done) {
  for (unsigned i = 0; i < configuration_.nvme_devices; ++i) {
    Device& device = *devices_[i];
    if (device.driver != nullptr) {
      if (const int error = device.driver->attach(cpu, nvme_source(i).value); error != 0) {
        throw std::runtime_error("virtio-iommu: attach failed: " + std::string(std::strerror(error)));
      }
    }
    device.nvme->probe(cpu, first_vector + i);
  }
  guest::FioOptions options;
  options.seed = configuration_.seed;
  options.device_bytes = configuration_.machine.nvme.capacity;
  options.buffers = configuration_.guest.buffers;
  workload_ = std::make_unique<guest::FioWorkload>(configuration_.jobs, options, cpu_pointers_, *devices_[0]->nvme,
                                                   pages_);
  workload_->start(cpu, [on_done](guest::Cpu& last) { on_done(last.id()); });
}

std::vector<std::string> GuestSystem::thread_names(const std::vector<fio::JobSpec>& jobs) {
  std::vector<std::string> names;
  for (const fio::JobSpec& job : jobs) names.insert(names.end(), job.numjobs, job.name);
  return names;
}

}  // namespace gnomon::wiring
