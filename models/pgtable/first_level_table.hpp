// SPDX-License-Identifier: Apache-2.0
// The first-stage (x86-64) page table as Linux's intel driver fills it for DMA domains, editable in a host's or a
// guest's memory. Format: VT-d specification rev 4.1, section 9.7.
#pragma once

#include "models/pgtable/radix_table.hpp"
#include "models/spec/vtd/first_stage.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::pgtable {

/// 4 or 5 levels: 47 or 56 bits of IOVA, the lower canonical half (Linux gives a first-stage domain one bit less
/// than the table has). Present is readable: what is mapped write-only can be read. Accessed and, where writable,
/// dirty bits are preset, so that hardware need not write them (since Linux 5.12).
struct FirstStageEntries {
  static constexpr unsigned least_levels = 4;
  static constexpr unsigned most_levels = 5;
  static constexpr unsigned input_bits(unsigned levels) { return vtd::level_shift(levels + 1) - 1; }
  static constexpr bool present(std::uint64_t raw) { return vtd::decode_first_stage_pte(raw).p; }
  static constexpr bool leaf(std::uint64_t raw, unsigned level) {
    return level == 1 || vtd::decode_first_stage_pte(raw).ps;
  }
  static constexpr std::uint64_t address(std::uint64_t raw) { return vtd::decode_first_stage_pte(raw).addr; }
  static constexpr Permissions permissions(std::uint64_t raw) {
    const vtd::FirstStagePte e = vtd::decode_first_stage_pte(raw);
    return {e.p, e.rw};
  }
  static constexpr std::uint64_t make_leaf(std::uint64_t address, Permissions p, unsigned level) {
    return vtd::encode(vtd::FirstStagePte{true, p.write, true, true, p.write, level > 1, false, false, address});
  }
  static constexpr std::uint64_t make_table(std::uint64_t address) {
    return vtd::encode(vtd::FirstStagePte{true, true, true, true, false, false, false, false, address});
  }
};

extern template class RadixTable<FirstStageEntries, HpaSpace>;
extern template class RadixTable<FirstStageEntries, GpaSpace>;

using FirstLevelTable = HostRadixTable<FirstStageEntries>;
using GuestFirstLevelTable = RadixTable<FirstStageEntries, GpaSpace>;

}  // namespace gnomon::pgtable
