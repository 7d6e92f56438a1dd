// SPDX-License-Identifier: Apache-2.0
// The PCI translation of s390 hardware, without time: a function's DMA is translated by the tables it was
// registered with, through an IOTLB that RPCIT purges. What a logical partition (LPAR) runs on. Sources: the
// encodings' own; nothing is published of the hardware's caches.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/iommu/core/config.hpp"
#include "models/iommu/core/iotlb.hpp"
#include "models/iommu/core/remapping_unit.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/s390_pci/instruction.hpp"

namespace gnomon::iommu {

/// There are no registers and no queue: software reaches it through instructions. UnitCodes are
/// s390_pci::EventCode. Invalid entries are never cached, so that what becomes valid needs no RPCIT (tlb_refresh is
/// clear).
class S390PciUnit final : public RemappingUnit {
 public:
  /// Of `config` the IOTLB's geometry and the faults ignore_psi_mask and ignore_domain_invalidation. `memory`, the
  /// partition's, must outlive the object. Throws std::invalid_argument.
  S390PciUnit(const IommuConfig& config, PhysicalMemory& memory);

  /// `tag`: what its translations are cached under. Throws std::invalid_argument where either is there already.
  void add_function(s390_pci::FunctionHandle handle, SourceId source, DomainId tag);

  s390_pci::Outcome register_translation(std::uint64_t function, Iova first, Iova last, std::uint64_t iota);
  s390_pci::Outcome deregister_translation(std::uint64_t function);
  struct Refreshed {
    s390_pci::Outcome outcome;
    DomainId tag{};
    std::uint32_t dropped = 0;  ///< IOTLB entries
  };
  Refreshed refresh(std::uint64_t function, Iova address, std::uint64_t bytes);

  Translation translate(SourceId source, Iova iova, Access access) override;
  std::optional<pgtable::Mapping> resolve(SourceId source, Iova iova, Access access) const override;
  std::uint64_t queued() const override { return 0; }
  InvalidationStep step() override { return QueueIdle{}; }
  std::uint64_t read(std::uint32_t, unsigned) const override { return 0; }
  RegisterWrite write(std::uint32_t, std::uint64_t, unsigned) override { return {}; }

  const Iotlb& iotlb() const { return iotlb_; }

 private:
  struct Function {
    s390_pci::FunctionHandle handle;
    SourceId source;
    DomainId tag;
    bool registered = false;
    Iova first{};
    Iova last{};
    std::uint64_t iota = 0;
  };
  struct Walk {
    std::optional<pgtable::Mapping> leaf;
    s390_pci::EventCode event = s390_pci::EventCode::none;
    std::uint8_t reads = 0;
  };

  Function* find(std::uint64_t function);
  const Function* find(SourceId source) const;
  std::uint64_t read_entry(std::uint64_t table, unsigned index, Walk& walk) const;
  Walk walk(const Function& function, Iova iova) const;

  IommuConfig config_;
  PhysicalMemory& memory_;
  Iotlb iotlb_;
  std::vector<Function> functions_;
};

}  // namespace gnomon::iommu
