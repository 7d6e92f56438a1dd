// SPDX-License-Identifier: Apache-2.0
// The VT-d second-stage page table (specification rev 4.1, section 9.8), editable in a host's or a guest's memory.
#pragma once

#include "models/pgtable/radix_table.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::pgtable {

/// 3, 4 or 5 levels: 39, 48, 57 bits of IOVA.
struct SecondStageEntries {
  static constexpr unsigned least_levels = 3;
  static constexpr unsigned most_levels = 5;
  static constexpr unsigned input_bits(unsigned levels) { return vtd::level_shift(levels + 1); }
  static constexpr bool present(std::uint64_t raw) { return vtd::decode_second_stage_pte(raw).present(); }
  static constexpr bool leaf(std::uint64_t raw, unsigned level) {
    return level == 1 || vtd::decode_second_stage_pte(raw).ps;
  }
  static constexpr std::uint64_t address(std::uint64_t raw) { return vtd::decode_second_stage_pte(raw).addr.value; }
  static constexpr Permissions permissions(std::uint64_t raw) {
    const vtd::SecondStagePte e = vtd::decode_second_stage_pte(raw);
    return {e.r, e.w};
  }
  static constexpr std::uint64_t make_leaf(std::uint64_t address, Permissions p, unsigned level) {
    return vtd::encode(vtd::SecondStagePte{p.read, p.write, level > 1, false, Hpa{address}});
  }
  /// Permissions are the AND over the levels: the upper ones grant all and leave it to the leaf, as Linux does.
  static constexpr std::uint64_t make_table(std::uint64_t address) {
    return vtd::encode(vtd::SecondStagePte{true, true, false, false, Hpa{address}});
  }
};

extern template class RadixTable<SecondStageEntries, HpaSpace>;
extern template class RadixTable<SecondStageEntries, GpaSpace>;

using SecondStageTable = HostRadixTable<SecondStageEntries>;
using GuestSecondStageTable = RadixTable<SecondStageEntries, GpaSpace>;

}  // namespace gnomon::pgtable
