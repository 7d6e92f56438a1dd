// SPDX-License-Identifier: Apache-2.0
// The in-memory structures a legacy-mode DMA passes through: root entry, context entry, second-stage paging entry.
// Source: Intel VT-d specification rev 4.1, sections 9.1, 9.3 and 9.8. Field names are the specification's.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"

namespace gnomon::vtd {

/// Section 9.1. One per bus; the table is a page of 256.
struct RootEntry {
  bool p = false;  ///< present
  Hpa ctp{};       ///< context-table pointer, page aligned
  constexpr bool operator==(const RootEntry&) const = default;
};

constexpr RootEntry decode_root_entry(Bits128 raw) {
  return {(raw.lo & 1) != 0, Hpa{raw.lo & mask(63, 12)}};
}
constexpr Bits128 encode(const RootEntry& e) {
  return {(e.ctp.value & mask(63, 12)) | (e.p ? 1u : 0u), 0};
}
/// A reserved field is not zero: fault reason 0Ah when the entry is present.
constexpr bool root_entry_reserved_set(Bits128 raw, unsigned haw) {
  return (raw.lo & (mask(11, 1) | above_haw(haw))) != 0 || raw.hi != 0;
}

/// Context entry, TT (section 9.3).
enum class TranslationType : std::uint8_t {
  untranslated_only = 0b00,  ///< untranslated requests through the second stage; ATS requests are blocked
  with_device_tlb = 0b01,    ///< the same, and ATS translation and translated requests are allowed
  pass_through = 0b10,       ///< untranslated requests are not translated
  reserved = 0b11,
};

/// Section 9.3. One per device and function; the table is a page of 256.
struct ContextEntry {
  bool p = false;    ///< present
  bool fpd = false;  ///< fault processing disable: qualified faults of this device are not recorded
  TranslationType tt = TranslationType::untranslated_only;
  Hpa ssptptr{};        ///< second-stage page-table pointer, page aligned; ignored on pass-through
  std::uint8_t aw = 0;  ///< adjusted guest address width, encoded: see levels_of_aw()
  DomainId did{};       ///< domain identifier: the tag of the IOTLB and the paging-structure caches
  constexpr bool operator==(const ContextEntry&) const = default;
};

constexpr ContextEntry decode_context_entry(Bits128 raw) {
  return {(raw.lo & 1) != 0,
          (raw.lo & 2) != 0,
          static_cast<TranslationType>(field(raw.lo, 3, 2)),
          Hpa{raw.lo & mask(63, 12)},
          static_cast<std::uint8_t>(field(raw.hi, 2, 0)),
          DomainId{static_cast<std::uint16_t>(field(raw.hi, 23, 8))}};
}
constexpr Bits128 encode(const ContextEntry& e) {
  return {(e.ssptptr.value & mask(63, 12)) | static_cast<std::uint64_t>(e.tt) << 2 | (e.fpd ? 2u : 0u) |
              (e.p ? 1u : 0u),
          static_cast<std::uint64_t>(e.did.value) << 8 | (e.aw & 7u)};
}
/// A reserved field is not zero: fault reason 0Bh when the entry is present. Bits 70:67 are ignored by hardware.
constexpr bool context_entry_reserved_set(Bits128 raw, unsigned haw) {
  return (raw.lo & (mask(11, 4) | above_haw(haw))) != 0 || (raw.hi & (mask(63, 24) | mask(7, 7))) != 0;
}

/// AW 001b is 3 levels (39 bits), 010b 4 (48), 011b 5 (57). Returns 0 for a reserved encoding.
constexpr unsigned levels_of_aw(std::uint8_t aw) {
  return aw >= 1 && aw <= 3 ? aw + 2u : 0u;
}
constexpr std::uint8_t aw_of_levels(unsigned levels) {
  return static_cast<std::uint8_t>(levels - 2);
}

/// Section 9.8: second-stage paging entry of any level, 512 to a table page. Level 1 holds 4 KiB leaves.
struct SecondStagePte {
  bool r = false;    ///< read
  bool w = false;    ///< write; neither R nor W is a not-present entry
  bool ps = false;   ///< page size: a leaf above level 1 (2 MiB at level 2, 1 GiB at level 3); ignored at level 1
  bool snp = false;  ///< snoop: leaves only
  Hpa addr{};        ///< page of the next table or of the leaf
  constexpr bool operator==(const SecondStagePte&) const = default;
  constexpr bool present() const { return r || w; }
};

constexpr SecondStagePte decode_second_stage_pte(std::uint64_t raw) {
  return {(raw & 1) != 0, (raw & 2) != 0, (raw & mask(7, 7)) != 0, (raw & mask(11, 11)) != 0,
          Hpa{raw & mask(51, 12)}};
}
constexpr std::uint64_t encode(const SecondStagePte& e) {
  return (e.addr.value & mask(51, 12)) | (e.snp ? mask(11, 11) : 0) | (e.ps ? mask(7, 7) : 0) | (e.w ? 2u : 0u) |
         (e.r ? 1u : 0u);
}

/// Bits of input address a table of `level` entries resolves: 12, 21, 30, 39, 48 for levels 1 to 5.
constexpr unsigned level_shift(unsigned level) {
  return 12 + 9 * (level - 1);
}
constexpr std::uint64_t level_bytes(unsigned level) {
  return std::uint64_t{1} << level_shift(level);
}
constexpr unsigned table_entries = 512;
constexpr unsigned table_index(Iova iova, unsigned level) {
  return static_cast<unsigned>(iova.value >> level_shift(level)) & (table_entries - 1);
}

}  // namespace gnomon::vtd
