// SPDX-License-Identifier: Apache-2.0
// What differs between kernels in the drivers of the x86 units, as plain values.
#pragma once

#include <cstdint>

#include "guest/iommu/flush_policy.hpp"

namespace gnomon::guest {

/// When INVALIDATE_IOMMU_PAGES drops cached directory entries too.
enum class PdeBit : std::uint8_t {
  always,        ///< to 6.12
  tables_freed,  ///< 7.2: where page-table pages were freed, and at the flush of a map
};

struct AmdDriverBehaviour {
  const FlushPolicy* flush_policy = find_flush_policy("natural-split");  ///< "full" before 5.15
  PdeBit pde_bit = PdeBit::always;
};

struct IntelDriverBehaviour {
  const FlushPolicy* flush_policy = find_flush_policy("generic");  ///< a driver call's chunk is added at once
  unsigned descriptors_per_submit = 16;  ///< of a domain, before one wait and one doorbell; 1 before 6.12
  bool claims_all_sizes = false;         ///< every power of two is a page size to the core: before 5.15
  bool first_level_default = true;       ///< DMA domains take first-level tables where all units can
};

}  // namespace gnomon::guest
