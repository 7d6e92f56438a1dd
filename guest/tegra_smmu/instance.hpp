// SPDX-License-Identifier: Apache-2.0
// The driver of a Tegra SMMU: sets its caches up, switches it on, puts groups of memory clients into address
// spaces. Behaviour of Linux's drivers/iommu/tegra-smmu.c, 4.3 to 6.1.
#pragma once

#include <cstdint>
#include <memory>

#include "guest/iommu/instance.hpp"
#include "guest/tegra_smmu/domain.hpp"

namespace gnomon::guest {

class TegraSmmuInstance final : public IommuInstance {
 public:
  /// `memory` outlives it.
  TegraSmmuInstance(KernelMemory& memory, const TegraSmmuOptions& options) : unit_{memory, options} {}

  void probe(Cpu& cpu) override;
  /// Linux takes the lowest free address space at the first attach: the same where domains are attached in the
  /// order they are made.
  std::unique_ptr<IommuDriver> make_domain(Cpu& cpu, std::uint32_t id) override;
  /// All clients of the device's group. ENODEV for a number that is no client's, ENOSPC without an address space.
  int attach(Cpu& cpu, IommuDriver& domain, SourceId device) override;

  const TegraSmmuOptions& options() const { return unit_.options; }

 private:
  TegraUnit unit_;
};

}  // namespace gnomon::guest
