// SPDX-License-Identifier: Apache-2.0
// The IOMMU as the guest's kernel finds it: which driver, over which registers, queues and locks.
#pragma once

#include <memory>

#include "guest/iommu/instance.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/store_trap.hpp"
#include "models/spec/virtio/split_queue.hpp"
#include "platform/scenario/configuration.hpp"
#include "models/cpu/core/pci_instruction_port.hpp"
#include "platform/wiring/lock_table.hpp"

namespace gnomon::wiring {

/// Where the IOMMU's registers answer, guest-physical, above any memory; on bare metal too.
inline constexpr Gpa iommu_window{std::uint64_t{1} << 40};
inline constexpr std::uint64_t iommu_window_bytes = std::uint64_t{1} << 20;  // an SMMUv3 with CMDQ-V takes 320 KiB of it

/// What the driver works with; all outlive it.
struct GuestIommuParts {
  StoreTrap* store_trap;  ///< the hypervisor, where it may write-protect the guest's tables; else null
  const scenario::Configuration& configuration;
  GuestRam& ram;
  guest::GuestPages& pages;
  guest::KernelMemory& kernel_memory;
  LineMonitor& monitor;
  LockTable& locks;
  PciInstructionPort& instructions;  ///< of an s390 processor; on others never used
};

class GuestIommu {
 public:
  virtual ~GuestIommu() = default;
  virtual guest::IommuInstance& instance() = 0;
  /// Of a virtio-iommu: where its request queue lies, which the hypervisor must know. Else null.
  virtual const virtio::SplitQueueLayout* request_queue() const { return nullptr; }
  /// Requests the device has not answered, where it answers them in memory.
  virtual std::uint64_t in_flight() const { return 0; }
};

/// Null where the guest has no IOMMU.
std::unique_ptr<GuestIommu> make_guest_iommu(const GuestIommuParts& parts);

}  // namespace gnomon::wiring
