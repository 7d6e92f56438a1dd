// SPDX-License-Identifier: Apache-2.0
// The host kernel's driver of the physical IOMMU: tables at boot, queued invalidation afterwards.
// Behaviour of Linux's drivers/iommu/intel/dmar.c on a legacy-mode VT-d unit (6.1, 6.12).
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::hypervisor {

/// How the driver reaches the unit's registers; the shell sends it over the bus.
class RegisterPort {
 public:
  virtual ~RegisterPort() = default;
  virtual void write(std::uint32_t offset, std::uint64_t value, unsigned bytes) = 0;
};

struct HostIommuCosts {
  Time submit = Time::ns(250);  ///< build the descriptors, write the tail register
  Time poll_interval;           ///< between looks at the status word; 0: a tight loop (AMD-Vi's driver: 1 us)
};

class HostIommuDriver {
 public:
  HostIommuDriver(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor, RegisterPort& registers,
                  const HostIommuCosts& costs, unsigned max_address_mask, trace::Tracer& tracer);

  /// Root table, invalidation queue, translation on. No time passes: this is the host's boot.
  void enable();
  /// Binds a device to a second-stage table under `domain`. At boot: nothing is cached yet.
  void attach(SourceId device, DomainId domain, Hpa root, unsigned levels);

  /// Invalidates [first, last] of the domain and returns when the unit has done it: one page-selective descriptor
  /// of the smallest aligned block around the range, domain-selective beyond the unit's mask, then a wait
  /// descriptor. `leaf_only`: no table page was freed, the paging-structure caches may stay (IH).
  void invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only);

 private:
  void push(const vtd::InvalidationDescriptor& descriptor);
  void wait(Processor& processor, std::uint32_t expected);

  PhysicalMemory& memory_;
  PageAllocator& pages_;
  LineMonitor& monitor_;
  RegisterPort& registers_;
  const HostIommuCosts costs_;
  const unsigned max_address_mask_;
  trace::Tracer& tracer_;
  Hpa root_table_{};
  Hpa queue_{};
  Hpa status_{};
  std::uint32_t tail_ = 0;      // descriptors
  std::uint32_t sequence_ = 0;  // what the next wait writes
};

}  // namespace gnomon::hypervisor
