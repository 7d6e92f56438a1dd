// SPDX-License-Identifier: Apache-2.0
// Builds and binds the modules of one configuration: the only code that knows them all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/cpu/vcpu.hpp"
#include "models/dma_master/dma_master.hpp"
#include "models/fabric/interrupt_fabric.hpp"
#include "models/fabric/memory.hpp"
#include "models/fabric/mmio_router.hpp"
#include "models/fabric/pcie_link.hpp"
#include "models/hypervisor/core/smmuv3_device.hpp"
#include "models/hypervisor/hypervisor.hpp"
#include "models/iommu/iommu.hpp"
#include "models/iommu/s390_pci.hpp"
#include "models/nic/nic.hpp"
#include "models/nvme/nvme_controller.hpp"
#include "platform/wiring/guest_system.hpp"
#include "platform/wiring/replayed_device.hpp"

namespace gnomon::wiring {

class Platform {
 public:
  /// The name of the lock under which the VMM works for the guest (QEMU's big lock).
  static constexpr const char* big_lock = "big_lock";

  /// Elaborates: once a process. `configuration` and `tracer` must outlive the platform.
  Platform(const scenario::Configuration& configuration, trace::Tracer& tracer);

  /// The workload has finished.
  bool finished() const { return finished_; }
  /// The line of the guest kernel's panic; empty while it lives.
  const std::string& panic() const { return panic_; }
  /// What every processor is doing, who holds which lock and what a device owes, for the report of a run that cannot
  /// go on.
  std::string who_waits() const;
  /// Tears down what the hypervisor holds for the guest.
  void close();

  GuestRam& ram() { return *ram_; }
  const LockTable& locks() const { return locks_; }
  GuestSystem& guest() { return *guest_; }
  std::uint64_t activations() const { return activations_; }

 private:
  std::string what_does(const Vcpu& vcpu) const;
  std::vector<const Lock*> all_locks() const;
  void build_memory();
  std::unique_ptr<iommu::RemappingUnit> make_unit();
  std::unique_ptr<hypervisor::HostIommu> make_host_iommu(const HypervisorParts& parts,
                                                         hypervisor::RegisterPort& registers);
  void build_processors();
  void build_hypervisor();
  void build_viommu();
  /// The guest stores to queues of the hardware.
  bool owns_queues() const;
  void build_devices();
  void build_replayed_device();
  void bind();

  const scenario::Configuration& configuration_;
  trace::Tracer& tracer_;
  std::uint64_t activations_ = 0;
  bool finished_ = false;
  std::string panic_;
  LineMonitor monitor_;
  LockTable locks_;
  std::unique_ptr<PhysicalMemory> bytes_;
  std::unique_ptr<PageAllocator> host_pages_;
  std::unique_ptr<GuestRam> ram_;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<Iommu> iommu_;
  iommu::S390PciUnit* s390_unit_ = nullptr;          // of a machine that has one: iommu_'s
  std::unique_ptr<S390PciHardware> s390_hardware_;  // likewise
  std::unique_ptr<InterruptFabric> interrupts_;
  std::unique_ptr<MmioRouter> router_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
  std::unique_ptr<Vcpu> io_core_;
  hypervisor::GuestQueueHost* guest_queues_ = nullptr;  // the host's driver, of an SMMUv3
  std::unique_ptr<Hypervisor> hypervisor_;
  std::vector<std::unique_ptr<PcieLink>> links_;         // by device; null where it is on the chip
  std::vector<std::unique_ptr<NvmeController>> drives_;  // by device; null where it is another
  std::vector<std::unique_ptr<Nic>> nics_;               // likewise
  std::vector<std::unique_ptr<DmaMaster>> dma_masters_;  // likewise
  std::unique_ptr<ReplayedDevice> replayed_;             // of a replay whose mappings a device uses
  std::unique_ptr<GuestSystem> guest_;
};

}  // namespace gnomon::wiring
