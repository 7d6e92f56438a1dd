// SPDX-License-Identifier: Apache-2.0
// The guest's kernel put together for one machine: CPUs, vIOMMU driver, DMA, NVMe drivers, the workload.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "guest/dma/bounced_dma.hpp"
#include "guest/dma/dma_device.hpp"
#include "guest/dma_master/driver.hpp"
#include "guest/fio/fio_workload.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/nic/driver.hpp"
#include "guest/nvme/driver.hpp"
#include "guest/replay/replay_device.hpp"
#include "models/hypervisor/core/pin_counts.hpp"
#include "platform/scenario/configuration.hpp"
#include "platform/wiring/guest_iommu.hpp"
#include "platform/wiring/s390_pci.hpp"

namespace gnomon::wiring {

/// Where the devices answer, in guest-physical addresses above any memory.
constexpr Gpa device_bar(unsigned device) { return iommu_window + (std::uint64_t{device} + 1) * (std::uint64_t{2} << 20); }

/// Where the memory of a VM lies that VFIO maps, behind the host's own.
constexpr Hpa vm_memory_base(std::uint64_t host_bytes) {
  constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
  return Hpa{(host_bytes + gibibyte - 1) / gibibyte * gibibyte};
}

class GuestSystem {
 public:
  /// `configuration` must outlive the guest.
  GuestSystem(const scenario::Configuration& configuration, GuestRam& ram, LineMonitor& monitor, LockTable& locks,
              trace::Tracer& tracer, std::vector<Processor*> processors);

  /// The program of CPU `index`: CPU 0 boots and starts the workload; `on_done`, with
  /// the CPU that saw it, when it has finished.
  void run_cpu(unsigned index, const std::function<void(unsigned)>& on_done);

  /// Before the start: who traps stores to write-protected tables.
  void traps_stores(StoreTrap& trap) { store_trap_.to = &trap; }
  /// Likewise: who carries an s390 guest's PCI instructions out.
  void issues_pci_instructions_to(PciInstructionPort& port) { pci_instructions_.to = &port; }
  /// Likewise: what uses the mappings of a replay.
  void replays_for(guest::ReplayDevice& device) { replay_device_ = &device; }
  /// Of a virtio-iommu; else null.
  const virtio::SplitQueueLayout* request_queue() const { return iommu_ ? iommu_->request_queue() : nullptr; }
  const guest::Workload* workload() const { return workload_.get(); }
  /// fio threads to be, in order: the name of each one's job.
  static std::vector<std::string> thread_names(const std::vector<fio::JobSpec>& jobs);
  /// For the report of a run that cannot go on: locks of its own making, what a word that is polled is called, and
  /// what the devices owe an answer to, a line each.
  std::vector<const Lock*> device_locks() const;
  std::string name_of(Hpa word) const;
  std::string unanswered() const;
  const std::string& failure() const { return failure_; }  ///< why the boot failed; empty if it did not

 private:
  struct Device {
    std::unique_ptr<guest::IommuDriver> driver;  ///< of its domain; null where it is not translated
    std::unique_ptr<guest::IommuDomain> domain;
    std::unique_ptr<guest::DmaDevice> unbounced;  ///< of a device that is not trusted: what is below its bounce buffers
    std::unique_ptr<guest::DmaDevice> dma;
    std::unique_ptr<guest::NvmeDriver> nvme;  ///< or
    std::unique_ptr<guest::NicDriver> nic;
    std::optional<guest::DmaMasterDriver> dma_master;
    std::vector<Lock> queue_locks;
  };

  void boot(guest::Cpu& cpu, const std::function<void(unsigned)>& on_done);
  void add_device(guest::Cpu& cpu, unsigned index);
  void add_nic(guest::Cpu& cpu, unsigned index, Device& device);
  std::unique_ptr<guest::DmaDevice> make_dma(guest::Cpu& cpu, unsigned index, Device& device);
  guest::Swiotlb& swiotlb();  ///< made when first asked for
  guest::S390Aperture s390_aperture(unsigned index) const;
  void keep_out(guest::TranslatedDma& dma, unsigned index) const;
  /// No driver of a device's own: it is VFIO's, or nobody's, and its domain is unmanaged.
  bool unmanaged() const;
  std::unique_ptr<guest::Workload> make_workload();

  const scenario::Configuration& configuration_;
  GuestRam& ram_;
  LockTable& locks_;
  guest::GuestPages pages_;
  std::vector<std::unique_ptr<guest::Cpu>> cpus_;
  std::vector<guest::Cpu*> cpu_pointers_;
  guest::KernelMemory kernel_memory_;
  struct LateStoreTrap final : StoreTrap {  // the hypervisor is made after the guest
    StoreTrap* to = nullptr;
    void stored(Processor& processor, Gpa address) override {
      if (to != nullptr) to->stored(processor, address);
    }
  };
  LateStoreTrap store_trap_;
  LatePciInstructions pci_instructions_;
  std::unique_ptr<GuestIommu> iommu_;
  std::unique_ptr<guest::Swiotlb> swiotlb_;  ///< where a device is not trusted, or memory is encrypted
  std::vector<std::unique_ptr<Device>> devices_;
  std::unique_ptr<GuestRam> vm_memory_;            ///< of the VM a VFIO workload maps
  std::unique_ptr<hypervisor::PinCounts> pins_;    ///< likewise
  guest::ReplayDevice* replay_device_ = nullptr;   ///< of a replay whose mappings a device uses
  std::unique_ptr<guest::Workload> workload_;
  std::string failure_;
};

}  // namespace gnomon::wiring
