// SPDX-License-Identifier: Apache-2.0
// What a unit says it can do: the header of its PCI capability block and the extended feature register.
// Source: AMD I/O Virtualization Technology (IOMMU) specification, 48882 rev 3, sections 3.2.1 and 3.4.9.
#pragma once

#include <cstdint>

#include "models/spec/amdvi/bits.hpp"

namespace gnomon::amdvi {

/// Capability block, offset 00h of 32 bits. NpCache is what makes a virtual unit a caching one: Linux then flushes
/// on map, splits its flushes and turns the whole system strict.
struct Capability {
  std::uint8_t cap_id = 0x0f;   ///< secure device
  std::uint8_t cap_ptr = 0;     ///< offset of the next capability
  std::uint8_t cap_type = 0x3;  ///< an IOMMU
  std::uint8_t cap_rev = 1;
  bool iotlb_sup = false;  ///< devices may have an IOTLB (ATS)
  bool ht_tunnel = false;
  bool np_cache = false;  ///< not-present table entries may be cached
  bool efr_sup = true;    ///< the extended feature register exists
  bool cap_ext = false;   ///< miscellaneous information register 1 exists
  constexpr bool operator==(const Capability&) const = default;
};

constexpr std::uint32_t encode(const Capability& c) {
  return static_cast<std::uint32_t>(placed(c.cap_id, 7, 0) | placed(c.cap_ptr, 15, 8) | placed(c.cap_type, 18, 16) |
                                    placed(c.cap_rev, 23, 19) | at(c.iotlb_sup, 24) | at(c.ht_tunnel, 25) |
                                    at(c.np_cache, 26) | at(c.efr_sup, 27) | at(c.cap_ext, 28));
}

constexpr Capability decode_capability(std::uint32_t raw) {
  const auto u8 = [&](unsigned high, unsigned low) { return static_cast<std::uint8_t>(field(raw, high, low)); };
  return {u8(7, 0),     u8(15, 8),    u8(18, 16),   u8(23, 19),  bit(raw, 24),
          bit(raw, 25), bit(raw, 26), bit(raw, 27), bit(raw, 28)};
}

/// HATS of the extended feature register: how deep host tables may be.
enum class HostTableLevels : std::uint8_t { four = 0b00, five = 0b01, six = 0b10, reserved = 0b11 };

/// Extended feature register (MMIO 30h). Fields of features not modelled read as zero.
struct ExtendedFeatures {
  bool pre_f_sup = false;  ///< PREFETCH_IOMMU_PAGES
  bool ppr_sup = false;    ///< peripheral page requests
  bool xt_sup = false;     ///< x2APIC
  bool gt_sup = false;     ///< guest translation: PASIDs
  bool ia_sup = false;     ///< INVALIDATE_IOMMU_ALL
  bool ga_sup = false;     ///< guest virtual APIC
  bool he_sup = false;     ///< hardware error registers
  bool pc_sup = false;     ///< performance counters
  HostTableLevels hats = HostTableLevels::four;
  constexpr bool operator==(const ExtendedFeatures&) const = default;
};

constexpr std::uint64_t encode(const ExtendedFeatures& e) {
  return at(e.pre_f_sup, 0) | at(e.ppr_sup, 1) | at(e.xt_sup, 2) | at(e.gt_sup, 4) | at(e.ia_sup, 6) |
         at(e.ga_sup, 7) | at(e.he_sup, 8) | at(e.pc_sup, 9) | placed(static_cast<std::uint64_t>(e.hats), 11, 10);
}

constexpr ExtendedFeatures decode_extended_features(std::uint64_t raw) {
  return {bit(raw, 0), bit(raw, 1), bit(raw, 2),
          bit(raw, 4), bit(raw, 6), bit(raw, 7),
          bit(raw, 8), bit(raw, 9), static_cast<HostTableLevels>(field(raw, 11, 10))};
}

}  // namespace gnomon::amdvi
