// SPDX-License-Identifier: Apache-2.0
// What differs between versions of the Intel IOMMU driver (drivers/iommu/intel/{iommu,cache}.c), and its planted
// bugs.
#pragma once

#include "guest/iommu/driver_behaviour.hpp"

namespace gnomon::guest {

/// Planted bugs, to prove that a checker sees them. All off in a correct driver.
struct IntelDriverFaults {
  bool skip_map_flush = false;    ///< iotlb_sync_map does nothing, caching mode or not
  bool skip_unmap_flush = false;  ///< iotlb_sync does nothing
  bool always_hint = false;       ///< IH is set though page-table pages were freed
  bool no_rounding = false;       ///< a flush names the block its length says, not the one that encloses its range
};

/// The defaults are 6.12's.
struct IntelDriverOptions {
  IntelDriverBehaviour kernel;  ///< its policy is not null
  bool cache_tags = true;  ///< since 6.10: a flush holds a lock of the domain, and a flush of everything reaches
                           ///< device TLBs in caching mode too
  bool second_level_hint = true;  ///< IH of a second-level flush reaches the descriptor; 6.1 masks it off
  IntelDriverFaults faults;
};

}  // namespace gnomon::guest
