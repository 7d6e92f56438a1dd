// SPDX-License-Identifier: Apache-2.0
// What an emulated VT-d unit is like, as plain values.
#pragma once

#include <cstdint>

namespace gnomon::hypervisor {

/// How the host's mappings follow the guest's table.
enum class IntelShadowing : std::uint8_t {
  caching_mode,  ///< QEMU: the guest invalidates what it maps and unmaps, and that part of its table is walked
  nested,  ///< not at all: the physical IOMMU walks the guest's first-level table; invalidations are forwarded
  write_protect,  ///< the guest's first-level table pages are write-protected, each store to one is followed at
                  ///< once; invalidations are forwarded
};

/// Planted bugs, for tests of the checkers. All off in a correct device.
struct IntelIommuDeviceFaults {
  bool skip_unmap_events = false;    ///< what the guest unmapped is forgotten, and the host is not told
  bool ignore_address_mask = false;  ///< a page-selective invalidation is of one page, whatever its AM says
  bool drop_forwarded = false;       ///< an invalidation that is to be forwarded is not
};

struct IntelIommuDeviceConfig {
  IntelShadowing shadowing = IntelShadowing::caching_mode;
  bool caching_mode = true;    ///< CAP.CM. Without it no device learns of what becomes present
  bool scalable = false;       ///< ECAP.SMTS (x-scalable-mode): with second-level tables where they are shadowed by
                               ///< caching mode, else with first-level ones (x-flts)
  unsigned address_bits = 48;  ///< 39 or 48 (aw-bits)
  bool first_level_1g = true;  ///< CAP.FS1GP
  bool snoops_tables = false;  ///< ECAP.C and SMPWCS: the guest need not flush its caches. Not set by QEMU
  IntelIommuDeviceFaults faults;
};

}  // namespace gnomon::hypervisor
