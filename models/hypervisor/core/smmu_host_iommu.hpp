// SPDX-License-Identifier: Apache-2.0
// The host kernel's driver of an SMMUv3: containers are stage 2, the host's half of nested translation; commands go
// through a queue whose CMD_SYNC is waited for in memory. Behaviour of Linux's drivers/iommu/arm/arm-smmu-v3, 6.12
// to 7.2: arm-smmu-v3.c, arm-smmu-v3-iommufd.c, tegra241-cmdqv.c.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/base/address.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/hypervisor/core/smmuv3_device.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/pgtable/table_memory.hpp"
#include "models/spec/smmuv3/command.hpp"
#include "models/spec/smmuv3/stream_table.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::hypervisor {

struct SmmuHostOptions {
  bool range_invalidation = true;  ///< IDR3.RIL
};

/// What the driver works on; all outlive it. `ram` is the guest's, whose queues are given to the hardware.
struct SmmuHostParts {
  PhysicalMemory& memory;
  PageAllocator& pages;
  GuestRam& ram;
  LineMonitor& monitor;
  RegisterPort& registers;
  trace::Tracer& tracer;
};

class SmmuHostIommu final : public HostIommu, public GuestQueueHost {
 public:
  static constexpr unsigned queue_log2 = 11;   ///< of commands; a flush has at most 513
  static constexpr unsigned batch = 64;        ///< commands before PROD is written: CMDQ_BATCH_ENTRIES
  static constexpr std::uint64_t limit = 512;  ///< leaves without TLBI by range, from which on the whole VMID goes

  SmmuHostIommu(const SmmuHostParts& parts, const HostIommuCosts& costs, const SmmuHostOptions& options);
  ~SmmuHostIommu() override;

  void enable() override;
  /// Stage 2; `domain` is its VMID.
  std::unique_ptr<HostTable> make_table(DomainId domain) override;
  void attach(SourceId device, DomainId domain, HostTable& table) override;
  /// TLBI_S2_IPA by range, or a leaf each, or TLBI_S12_VMALL from `limit` leaves on, and a CMD_SYNC. A VMID that
  /// something is nested in loses its stage 1 with a second submission, TLBI_NH_ALL and CMD_SYNC: of what combines
  /// both stages nobody knows the IPA.
  void invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) override;
  /// The device's stream table entry: the guest's stage 1 (`root` is its S1ContextPtr) over the table, the table
  /// alone, or neither; then CFGI_STE, and TLBI_NH_ALL of what was nested before.
  void nest(Processor& processor, SourceId device, DomainId domain, HostTable& table,
            const Nesting& nesting) override;
  /// TLBI_NH_VAA of the VMID, by range where the unit can; TLBI_NH_ALL for everything.
  void invalidate_nested(Processor& processor, DomainId domain, Iova iova, std::uint64_t bytes,
                         bool leaf_only) override;

  /// Gives the guest the hardware's virtual queue: the interface gets the VMID of the first device attached, and
  /// the StreamIDs of its devices. At the guest's boot, without time.
  void give_queue(unsigned queue, Gpa base, unsigned log2) override;

 private:
  class Table;
  struct Attachment {
    SourceId device;
    DomainId domain;
    Table* table;
    bool nested = false;
  };
  using Commands = std::vector<smmuv3::Command>;

  Attachment& find(SourceId device);
  smmuv3::StreamTableEntry stage2_entry(const Attachment& attachment) const;
  Hpa stream(SourceId device) const;
  void push(const smmuv3::Command& command);
  Hpa slot(std::uint32_t pointer) const;
  void submit(Processor& processor, const Commands& commands);
  void wait(Processor& processor, Hpa sync);

  SmmuHostParts parts_;
  pgtable::HostTableMemory tables_;
  const HostIommuCosts costs_;
  const SmmuHostOptions options_;
  Hpa streams_{};
  Hpa queue_{};
  Hpa events_{};
  std::uint32_t prod_ = 0;
  std::vector<Attachment> attachments_;
  bool interface_given_ = false;
};

}  // namespace gnomon::hypervisor
