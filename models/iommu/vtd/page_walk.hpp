// SPDX-License-Identifier: Apache-2.0
// The page walker: a function of a table format and of how an entry is read. It neither caches nor spends time.
#pragma once

#include <cstdint>
#include <optional>

#include "models/iommu/core/access.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/pgtable/mapping.hpp"
#include "models/spec/vtd/fault.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::iommu {

constexpr vtd::FaultReason not_permitted(Access access) {
  return access == Access::read ? vtd::FaultReason::read_not_permitted : vtd::FaultReason::write_not_permitted;
}

/// The second-stage format (VT-d specification rev 4.1, section 9.8) as one unit implements it.
struct SecondStageFormat {
  unsigned haw = 46;          ///< address bits above are reserved
  std::uint8_t sslps = 0b11;  ///< large pages: bit 0 at level 2, bit 1 at level 3; elsewhere PS is reserved
  bool snoop_control = true;  ///< SNP is not reserved in a leaf

  struct Entry {
    enum class Kind : std::uint8_t { not_present, reserved_set, table, leaf } kind = Kind::not_present;
    Hpa address{};
    pgtable::Permissions permissions{};
  };

  constexpr Entry decode(std::uint64_t raw, unsigned level) const {
    const vtd::SecondStagePte pte = vtd::decode_second_stage_pte(raw);
    if (!pte.present()) return {};
    const bool large = level > 1 && pte.ps;
    const bool leaf = level == 1 || large;
    std::uint64_t reserved = haw >= 52 ? 0 : vtd::mask(51, haw);
    if (large) {
      const bool supported = (level == 2 && (sslps & 1) != 0) || (level == 3 && (sslps & 2) != 0);
      if (!supported) return {Entry::Kind::reserved_set, {}, {}};
      reserved |= vtd::mask(vtd::level_shift(level) - 1, 12);
    }
    if (leaf && !snoop_control) reserved |= vtd::mask(11, 11);
    if ((raw & reserved) != 0) return {Entry::Kind::reserved_set, {}, {}};
    return {leaf ? Entry::Kind::leaf : Entry::Kind::table, pte.addr, {pte.r, pte.w}};
  }
};

struct WalkResult {
  std::optional<vtd::FaultReason> fault;
  pgtable::Mapping mapping{};  ///< where there is no fault; permissions are the AND over the levels
  unsigned reads = 0;          ///< entries read, the faulting one included
  bool not_present = false;    ///< of a fault for lack of permission: the entry grants none at all
};

/// Walks from `start` down to the leaf of `iova`. `read(Hpa)` gives an entry, or nothing where memory does not
/// answer; `on_table(WalkStart)` is told of every table the walk passes into.
template <class Format, class Read, class OnTable>
WalkResult walk(const Format& format, WalkStart start, Iova iova, Access access, Read&& read, OnTable&& on_table) {
  using Kind = typename Format::Entry::Kind;
  WalkResult result;
  for (;; --start.level) {
    ++result.reads;
    const std::optional<std::uint64_t> raw =
        read(start.table + vtd::table_index(iova, start.level) * sizeof(std::uint64_t));
    if (!raw) {
      result.fault = vtd::FaultReason::paging_entry_inaccessible;
      return result;
    }
    const typename Format::Entry entry = format.decode(*raw, start.level);
    if (entry.kind == Kind::reserved_set) {
      result.fault = vtd::FaultReason::paging_entry_reserved;
      return result;
    }
    start.permissions = start.permissions & entry.permissions;
    if (entry.kind == Kind::not_present || !allows(start.permissions, access)) {
      result.fault = not_permitted(access);
      result.not_present = entry.kind == Kind::not_present;
      return result;
    }
    if (entry.kind == Kind::leaf) {
      const std::uint64_t bytes = vtd::level_bytes(start.level);
      result.mapping = {entry.address + (iova.value & (bytes - 1)), bytes, start.permissions};
      return result;
    }
    start.table = entry.address;
    on_table(WalkStart{start.level - 1, start.table, start.permissions});
  }
}

}  // namespace gnomon::iommu
