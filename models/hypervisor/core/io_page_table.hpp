// SPDX-License-Identifier: Apache-2.0
// The host IOMMU's page table of a VFIO container, as VFIO type1 uses it through the IOMMU core.
#pragma once

#include <cstdint>
#include <optional>

#include "models/base/address.hpp"
#include "models/hypervisor/core/shadow_target.hpp"

namespace gnomon::hypervisor {

/// A table format. Invalidation is nobody's business here: see IotlbSync.
class IoPageTable {
 public:
  struct MapOutcome {
    bool ok = false;                     ///< false: no memory for a table, or something is mapped there
    std::uint64_t bytes = 0;             ///< mapped, also where not ok
    std::uint32_t ptes_written = 0;      ///< leaves and links
    std::uint32_t tables_allocated = 0;  ///< zeroed pages
  };
  struct UnmapOutcome {
    std::uint64_t bytes = 0;  ///< unmapped; more than asked where a leaf is larger, 0 in a hole
    std::uint32_t ptes_cleared = 0;
    std::uint32_t tables_freed = 0;
  };

  virtual ~IoPageTable() = default;

  /// `bytes` is a multiple of `leaf_bytes`, one of page_sizes(), to which both addresses are aligned.
  virtual MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t leaf_bytes, DmaAccess access) = 0;
  virtual UnmapOutcome unmap(Iova iova, std::uint64_t bytes) = 0;
  /// A walk in software.
  virtual std::optional<Hpa> iova_to_phys(Iova iova) = 0;
  /// The leaf sizes, a bit each; 4 KiB is among them.
  virtual std::uint64_t page_sizes() const = 0;
};

}  // namespace gnomon::hypervisor
