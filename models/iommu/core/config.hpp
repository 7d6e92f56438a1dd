// SPDX-License-Identifier: Apache-2.0
// What is chosen of a physical IOMMU: geometry, capabilities, the times its shell charges, and planted bugs.
#pragma once

#include <array>
#include <cstdint>

#include "models/base/time.hpp"

namespace gnomon::iommu {

/// Bugs the sanitizer has to find. All off is a unit that obeys the specification.
struct IommuFaults {
  bool ignore_psi_mask = false;  ///< a page-selective invalidation drops only the first page of its block
  bool ignore_domain_invalidation = false;  ///< a domain-selective IOTLB invalidation drops nothing
  bool keep_walk_cache = false;             ///< IOTLB invalidations leave the paging-structure caches as they are
  // Of scalable mode:
  bool ignore_pasid_invalidation = false;  ///< a PASID-selective IOTLB invalidation drops nothing
  bool keep_nested_walk_cache = false;     ///< PASID-based invalidations leave the first stage's paging structures
  bool keep_nested_entries = false;        ///< page-selective second-stage invalidations leave nested translations
  bool keep_pasid_cache = false;           ///< a PASID-cache invalidation drops nothing
};

struct IommuTiming {
  Time iotlb_hit = Time::ns(2);    ///< one IOTLB lookup, hit or miss (HyperSIO's IOTLB)
  Time context_hit = Time::ns(1);  ///< one context-cache lookup (HyperSIO's context cache)
  Time walk_cache_hit =
      Time::ns(5);  ///< lookup of the paging-structure caches on an IOTLB miss (HyperSIO's page cache)
  Time memory_read = Time::ns(197);  ///< each paging, root or context entry read (F&S, SOSP'24: lm, Cascade Lake)
  Time descriptor_fetch = Time::ns(197);  ///< reading one descriptor from the queue: the same memory path
  Time descriptor_execute =
      Time::ns(190);                 ///< executing one descriptor (bound by SMMUv3 CMD_SYNC on an empty queue)
  Time status_write = Time::ns(50);  ///< a wait descriptor's status write until memory has it (HyperSIO's DDR)
  Time doorbell;    ///< from the processor's store until the unit knows of new commands
  Time completion;  ///< of an SMMUv3: from a command's execution until it is complete, which a wait stands for
};

/// Whose IOMMU the machine has.
enum class UnitKind : std::uint8_t { vtd, amdvi, smmuv3, tegra, s390 };

struct IommuConfig {
  UnitKind unit = UnitKind::vtd;
  std::uint32_t iotlb_sets = 8;  ///< a power of two
  std::uint32_t iotlb_ways = 8;  ///< 64 entries in all (HyperSIO's example)
  /// Paging-structure cache entries that point to a table of level 1, 2, 3, 4; 0 is none. F&S finds 64 or 128
  /// plausible for the pointers to leaf tables.
  std::array<std::uint32_t, 4> walk_cache_entries{64, 32, 16, 16};
  std::uint32_t walk_cache_ways = 8;         ///< at most the entries of a level; entries / ways is a power of two
  std::uint32_t context_cache_entries = 64;  ///< in sets of up to 4

  std::uint8_t sagaw = 0b00100;          ///< table depths: bit 1 is 3 levels, bit 2 is 4, bit 3 is 5
  std::uint8_t address_width = 48;       ///< input address bits (MGAW)
  std::uint8_t host_address_width = 46;  ///< bits of a host-physical address (HAW): those above are reserved
  std::uint8_t large_pages = 0b11;       ///< SSLPS: bit 0 is 2 MiB, bit 1 is 1 GiB
  std::uint8_t max_address_mask = 18;    ///< MAMV: largest AM of a page-selective invalidation; at most 48
  std::uint16_t fault_records = 8;       ///< fault recording registers, 1 to 256
  bool snoop_control = true;             ///< ECAP.SC: SNP of a leaf is not reserved
  bool device_tlb = true;                ///< ECAP.DT: TT 01b and device-TLB descriptors are legal

  // Scalable mode (VT-d). Off, the unit has legacy mode only.
  bool scalable_mode = false;              ///< ECAP.SMTS, SSTS: PASID tables, 256-bit descriptors
  bool first_stage = false;                ///< ECAP.FSTS; needs scalable_mode
  bool nested = false;                     ///< ECAP.NEST; needs first_stage
  bool first_stage_1g = true;              ///< CAP.FS1GP: 1 GiB first-stage leaves
  bool first_stage_5_levels = false;       ///< CAP.FS5LP
  bool extended_accessed = false;          ///< ECAP.EAFS: EAFE of a PASID table entry is not reserved
  std::uint8_t pasid_bits = 20;            ///< ECAP.PSS, plus one
  std::uint32_t pasid_cache_entries = 64;  ///< PASID table entries, in sets of up to 4
  bool caching_mode = false;               ///< CAP.CM: an emulated unit that has to be told of new mappings too

  IommuTiming timing;
  IommuFaults faults;
};

/// Throws std::invalid_argument that names the field which is out of its range.
void validate(const IommuConfig& config);

}  // namespace gnomon::iommu
