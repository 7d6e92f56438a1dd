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
  /// A mapping took tables out that were in its way: its range is invalidated before a device may use it.
  virtual bool map_needs_flush() const { return false; }
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

  // Nested translation (iommufd). A driver whose hardware cannot do it is never asked.
  /// What a device's DMA passes through before `table`, which then holds all of guest memory.
  struct Nesting {
    bool blocked = false;  ///< nothing passes
    Gpa root{};            ///< of the guest's first-level table
    unsigned levels = 0;   ///< of it; 0: none, the device sees guest-physical memory
  };
  virtual void nest([[maybe_unused]] Processor& processor, [[maybe_unused]] SourceId device,
                    [[maybe_unused]] DomainId domain, [[maybe_unused]] HostTable& table,
                    [[maybe_unused]] const Nesting& nesting) {}
  /// A guest's invalidation of its first-level table, `bytes` from `iova` or all where bytes is ~0.
  virtual void invalidate_nested([[maybe_unused]] Processor& processor, [[maybe_unused]] DomainId domain,
                                 [[maybe_unused]] Iova iova, [[maybe_unused]] std::uint64_t bytes,
                                 [[maybe_unused]] bool leaf_only) {}
};

}  // namespace gnomon::hypervisor
