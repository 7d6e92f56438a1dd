// SPDX-License-Identifier: Apache-2.0
// A calibrated machine: platform/machines/*.toml as a typed value. One profile serves all scenarios of that machine.
#pragma once

#include <cstdint>
#include <string>

#include "guest/kernel/costs.hpp"
#include "models/cpu/config.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/fabric/config.hpp"
#include "models/hypervisor/core/config.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/iommu/core/config.hpp"
#include "models/iommu/smmuv3/config.hpp"
#include "guest/nic/costs.hpp"
#include "guest/tegra_smmu/behaviour.hpp"
#include "models/nic/core/config.hpp"
#include "models/nvme/core/config.hpp"
#include "models/spec/tegra_smmu/soc.hpp"
#include "platform/observe/exit_reason_name.hpp"

namespace gnomon::scenario {

struct MachineProfile {
  std::string title;                                                     ///< one line: what machine this is
  observe::ExitSpelling exit_names = observe::ExitSpelling::vmx;         ///< whose exit reasons perf kvm would print
  CpuConfig cpu;
  std::uint32_t nested_paging_tax_ppm = 0;  ///< how much dearer a guest's CPU work is than the host's, parts per million
  LockCosts lock{Time::ns(20), Time::ns(120)};
  guest::GuestCosts software;
  hypervisor::HypervisorCosts hypervisor;
  hypervisor::HostIommuCosts host_iommu;
  iommu::IommuConfig iommu;
  // Where its IOMMU is a Tegra SMMU:
  const tegra::Soc* tegra_soc = &tegra::tegra210;
  guest::TegraSmmuCosts tegra_smmu;
  iommu::Smmuv3Config smmuv3;  ///< where its IOMMU is an SMMUv3
  PcieConfig pcie;
  MemoryConfig memory;
  nvme::NvmeConfig nvme;
  // Where the machine has a NIC:
  bool has_nic = false;
  nic::NicConfig nic;
  PcieConfig nic_pcie;
  guest::NicCosts nic_software;
};

}  // namespace gnomon::scenario
