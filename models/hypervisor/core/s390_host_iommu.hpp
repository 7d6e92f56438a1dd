// SPDX-License-Identifier: Apache-2.0
// The host kernel's driver of PCI functions on s390 hardware, for functions given to a guest: a translation table a
// container, and RPCIT. Behaviour of Linux's drivers/iommu/s390-iommu.c since 6.7, where tlb_refresh is clear.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "models/base/address.hpp"
#include "models/cpu/core/pci_instruction_port.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/s390_pci/instruction.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::hypervisor {

/// A function of the machine, as CLP tells the host.
struct S390HostFunction {
  SourceId source;
  s390_pci::FunctionHandle handle;
};

class S390HostIommu final : public HostIommu {
 public:
  /// MPCIFC at the host's boot, which takes no time and so no processor.
  using RegisterAtBoot =
      std::function<s390_pci::Outcome(std::uint64_t function, Iova first, Iova last, std::uint64_t iota)>;

  /// What is given, except `functions`, must outlive the object.
  S390HostIommu(PhysicalMemory& memory, PageAllocator& pages, PciInstructionPort& instructions,
                RegisterAtBoot register_at_boot, std::vector<S390HostFunction> functions,
                const HostIommuCosts& costs, trace::Tracer& tracer);
  ~S390HostIommu() override;

  /// There is nothing to enable: the unit has no registers.
  void enable() override {}
  std::unique_ptr<HostTable> make_table(DomainId domain) override;
  /// Registers the function's whole window with the table. Throws std::logic_error where the machine has no such
  /// function, or refuses.
  void attach(SourceId device, DomainId domain, HostTable& table) override;
  /// RPCIT of the range to each function of the domain, again every microsecond while the unit is busy.
  void invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) override;

 private:
  class Tables;
  class Table;
  struct Attachment {
    s390_pci::FunctionHandle handle;
    DomainId domain;
  };

  std::unique_ptr<Tables> tables_;
  PciInstructionPort& instructions_;
  RegisterAtBoot register_at_boot_;
  std::vector<S390HostFunction> functions_;
  const HostIommuCosts costs_;
  trace::Tracer& tracer_;
  std::vector<Attachment> attachments_;
};

}  // namespace gnomon::hypervisor
