// SPDX-License-Identifier: Apache-2.0
// The driver of one SMMUv3: finds out what the unit can do, gives it its tables and queues, turns it on. Behaviour
// of Linux's drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c, 6.1 to 7.2, and tegra241-cmdqv.c for queues of its own.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "guest/arm_smmu_v3/domain.hpp"
#include "guest/iommu/instance.hpp"

namespace gnomon::guest {

/// What the driver works with; all outlive it.
struct SmmuParts {
  KernelMemory& memory;
  LineMonitor& monitor;
};

struct SmmuOptions {
  Gpa registers;              ///< where the unit answers: smmuv3::register_space_bytes, and with owned queues up to
                              ///< smmuv3::virtual_queue::end
  unsigned stream_bits = 16;  ///< of the devices behind it, beside the unit's own limit
  SmmuDriverOptions driver;
};

class Smmuv3Instance final : public IommuInstance {
 public:
  static constexpr unsigned event_log2 = 7;  ///< a page of 128 events; Linux takes what the unit allows

  Smmuv3Instance(const SmmuParts& parts, const SmmuOptions& options);

  /// Throws std::bad_alloc, std::runtime_error where the unit lacks the stage its domains need.
  void probe(Cpu& cpu) override;
  /// After probe. `id` up to 65535, the domain's tag too.
  std::unique_ptr<IommuDriver> make_domain(Cpu& cpu, std::uint32_t id) override;
  /// Leaves the device's former domain first. ENODEV beyond the stream table.
  int attach(Cpu& cpu, IommuDriver& domain, SourceId device) override;

  /// The GERROR interrupt's handler: a command the unit could not execute is skipped. Returns whether there was
  /// one.
  bool handle_error(Cpu& cpu);

  // From probe on.
  const SmmuCommandQueue& commands() const { return *commands_; }
  const std::vector<SmmuCommandQueue*>& virtual_queues() const { return unit_->virtual_queues; }
  const SmmuStreamTable& streams() const { return *streams_; }
  Gpa event_queue() const { return event_queue_; }

 private:
  struct Attachment {
    SourceId device;
    SmmuDomain* domain;
  };

  std::uint32_t read(Cpu& cpu, std::uint32_t offset);
  void write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes = 4);
  void write_and_see(Cpu& cpu, std::uint32_t offset, std::uint32_t ack, std::uint32_t value);
  void make_queues(const smmuv3::Idr0& idr0, const smmuv3::Idr1& idr1);
  void start_virtual_queues(Cpu& cpu);

  SmmuParts parts_;
  SmmuOptions options_;
  std::unique_ptr<SmmuStreamTable> streams_;
  std::unique_ptr<SmmuCommandQueue> commands_;
  std::deque<SmmuCommandQueue> owned_;
  std::unique_ptr<SmmuUnit> unit_;
  Gpa event_queue_{};
  std::vector<Attachment> attachments_;
};

}  // namespace gnomon::guest
