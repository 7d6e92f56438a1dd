// SPDX-License-Identifier: Apache-2.0
// The s390 IOMMU driver: an IOMMU a function, known from CLP, with no registers and no queue to set up. Behaviour
// of Linux's drivers/iommu/s390-iommu.c since 6.7.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "guest/iommu/instance.hpp"
#include "guest/s390_pci/domain.hpp"

namespace gnomon::guest {

/// What CLP says of a function and its group.
struct S390FunctionInfo {
  SourceId source;
  s390_pci::FunctionHandle handle;
  std::uint8_t group_flags = 0;  ///< s390_pci::group_refresh and the like
  s390_pci::DmaWindow window = s390_pci::qemu_dma_window;
};

struct S390IommuOptions {
  std::uint64_t memory_bytes = 0;  ///< main memory
  std::uint64_t aperture = 1;      ///< s390_iommu_aperture=: times main memory; 0 is without limit
  S390DriverFaults faults;
};

/// The function with its aperture.
S390Function s390_function(const S390FunctionInfo& info, const S390IommuOptions& options);

class S390IommuInstance final : public IommuInstance {
 public:
  /// What is given outlives the object.
  S390IommuInstance(KernelMemory& memory, PciInstructionPort& instructions, const S390IommuOptions& options,
                    const std::vector<S390FunctionInfo>& functions);

  void probe(Cpu& /*cpu*/) override {}
  std::unique_ptr<IommuDriver> make_domain(Cpu& cpu, std::uint32_t id) override;
  /// Leaves the function's former domain first. ENODEV where there is no such function, EIO.
  int attach(Cpu& cpu, IommuDriver& domain, SourceId device) override;

  /// Null where there is no such function.
  const S390Function* function(SourceId device) const;

 private:
  struct Attached {
    S390Function function;
    S390Domain* domain = nullptr;
  };

  KernelMemory& memory_;
  PciInstructionPort& instructions_;
  S390IommuOptions options_;
  std::vector<Attached> functions_;
};

}  // namespace gnomon::guest
