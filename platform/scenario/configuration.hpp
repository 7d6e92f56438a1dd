// SPDX-License-Identifier: Apache-2.0
// One variant of a scenario, resolved: everything a simulation needs, before any module exists.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "guest/dma/flush_queue.hpp"
#include "guest/dma/iova_behaviour.hpp"
#include "guest/fio/fio_thread.hpp"
#include "guest/fio/job_spec.hpp"
#include "guest/iommu/domain.hpp"
#include "guest/amd_iommu/behaviour.hpp"
#include "guest/arm_smmu_v3/behaviour.hpp"
#include "guest/intel_iommu/behaviour.hpp"
#include "guest/s390_pci/domain.hpp"
#include "guest/s390_pci/own_dma.hpp"
#include "guest/tegra_smmu/behaviour.hpp"
#include "guest/virtio_iommu/driver.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/hypervisor/core/amdvi_device.hpp"
#include "models/hypervisor/core/intel_iommu_config.hpp"
#include "models/hypervisor/core/s390_pci_device.hpp"
#include "models/hypervisor/core/smmuv3_device.hpp"
#include "models/hypervisor/core/virtio_iommu_device.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/tegra_smmu/soc.hpp"
#include "platform/scenario/machine_profile.hpp"
#include "platform/scenario/workload_tables.hpp"

namespace gnomon::scenario {

enum class HypervisorKind { none, kvm };
/// The IOMMU the guest's software drives: emulated in a guest, the machine's own on bare metal.
enum class IommuKind { none, plain, virtio_iommu, intel_iommu, amd_iommu, smmuv3, tegra_smmu, s390_pci };
/// Whose ways a plain driver has (guest/iommu/plain_driver.hpp): no hardware, page table and flush costs alone.
enum class PlainKind { vtd_claims_all, vtd, amd_v1, amd_2013, pages_4k };
enum class DeviceModel { nvme, nic, dma_master };

struct DeviceConfiguration {
  DeviceModel model = DeviceModel::nvme;
  bool untrusted = false;  ///< firmware says that it is external-facing
};

/// The memory clients that dma-masters behind a Tegra SMMU are: one of each display head.
inline constexpr std::array tegra_heads{tegra::client::display_0a, tegra::client::display_0a_b};

/// Planted bugs, all off by default. Each is one switch somewhere in driver, hypervisor, IOMMU or device.
struct Faults {
  guest::ViommuDriverFaults driver;
  guest::FlushQueueFaults flush_queue;
  hypervisor::VirtioIommuDeviceFaults viommu;
  hypervisor::IntelIommuDeviceFaults intel_device;
  guest::IntelDriverFaults intel_driver;
  hypervisor::AmdviDeviceFaults amdvi;
  guest::AmdDriverFaults amd_driver;
  guest::TegraDriverFaults tegra_driver;
  guest::DmaMasterFaults dma_master;
  hypervisor::S390PciFaults s390_device;
  guest::S390DriverFaults s390_driver;
  guest::S390OwnDmaFaults s390_own_dma;
  hypervisor::Smmuv3DeviceFaults smmu_device;
  guest::SmmuDriverFaults smmu_driver;
  hypervisor::VfioFaults vfio;
  iommu::IommuFaults iommu;
  nvme::NvmeFaults nvme;
};

struct GuestConfiguration {
  unsigned vcpus = 4;
  unsigned hz = 250;
  bool memory_encryption = false;  ///< devices reach bounce buffers only
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
  guest::IommuCoreBehaviour core;
  guest::AmdDriverOptions amd;
  guest::IntelDriverOptions intel;
  bool intel_scalable = true;  ///< not intel_iommu=sm_off
  guest::TegraFlush tegra_flush = guest::TegraFlush::before;
  bool s390_own_dma = false;         ///< s390 before 6.7: neither IOMMU core nor DMA layer; `deferred` is lazy
  std::uint64_t s390_aperture = 1;   ///< s390_iommu_aperture=
  guest::SmmuDriverOptions smmu;
  PlainKind plain = PlainKind::vtd;
  const guest::FlushPolicy* plain_policy = guest::find_flush_policy("generic");
  bool report_request_errors = false;  ///< the driver returns the errors of queued requests
  std::uint64_t nvme_max_transfer = 128 * 1024;  ///< bytes
};

struct Configuration {
  std::uint64_t seed = 1;
  MachineProfile machine;
  HypervisorKind hypervisor = HypervisorKind::kvm;
  hypervisor::HypervisorConfig vmm;
  IommuKind iommu = IommuKind::none;
  hypervisor::IntelIommuDeviceConfig intel_device;
  hypervisor::Smmuv3DeviceConfig smmu_device;
  std::uint64_t iommu_page_sizes = 0x4020'1000;  ///< page_size_mask the device offers
  GuestConfiguration guest;
  std::vector<DeviceConfiguration> devices{1};
  std::vector<fio::JobSpec> jobs;  ///< fio's, where `benchmark` is empty
  BenchmarkSpec benchmark;
  Faults faults;

  /// Whose requests a device's are: PCI 01:00.0, 02:00.0, …; of a Tegra, its memory client.
  SourceId source_of(unsigned device) const {
    if (machine.iommu.unit == iommu::UnitKind::tegra && devices[device].model == DeviceModel::dma_master)
      return SourceId{tegra_heads.at(device).id};
    return SourceId{static_cast<std::uint16_t>((device + 1) << 8)};
  }
};

}  // namespace gnomon::scenario
