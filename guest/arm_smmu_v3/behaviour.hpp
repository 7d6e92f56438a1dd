// SPDX-License-Identifier: Apache-2.0
// What differs between versions of the SMMUv3 driver (drivers/iommu/arm/arm-smmu-v3) and of io-pgtable-arm, and how
// its queue reaches the unit.
#pragma once

#include <cstdint>

#include "guest/iommu/flush_policy.hpp"
#include "models/spec/smmuv3/page_table.hpp"

namespace gnomon::guest {

/// How a guest's commands reach the hardware.
enum class SmmuQueue : std::uint8_t {
  registers,  ///< through the unit's own queue: on bare metal; in a guest each access of PROD and CONS exits
  owned,      ///< invalidations through virtual queues that hardware gives to the guest (Tegra241 CMDQ-V), without
              ///< exits
};

/// The defaults are 6.1's.
struct SmmuDriverBehaviour {
  const FlushPolicy* flush_policy = find_flush_policy("generic");  ///< asked leaf by leaf
  bool range_commands = true;  ///< TLBI by range where the unit has it: since 5.7
  bool split_blocks = true;    ///< part of a block can be unmapped; 6.13 and later refuse
  bool full_above_limit =
      false;                     ///< 7.2: without TLBI by range, 512 granules of 4 KiB or more are the whole domain
  bool sync_every_call = false;  ///< 2015: each unmap call ends with its own CMD_SYNC, and nothing is gathered
};

/// Planted bugs, to prove that a checker sees them. All off in a correct driver.
struct SmmuDriverFaults {
  bool skip_unmap_flush = false;  ///< iotlb_sync does nothing
  bool skip_walk_flush = false;   ///< tables that a block's unmap took out are freed at once
  bool skip_sync = false;         ///< commands are queued, and nobody waits for them
  bool first_range_only = false;  ///< a range that takes several TLBI commands gets its first alone
};

struct SmmuDriverOptions {
  SmmuDriverBehaviour kernel;                ///< its policy is not null
  smmuv3::Stage stage = smmuv3::Stage::one;  ///< of domains: 1 for DMA, 2 for VFIO's where it nests
  SmmuQueue queue = SmmuQueue::registers;
  bool msi_polling = true;   ///< CMD_SYNC tells by a write into the queue, where unit and memory are coherent
  bool force_sync = false;   ///< a batch that is full ends in CMD_SYNC (an erratum's workaround)
  bool device_tlbs = false;  ///< the devices have ATS on
  unsigned most_commands_log2 = 18;  ///< CMDQ_MAX_SZ_SHIFT, beside the unit's own limit
  unsigned virtual_queue_log2 = 8;   ///< of an owned queue, which must be contiguous in the host: one page
  SmmuDriverFaults faults;
};

}  // namespace gnomon::guest
