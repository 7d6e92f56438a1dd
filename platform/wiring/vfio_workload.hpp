// SPDX-License-Identifier: Apache-2.0
// A VMM's start and end as the host's IOMMU core sees them: a guest's memory is mapped for a device through a VFIO
// container, and the mapping taken down again. No guest runs.
#pragma once

#include <memory>

#include "guest/iommu/domain.hpp"
#include "guest/kernel/workload.hpp"
#include "models/hypervisor/core/config.hpp"
#include "models/hypervisor/core/vfio_container.hpp"
#include "platform/scenario/workload_tables.hpp"

namespace gnomon::wiring {

class VfioWorkload final : public guest::Workload, private guest::Thread {
 public:
  /// All outlive the workload. `guest_memory` is the memory to map, `pins` counts the host's pages.
  VfioWorkload(const scenario::VfioWorkloadSpec& spec, guest::IommuDomain& domain, const GuestRam& guest_memory,
               hypervisor::PinCounts& pins, const hypervisor::HypervisorCosts& costs, guest::Cpu& cpu);
  ~VfioWorkload() override;

  void start(guest::Cpu& cpu, std::function<void(guest::Cpu&)> on_done) override;
  Time horizon() const override { return Time::max(); }
  /// vfio.txt: what the two ioctls did and took.
  std::vector<guest::WorkloadOutput> outputs(Time now) const override;

 private:
  class Table;
  bool turn(guest::Cpu& cpu) override;
  static hypervisor::VfioConfig config_of(const scenario::VfioWorkloadSpec& spec);

  const GuestRam& guest_memory_;
  const hypervisor::HypervisorCosts& costs_;
  guest::Cpu& cpu_;
  std::unique_ptr<Table> table_;
  hypervisor::VfioContainer container_;
  std::function<void(guest::Cpu&)> on_done_;
  hypervisor::VfioMapOutcome mapped_;
  hypervisor::VfioUnmapOutcome unmapped_;
  Time map_took_, unmap_took_;
};

}  // namespace gnomon::wiring
