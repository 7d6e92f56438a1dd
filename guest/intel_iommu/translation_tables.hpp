// SPDX-License-Identifier: Apache-2.0
// Root, context and PASID tables as the Intel IOMMU driver keeps them in the kernel's memory
// (drivers/iommu/intel/{iommu,pasid}.c, 6.1 to 7.2).
#pragma once

#include <cstdint>
#include <optional>

#include "guest/kernel/kernel_memory.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"
#include "models/spec/vtd/registers.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::guest {

/// The PASID under which requests without one are translated in scalable mode (IOMMU_NO_PASID).
inline constexpr std::uint32_t rid_pasid = 0;

/// Tables appear when a device first needs them and stay. All that allocate throw std::bad_alloc.
class IntelTranslationTables {
 public:
  IntelTranslationTables(KernelMemory& memory, bool scalable)
      : memory_(memory), scalable_(scalable), root_(memory.allocate()) {}

  Gpa root() const { return root_; }
  std::uint64_t rtaddr() const { return root_.value | (scalable_ ? std::uint64_t{1} << 10 : 0); }  ///< TTM 01b

  // Legacy mode.
  void set_context(SourceId device, const vtd::ContextEntry& entry);
  void clear_context(SourceId device);

  // Scalable mode.
  /// Gives the device a PASID directory of one page, 2^15 PASIDs, and the table of the first 64. False where it
  /// had.
  bool set_scalable_context(SourceId device, bool device_tlb);
  /// The entry of rid_pasid. Requires a context.
  void set_pasid(SourceId device, const vtd::PasidTableEntry& entry);
  void clear_pasid(SourceId device);

 private:
  Gpa context_at(SourceId device);
  Gpa pasid_entry_at(SourceId device);

  KernelMemory& memory_;
  bool scalable_;
  Gpa root_;
};

}  // namespace gnomon::guest
