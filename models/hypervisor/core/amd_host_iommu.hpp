// SPDX-License-Identifier: Apache-2.0
// The host kernel's driver of an AMD-Vi unit: device table at boot, the command ring afterwards, each command with
// its own doorbell. Behaviour of Linux's drivers/iommu/amd/iommu.c (6.1, 6.12) on hardware, where NpCache is 0.
#pragma once

#include <cstdint>
#include <vector>

#include "models/base/address.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/pgtable/table_memory.hpp"
#include "models/spec/amdvi/command.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::hypervisor {

class AmdHostIommu final : public HostIommu {
 public:
  AmdHostIommu(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor, RegisterPort& registers,
               const HostIommuCosts& costs, trace::Tracer& tracer);
  ~AmdHostIommu() override;

  void enable() override;
  std::unique_ptr<HostTable> make_table(DomainId domain) override;
  void attach(SourceId device, DomainId domain, HostTable& table) override;
  /// One INVALIDATE_IOMMU_PAGES of the smallest block around the range, directory entries too, then a
  /// COMPLETION_WAIT, polled every microsecond. A table that has grown a new root gets its device entries rewritten
  /// and flushed first.
  void invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) override;

 private:
  class Table;
  struct Attachment {
    SourceId device;
    DomainId domain;
    Table* table;
  };

  void write_entry(const Attachment& attachment);
  void push(const amdvi::Command& command);
  void wait(Processor& processor, std::uint64_t expected);

  PhysicalMemory& memory_;
  PageAllocator& pages_;
  pgtable::HostTableMemory tables_;
  LineMonitor& monitor_;
  RegisterPort& registers_;
  const HostIommuCosts costs_;
  trace::Tracer& tracer_;
  Hpa device_table_{};
  Hpa ring_{};
  Hpa semaphore_{};
  std::uint64_t tail_ = 0;      // bytes
  std::uint64_t sequence_ = 0;  // what the next wait stores
  std::vector<Attachment> attachments_;
};

}  // namespace gnomon::hypervisor
