// SPDX-License-Identifier: Apache-2.0
// The host kernel's driver of the physical IOMMU, as far as VFIO needs it: a table a container, and its flushes.
#pragma once

#include <cstdint>
#include <memory>

#include "models/base/address.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/hypervisor/core/io_page_table.hpp"

namespace gnomon::hypervisor {

/// How a driver reaches the unit's registers; the shell sends it over the bus.
class RegisterPort {
 public:
  virtual ~RegisterPort() = default;
  virtual void write(std::uint32_t offset, std::uint64_t value, unsigned bytes) = 0;
};

struct HostIommuCosts {
  Time submit = Time::ns(250);  ///< build a flush's commands, ring the doorbell
  Time poll_interval;           ///< between looks at the status word; 0: a tight loop (AMD-Vi's driver: 1 us)
};

/// A container's table in the format of the unit.
class HostTable : public IoPageTable {
 public:
  /// Table pages an unmap took out: the hardware may still walk them, so the next invalidation is not leaf-only.
  virtual bool tables_unlinked() const = 0;
  /// After that invalidation.
  virtual void free_unlinked() = 0;
};

class HostIommu {
 public:
  virtual ~HostIommu() = default;

  /// Tables and queues, translation on. No time passes: this is the host's boot.
  virtual void enable() = 0;
  /// An empty table for `domain`.
  virtual std::unique_ptr<HostTable> make_table(DomainId domain) = 0;
  /// Binds a device to a table this driver made. At boot: nothing is cached yet.
  virtual void attach(SourceId device, DomainId domain, HostTable& table) = 0;
  /// Invalidates [first, last] of the domain and returns when the unit has done it. `leaf_only`: no table page was
  /// freed, the paging-structure caches may stay.
  virtual void invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) = 0;
};

}  // namespace gnomon::hypervisor
