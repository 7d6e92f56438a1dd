// SPDX-License-Identifier: Apache-2.0
// The SMMU of Tegra30 to Tegra210, without time: registers that act at once, address spaces, a walk of two levels
// through the page-table cache. It reads memory, and what a CPU has not cleaned out of its cache is not there.
// Source: Tegra X1 technical reference manual, chapter 18. Not modelled: security, the error interrupt itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/iommu/core/remapping_unit.hpp"
#include "models/iommu/tegra/config.hpp"
#include "models/iommu/tegra/page_table_cache.hpp"
#include "models/iommu/tegra/tlb.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/tegra_smmu/page_table.hpp"

namespace gnomon::iommu {

/// A request's SourceId is the number of its memory client. Event streams know address space n as domain n + 1.
/// UnitCodes are tegra::ErrorType. `memory` must outlive the object.
class TegraSmmuUnit final : public RemappingUnit {
 public:
  /// Throws std::invalid_argument where the configuration is out of range.
  TegraSmmuUnit(const TegraConfig& config, PhysicalMemory& memory);

  /// Clients that are not switched on, or that the unit does not know, pass through.
  Translation translate(SourceId client, Iova iova, Access access) override;
  std::optional<pgtable::Mapping> resolve(SourceId client, Iova iova, Access access) const override;

  std::uint64_t queued() const override { return 0; }  ///< there is no queue: a register write is the command
  InvalidationStep step() override { return QueueIdle{}; }

  std::uint64_t read(std::uint32_t offset, unsigned bytes) const override;
  /// A TLB flush is in the result's `executed`.
  RegisterWrite write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override;

  const tegra::Soc& soc() const { return *config_.soc; }
  const TegraTlb& tlb() const { return tlb_; }
  const PageTableCache& page_table_cache() const { return ptc_; }

 private:
  struct Walk {
    std::optional<TegraTlb::Group> group;  // the four entries; none where the directory has no table
    tegra::Entry last{};                   // where there is none: what ended it
    bool off_memory = false;
    std::uint8_t reads = 0;
  };

  std::optional<std::uint8_t> address_space_of(SourceId client) const;
  template <class Read>
  Walk walk(std::uint8_t asid, Iova iova, Read read) const;
  Translation& fault(Translation& t, tegra::ErrorType type, tegra::Entry entry, SourceId client, Iova iova,
                     Access access);
  InvalidationStep flush_tlb(std::uint32_t value);
  void write_register(std::uint32_t offset, std::uint32_t value, RegisterWrite& w);
  std::uint32_t& at(std::uint32_t offset) { return registers_[offset / 4]; }
  std::uint32_t at(std::uint32_t offset) const { return registers_[offset / 4]; }

  TegraConfig config_;
  PhysicalMemory& memory_;
  TegraTlb tlb_;
  PageTableCache ptc_;
  std::array<std::uint32_t, tegra::register_space_bytes / 4> registers_{};
  std::vector<std::uint32_t> directories_;  // PTB_DATA by ASID
};

}  // namespace gnomon::iommu
