// SPDX-License-Identifier: Apache-2.0
// The driver of one AMD IOMMU: finds out what the unit can do, gives it its tables and rings, turns it on.
// Behaviour of Linux's drivers/iommu/amd/init.c, 5.15 to 7.2.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "guest/amd_iommu/behaviour.hpp"
#include "guest/amd_iommu/command_queue.hpp"
#include "guest/amd_iommu/device_table.hpp"
#include "guest/amd_iommu/domain.hpp"
#include "guest/iommu/instance.hpp"

namespace gnomon::guest {

/// What the driver works with; all outlive it.
struct AmdIommuParts {
  KernelMemory& memory;
  LineMonitor& monitor;
  Lock& lock;                              ///< of the unit
  std::function<Lock()> make_domain_lock;  ///< one more for each domain
};

struct AmdIommuOptions {
  Gpa registers;                 ///< where the unit's MMIO registers answer
  std::uint32_t capability = 0;  ///< header of its PCI capability block, which says NpCache
  SourceId last_device{0xffff};  ///< the device table ends here (IVRS); 0xffff: 2 MiB of it
  AmdDriverOptions driver;
};

class AmdIommuInstance final : public IommuInstance {
 public:
  static constexpr std::uint32_t event_log_bytes = 8192;  ///< EVT_BUFFER_SIZE

  /// Takes the tables and rings from the kernel's memory. Throws std::bad_alloc.
  AmdIommuInstance(const AmdIommuParts& parts, const AmdIommuOptions& options);

  void probe(Cpu& cpu) override;
  /// `id` up to 65535, the domain's tag too.
  std::unique_ptr<IommuDriver> make_domain(Cpu& cpu, std::uint32_t id) override;
  /// Leaves the device's former domain first. ENODEV beyond the device table.
  int attach(Cpu& cpu, IommuDriver& domain, SourceId device) override;

  /// The unit caches entries that are not present: Linux then flushes on map too, and makes the whole system
  /// strict.
  bool np_cache() const { return unit_.flush.caches_non_present; }
  const AmdCommandQueue& commands() const { return commands_; }
  const AmdDeviceTable& device_table() const { return devices_; }
  Gpa event_log() const { return event_log_; }

 private:
  struct Attachment {
    SourceId device;
    AmdDomain* domain;
  };

  void set_control(Cpu& cpu, std::uint64_t bits, bool on);
  void write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes);
  void flush_all_caches(Cpu& cpu);

  AmdIommuParts parts_;
  AmdIommuOptions options_;
  AmdDeviceTable devices_;
  AmdCommandQueue commands_;
  Gpa event_log_;
  AmdUnit unit_;
  std::vector<Attachment> attachments_;
};

}  // namespace gnomon::guest
