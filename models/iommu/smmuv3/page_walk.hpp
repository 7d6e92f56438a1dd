// SPDX-License-Identifier: Apache-2.0
// The walker of one stage: a function of how a descriptor is read. It neither caches nor spends time. DDI 0487,
// chapter D8; IHI 0070, section 3.4.
#pragma once

#include <cstdint>
#include <optional>

#include "models/iommu/core/access.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/pgtable/mapping.hpp"
#include "models/spec/smmuv3/page_table.hpp"

namespace gnomon::iommu {

/// What a stage's configuration says of its walks.
struct LpaeFormat {
  smmuv3::Stage stage = smmuv3::Stage::one;
  unsigned input_bits = 48;
  unsigned output_bits = 48;
  unsigned root_level = 4;         ///< of stage 2 a root may be several tables side by side
  bool access_flag_faults = true;  ///< an access flag of 0 is a fault
  bool hierarchical = true;        ///< stage 1: APTable of table descriptors counts
};

struct LpaeWalk {
  enum class End : std::uint8_t { leaf, translation, address_size, access_flag, permission, inaccessible };
  End end = End::translation;
  pgtable::Mapping mapping{};  ///< of a leaf: in the stage's output space, which of nested stage 1 is the guest's
  Hpa entry{};                 ///< the last descriptor read, in the space tables lie in
  unsigned reads = 0;
};

/// Walks from `start` down to the leaf of `address`, which the format's input bits hold. `read(Hpa)` gives a
/// descriptor, or nothing where there is none to be had; `on_table(WalkStart)` is told of every table the walk
/// passes into.
template <class Read, class OnTable>
LpaeWalk walk_lpae(const LpaeFormat& format, WalkStart start, std::uint64_t address, Access access, Read&& read,
                   OnTable&& on_table) {
  using End = LpaeWalk::End;
  using smmuv3::DescriptorKind;
  LpaeWalk result;
  const auto ended = [&](End end) {
    result.end = end;
    return result;
  };
  for (;; --start.level) {
    const std::uint64_t index = start.level == format.root_level ? address >> smmuv3::level_shift(start.level)
                                                                 : smmuv3::table_index(address, start.level);
    result.entry = start.table + index * sizeof(std::uint64_t);
    ++result.reads;
    const std::optional<std::uint64_t> raw = read(result.entry);
    if (!raw) return ended(End::inaccessible);
    const DescriptorKind kind = smmuv3::kind_of(*raw, start.level);
    if (kind == DescriptorKind::invalid) return ended(End::translation);
    const std::uint64_t output = smmuv3::address_of(*raw);
    if ((output >> format.output_bits) != 0) return ended(End::address_size);
    if (kind == DescriptorKind::leaf) {
      if (format.access_flag_faults && (*raw & smmuv3::descriptor::access_flag) == 0)
        return ended(End::access_flag);
      const smmuv3::LeafAccess granted = smmuv3::access_of_leaf(*raw, format.stage);
      const auto permissions = start.permissions & pgtable::Permissions{granted.read, granted.write};
      if (!allows(permissions, access)) return ended(End::permission);
      const std::uint64_t bytes = smmuv3::level_bytes(start.level);
      result.mapping = {Hpa{(output & ~(bytes - 1)) + (address & (bytes - 1))}, bytes, permissions};
      return ended(End::leaf);
    }
    if (format.stage == smmuv3::Stage::one && format.hierarchical) {
      const bool any = (*raw & smmuv3::descriptor::ap_table_no_unprivileged) == 0;
      const bool writes = any && (*raw & smmuv3::descriptor::ap_table_read_only) == 0;
      start.permissions = start.permissions & pgtable::Permissions{any, writes};
    }
    start.table = Hpa{output};
    on_table(WalkStart{start.level - 1, start.table, start.permissions});
  }
}

}  // namespace gnomon::iommu
