// SPDX-License-Identifier: Apache-2.0
// What is chosen of an SMMUv3 beyond IommuConfig.
#pragma once

#include <cstdint>

namespace gnomon::iommu {

/// Of IommuConfig an SMMUv3 takes the geometry of the caches (the context cache holds stream table entries, and as
/// many context descriptors), `device_tlb` (ATS) and the faults: ignore_psi_mask drops only the first page of a
/// TLBI by address, ignore_domain_invalidation nothing by VMID, ignore_pasid_invalidation nothing by ASID. Widths
/// and depths of VT-d mean nothing to it.
struct Smmuv3Config {
  bool range_invalidation = true;  ///< IDR3.RIL
  bool stage1 = true;              ///< IDR0.S1P
  bool stage2 = true;              ///< IDR0.S2P; with stage1, nested too
  bool two_level_streams = true;   ///< IDR0.ST_LEVEL
  bool msi = true;                 ///< IDR0.MSI: CMD_SYNC may signal by a write
  bool sev = true;                 ///< IDR0.SEV
  std::uint8_t stream_bits = 16;   ///< IDR1.SIDSIZE
  std::uint8_t command_log2 = 15;  ///< IDR1.CMDQS: 2^n commands at most; at most 19
  std::uint8_t event_log2 = 15;    ///< IDR1.EVENTQS
  std::uint8_t output_size = 5;    ///< IDR5.OAS: 5 is 48 bits
  bool virtual_queues = false;     ///< one interface of Tegra241's CMDQ-V
};

}  // namespace gnomon::iommu
