// SPDX-License-Identifier: Apache-2.0
// The scalable-mode PASID table entry: what translates the requests of one PASID of one device.
// Source: Intel VT-d specification rev 4.1, section 9.6. Field names are the specification's.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"
#include "models/spec/vtd/scalable_tables.hpp"

namespace gnomon::vtd {

/// PGTT, the PASID granular translation type. All other values are reserved.
enum class TranslationGranularity : std::uint8_t {
  first_stage = 0b001,
  second_stage = 0b010,
  nested = 0b011,  ///< the first stage, whose output and whose own tables the second translates
  pass_through = 0b100,
};

/// 64 to a page. Memory types (CD, EMTE, EMT, PWT, PCD, PAT) are not modelled and decode to nothing.
struct PasidTableEntry {
  bool p = false;       ///< present
  bool fpd = false;     ///< fault processing disable
  std::uint8_t aw = 0;  ///< of the second stage and of pass-through, encoded: see levels_of_aw()
  TranslationGranularity pgtt = TranslationGranularity::first_stage;
  bool ssade = false;     ///< second-stage accessed/dirty enable
  Hpa ssptptr{};          ///< second-stage page-table pointer, page aligned
  DomainId did{};         ///< tag of every cache
  bool pwsnp = false;     ///< page-walk snoop
  bool pgsnp = false;     ///< page snoop
  bool sre = false;       ///< supervisor requests enable
  bool ere = false;       ///< execute requests enable
  std::uint8_t fspm = 0;  ///< first-stage paging mode: 00b is 4 levels, 01b is 5
  bool wpe = false;       ///< write protect: supervisor writes obey R/W
  bool nxe = false;       ///< XD of a first-stage entry is not reserved
  bool smep = false;
  bool eafe = false;          ///< extended-accessed flag enable
  std::uint64_t fsptptr = 0;  ///< first-stage page-table pointer: host-physical, or guest-physical when nested
  constexpr bool operator==(const PasidTableEntry&) const = default;
};

constexpr PasidTableEntry decode_pasid_table_entry(const Bits512& raw) {
  const auto bit = [&](unsigned word, unsigned n) { return field(raw.word[word], n, n) != 0; };
  PasidTableEntry e;
  e.p = bit(0, 0);
  e.fpd = bit(0, 1);
  e.aw = static_cast<std::uint8_t>(field(raw.word[0], 4, 2));
  e.pgtt = static_cast<TranslationGranularity>(field(raw.word[0], 8, 6));
  e.ssade = bit(0, 9);
  e.ssptptr = Hpa{raw.word[0] & mask(63, 12)};
  e.did = DomainId{static_cast<std::uint16_t>(field(raw.word[1], 15, 0))};
  e.pwsnp = bit(1, 23);
  e.pgsnp = bit(1, 24);
  e.sre = bit(2, 0);
  e.ere = bit(2, 1);
  e.fspm = static_cast<std::uint8_t>(field(raw.word[2], 3, 2));
  e.wpe = bit(2, 4);
  e.nxe = bit(2, 5);
  e.smep = bit(2, 6);
  e.eafe = bit(2, 7);
  e.fsptptr = raw.word[2] & mask(63, 12);
  return e;
}

constexpr Bits512 encode(const PasidTableEntry& e) {
  Bits512 raw;
  raw.word[0] = std::uint64_t{e.p} | std::uint64_t{e.fpd} << 1 | std::uint64_t{e.aw & 7u} << 2 |
                (static_cast<std::uint64_t>(e.pgtt) & 7u) << 6 | std::uint64_t{e.ssade} << 9 |
                (e.ssptptr.value & mask(63, 12));
  raw.word[1] = std::uint64_t{e.did.value} | std::uint64_t{e.pwsnp} << 23 | std::uint64_t{e.pgsnp} << 24;
  raw.word[2] = std::uint64_t{e.sre} | std::uint64_t{e.ere} << 1 | std::uint64_t{e.fspm & 3u} << 2 |
                std::uint64_t{e.wpe} << 4 | std::uint64_t{e.nxe} << 5 | std::uint64_t{e.smep} << 6 |
                std::uint64_t{e.eafe} << 7 | (e.fsptptr & mask(63, 12));
  return raw;
}

/// Fault reason 5Ah when the entry is present. The pointer of a stage that PGTT leaves out is ignored; nested,
/// FSPTPTR is guest-physical and it is the second stage that says whether it can be reached.
constexpr bool pasid_table_entry_reserved_set(const Bits512& raw, unsigned haw) {
  const PasidTableEntry e = decode_pasid_table_entry(raw);
  const bool second = e.pgtt == TranslationGranularity::second_stage || e.pgtt == TranslationGranularity::nested;
  const bool first = e.pgtt == TranslationGranularity::first_stage;
  return (raw.word[0] & (mask(11, 10) | mask(5, 5) | (second ? above_haw(haw) : 0))) != 0 ||
         (raw.word[1] & mask(22, 16)) != 0 || (raw.word[2] & (mask(11, 8) | (first ? above_haw(haw) : 0))) != 0 ||
         (raw.word[3] | raw.word[4] | raw.word[5] | raw.word[6] | raw.word[7]) != 0;
}

/// FSPM 00b is 4 levels (48 bits), 01b 5 (57). Returns 0 for a reserved encoding.
constexpr unsigned levels_of_fspm(std::uint8_t fspm) {
  return fspm <= 1 ? fspm + 4u : 0u;
}
constexpr std::uint8_t fspm_of_levels(unsigned levels) {
  return static_cast<std::uint8_t>(levels - 4);
}

}  // namespace gnomon::vtd
