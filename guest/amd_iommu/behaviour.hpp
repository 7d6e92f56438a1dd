// SPDX-License-Identifier: Apache-2.0
// What differs between versions of the AMD IOMMU driver (drivers/iommu/amd/iommu.c), beside what kernel files say.
#pragma once

#include <cstdint>

#include "guest/iommu/driver_behaviour.hpp"

namespace gnomon::guest {

/// How a CPU waits for what it has queued (iommu_completion_wait).
enum class AmdCompletion : std::uint8_t {
  under_lock,     ///< as first written: returns at once when no command was queued since the last COMPLETION_WAIT,
                  ///< whoever queued that one and whether or not it has completed; polls with the unit's lock held
  after_unlock,   ///< the same, but polls after the lock's release
  last_sequence,  ///< 6.1.192: instead of returning at once it waits for the last sequence number given out
};

/// Planted bugs, to prove that a checker sees them. All off in a correct driver.
struct AmdDriverFaults {
  bool skip_map_flush = false;    ///< iotlb_sync_map does nothing, NpCache or not
  bool skip_unmap_flush = false;  ///< iotlb_sync does nothing
  bool skip_wait = false;         ///< no flush is waited for
};

/// The defaults are 6.1's.
struct AmdDriverOptions {
  AmdDriverBehaviour kernel;     ///< its policy is not null
  bool split_flush_all = false;  ///< 6.12: with NpCache a flush of everything is split as well, into 63 commands
  bool gather_deferred = true;  ///< unmaps that a flush queue will flush are gathered, and may sync early; 7.x: not
  bool flush_map = true;        ///< iotlb_sync_map flushes where NpCache is set
  bool walk_every_leaf = true;  ///< from the root; 7.x walks once a call
  AmdCompletion completion = AmdCompletion::last_sequence;
  AmdDriverFaults faults;
};

}  // namespace gnomon::guest
