// SPDX-License-Identifier: Apache-2.0
// The in-memory structures of scalable mode: root entry, context entry, PASID directory and PASID table entries.
// Source: Intel VT-d specification rev 4.1, sections 9.2, 9.4, 9.5 and 9.6. Field names are the specification's.
#pragma once

#include <array>
#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"

namespace gnomon::vtd {

/// 256 and 512 bits, as 64-bit words from bit 0 up.
struct Bits256 {
  std::array<std::uint64_t, 4> word{};
  constexpr bool operator==(const Bits256&) const = default;
};
struct Bits512 {
  std::array<std::uint64_t, 8> word{};
  constexpr bool operator==(const Bits512&) const = default;
};
static_assert(sizeof(Bits256) == 32 && sizeof(Bits512) == 64);

/// Section 9.2. One per bus; each half is for 128 functions, 32 bytes of context entry each.
struct ScalableRootEntry {
  bool lp = false;  ///< lower half present: devices 0 to 15
  Hpa lctp{};       ///< lower scalable-mode context-table pointer
  bool up = false;  ///< upper half present: devices 16 to 31
  Hpa uctp{};
  constexpr bool operator==(const ScalableRootEntry&) const = default;
};

constexpr ScalableRootEntry decode_scalable_root_entry(Bits128 raw) {
  return {(raw.lo & 1) != 0, Hpa{raw.lo & mask(63, 12)}, (raw.hi & 1) != 0, Hpa{raw.hi & mask(63, 12)}};
}
constexpr Bits128 encode(const ScalableRootEntry& e) {
  return {(e.lctp.value & mask(63, 12)) | (e.lp ? 1u : 0u), (e.uctp.value & mask(63, 12)) | (e.up ? 1u : 0u)};
}
/// Of the half `upper` alone: fault reason 3Ah when it is present.
constexpr bool scalable_root_entry_reserved_set(Bits128 raw, bool upper, unsigned haw) {
  return ((upper ? raw.hi : raw.lo) & (mask(11, 1) | above_haw(haw))) != 0;
}

/// Section 9.4. 128 to a table page.
struct ScalableContextEntry {
  bool p = false;               ///< present
  bool fpd = false;             ///< fault processing disable
  bool dte = false;             ///< device-TLB enable
  bool paside = false;          ///< requests with PASID are allowed
  bool pre = false;             ///< page-request enable
  std::uint8_t pdts = 0;        ///< PASID directory size, 3 bits: 2^(PDTS + 7) entries
  Hpa pasiddirptr{};            ///< page aligned
  std::uint32_t rid_pasid = 0;  ///< 20 bits: the PASID of requests without one
  bool rid_priv = false;        ///< those requests are of supervisor privilege
  constexpr bool operator==(const ScalableContextEntry&) const = default;
};

constexpr ScalableContextEntry decode_scalable_context_entry(const Bits256& raw) {
  const auto bit = [&](unsigned n) { return field(raw.word[0], n, n) != 0; };
  return {bit(0),
          bit(1),
          bit(2),
          bit(3),
          bit(4),
          static_cast<std::uint8_t>(field(raw.word[0], 11, 9)),
          Hpa{raw.word[0] & mask(63, 12)},
          static_cast<std::uint32_t>(field(raw.word[1], 19, 0)),
          field(raw.word[1], 20, 20) != 0};
}
constexpr Bits256 encode(const ScalableContextEntry& e) {
  return {{std::uint64_t{e.p} | std::uint64_t{e.fpd} << 1 | std::uint64_t{e.dte} << 2 |
               std::uint64_t{e.paside} << 3 | std::uint64_t{e.pre} << 4 | std::uint64_t{e.pdts & 7u} << 9 |
               (e.pasiddirptr.value & mask(63, 12)),
           std::uint64_t{e.rid_pasid & 0xfffffu} | std::uint64_t{e.rid_priv} << 20, 0, 0}};
}
/// Fault reason 42h when the entry is present.
constexpr bool scalable_context_entry_reserved_set(const Bits256& raw, unsigned haw) {
  return (raw.word[0] & (mask(8, 5) | above_haw(haw))) != 0 || (raw.word[1] & mask(63, 21)) != 0 ||
         (raw.word[2] | raw.word[3]) != 0;
}

/// A PASID's bits 19:6 choose the directory entry, 5:0 the entry of the table it points to.
constexpr std::uint32_t pasid_directory_index(std::uint32_t pasid) {
  return pasid >> 6;
}
constexpr std::uint32_t pasid_table_index(std::uint32_t pasid) {
  return pasid & 0x3fu;
}
constexpr std::uint32_t pasid_directory_entries(std::uint8_t pdts) {
  return std::uint32_t{1} << (pdts + 7);
}

/// Section 9.5, 64 bits. Points to a page of 64 PASID table entries.
struct PasidDirectoryEntry {
  bool p = false;
  bool fpd = false;  ///< fault processing disable
  Hpa smptblptr{};   ///< scalable-mode PASID table pointer, page aligned
  constexpr bool operator==(const PasidDirectoryEntry&) const = default;
};

constexpr PasidDirectoryEntry decode_pasid_directory_entry(std::uint64_t raw) {
  return {(raw & 1) != 0, (raw & 2) != 0, Hpa{raw & mask(63, 12)}};
}
constexpr std::uint64_t encode(const PasidDirectoryEntry& e) {
  return (e.smptblptr.value & mask(63, 12)) | (e.fpd ? 2u : 0u) | (e.p ? 1u : 0u);
}
/// Fault reason 52h when the entry is present.
constexpr bool pasid_directory_entry_reserved_set(std::uint64_t raw, unsigned haw) {
  return (raw & (mask(11, 2) | above_haw(haw))) != 0;
}

}  // namespace gnomon::vtd
