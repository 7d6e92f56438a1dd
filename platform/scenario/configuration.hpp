// SPDX-License-Identifier: Apache-2.0
// One variant of a scenario, resolved: everything a simulation needs, before any module exists.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guest/dma/flush_queue.hpp"
#include "guest/dma/iova_behaviour.hpp"
#include "guest/fio/fio_thread.hpp"
#include "guest/fio/job_spec.hpp"
#include "guest/virtio_iommu/driver.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/hypervisor/core/virtio_iommu_device.hpp"
#include "models/memory/guest_ram.hpp"
#include "platform/scenario/machine_profile.hpp"

namespace gnomon::scenario {

enum class HypervisorKind { none, kvm };
/// The IOMMU the guest's software drives: emulated in a guest, the machine's own on bare metal.
enum class IommuKind { none, virtio_iommu, intel_iommu, amd_iommu, smmuv3, tegra_smmu, s390_pci };
enum class DeviceModel { nvme, nic, dma_master };

struct DeviceConfiguration {
  DeviceModel model = DeviceModel::nvme;
  bool untrusted = false;  ///< firmware says that it is external-facing
};

/// Planted bugs, all off by default. Each is one switch somewhere in driver, hypervisor, IOMMU or device.
struct Faults {
  guest::ViommuDriverFaults driver;
  guest::FlushQueueFaults flush_queue;
  hypervisor::VirtioIommuDeviceFaults viommu;
  hypervisor::VfioFaults vfio;
  iommu::IommuFaults iommu;
  nvme::NvmeFaults nvme;
};

struct GuestConfiguration {
  unsigned vcpus = 4;
  unsigned hz = 250;
  LockKind spinlock = LockKind::test_and_set;
  std::uint64_t memory = std::uint64_t{8} << 30;  ///< bytes
  Backing backing = Backing::thp_2m;
  guest::BufferLayout buffers;
  bool translated = false;  ///< the DMA API goes through the vIOMMU; false: passthrough
  bool deferred = false;    ///< DMA_FQ: lazy
  guest::FlushQueueConfig flush_queue;
  guest::IovaBehaviour iova;
  bool force_dac = false;
  bool sync_map = true;              ///< iotlb_sync_map is used
  bool sync_map_can_fail = true;     ///< the core looks at what it returns
  bool report_request_errors = false;  ///< the driver returns the errors of queued requests
  std::uint64_t nvme_max_transfer = 128 * 1024;  ///< bytes
};

struct Configuration {
  std::uint64_t seed = 1;
  MachineProfile machine;
  HypervisorKind hypervisor = HypervisorKind::kvm;
  hypervisor::HypervisorConfig vmm;
  IommuKind iommu = IommuKind::none;
  std::uint64_t iommu_page_sizes = 0x4020'1000;  ///< page_size_mask the device offers
  GuestConfiguration guest;
  std::vector<DeviceConfiguration> devices{1};
  std::vector<fio::JobSpec> jobs;
  Faults faults;
};

}  // namespace gnomon::scenario
