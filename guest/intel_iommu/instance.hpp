// SPDX-License-Identifier: Apache-2.0
// The driver of one VT-d unit: finds out what it can do, gives it its tables and its queue, turns it on.
// Behaviour of Linux's drivers/iommu/intel/{dmar,iommu}.c, 6.1 to 7.2. The unit's fault interrupt stays masked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "guest/intel_iommu/domain.hpp"
#include "guest/intel_iommu/unit.hpp"
#include "guest/iommu/instance.hpp"

namespace gnomon::guest {

/// What the driver works with; all outlive it.
struct IntelIommuParts {
  KernelMemory& memory;
  LineMonitor& monitor;
  Lock& lock;                              ///< of the invalidation queue
  std::function<Lock()> make_domain_lock;  ///< one more for each domain
  StoreTrap* store_trap = nullptr;         ///< where the hypervisor may write-protect table pages
};

struct IntelIommuOptions {
  Gpa registers;               ///< where the unit's registers answer
  bool registers_trap = true;  ///< false on bare metal
  bool scalable_mode = true;   ///< where the unit has it; false: intel_iommu=sm_off
  bool device_tlb = false;     ///< the devices have ATS; used where the unit has device TLBs
  IntelDriverOptions driver;
};

class IntelIommuInstance final : public IommuInstance {
 public:
  /// Takes the root table from the kernel's memory at probe(). Throws std::bad_alloc.
  IntelIommuInstance(const IntelIommuParts& parts, const IntelIommuOptions& options)
      : parts_(parts), options_(options), command_(options.registers) {}

  /// Throws GuestPanic where the unit does not do as it is told.
  void probe(Cpu& cpu) override;
  /// After probe(). `id` up to 65535. First level where the unit has it and is in scalable mode, and
  /// IntelDriverBehaviour::first_level_default or no second level leaves no other choice.
  std::unique_ptr<IommuDriver> make_domain(Cpu& cpu, std::uint32_t id) override;
  /// Leaves the device's former domain first.
  int attach(Cpu& cpu, IommuDriver& domain, SourceId device) override;

  // After probe().
  bool caching_mode() const { return unit().cap.cm; }
  bool scalable() const { return unit().scalable; }
  bool first_level_by_default() const;
  const IntelInvalidationQueue& queue() const { return *queue_; }
  const IntelTranslationTables& tables() const { return *tables_; }

 private:
  struct Attachment {
    SourceId device;
    IntelDomain* domain;
  };

  const IntelUnit& unit() const { return *unit_; }
  unsigned levels(bool first_level) const;
  void write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes);
  void find_out(Cpu& cpu);
  void enable_queue(Cpu& cpu);
  void set_root(Cpu& cpu);

  IntelIommuParts parts_;
  IntelIommuOptions options_;
  IntelGlobalCommand command_;
  std::optional<IntelTranslationTables> tables_;
  std::optional<IntelInvalidationQueue> queue_;
  std::optional<IntelUnit> unit_;
  std::vector<Attachment> attachments_;
};

}  // namespace gnomon::guest
