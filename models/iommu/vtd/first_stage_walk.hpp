// SPDX-License-Identifier: Apache-2.0
// The first-stage walker, alone or nested in a second stage (VT-d specification rev 4.1, sections 3.6 and 3.8). A
// function of the format and of a port to tables and second stage; it neither caches nor spends time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "models/iommu/core/access.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/spec/vtd/fault.hpp"
#include "models/spec/vtd/first_stage.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::iommu {

/// The first-stage format as one unit and one PASID table entry have it. Requests are of user privilege.
struct FirstStageFormat {
  unsigned haw = 46;           ///< address bits above are reserved, except nested: there the second stage judges
  unsigned second_bits = 0;    ///< nested: input bits of the second stage; 0 where there is none
  bool large_1g = true;        ///< PS at level 3 is not reserved
  bool execute_bits = false;   ///< NXE: XD is not reserved
  bool extended_flag = false;  ///< EAFE: the extended-accessed bit is set too

  constexpr bool nested() const { return second_bits != 0; }
  constexpr bool reserved_set(std::uint64_t raw, unsigned level) const {
    const bool large = level > 1 && (raw & vtd::mask(7, 7)) != 0;
    if (large && (level > 3 || (level == 3 && !large_1g))) return true;
    std::uint64_t reserved = nested() || haw >= 52 ? 0 : vtd::mask(51, haw);
    if (large) reserved |= vtd::mask(vtd::level_shift(level) - 1, 13);  // bit 12 is PAT
    if (!execute_bits) reserved |= vtd::mask(63, 63);
    return (raw & reserved) != 0;
  }
  /// Flags that a use of `entry` sets.
  constexpr std::uint64_t flags(bool leaf, Access access) const {
    return vtd::first_stage::accessed | (extended_flag ? vtd::first_stage::extended_accessed : 0) |
           (leaf && access == Access::write ? vtd::first_stage::dirty : 0);
  }
};

/// An address the first stage came up with, in host memory.
struct Located {
  std::optional<vtd::FaultReason> fault;
  pgtable::Mapping mapping{};
};

struct FirstStageResult {
  std::optional<vtd::FaultReason> fault;
  pgtable::Mapping mapping{};  ///< of the smaller leaf of both stages; not writable while the entry is not dirty
};

/// Port: std::optional<std::uint64_t> read(Hpa), an entry; void set(Hpa, std::uint64_t), one with flags set;
/// Located second_stage(Gpa, Access); void entered(const WalkStart&), told of every table a later walk may begin
/// at.
template <class Port>
class FirstStageWalk {
 public:
  FirstStageWalk(const FirstStageFormat& format, Port& port, Iova iova, Access access)
      : format_(format), port_(port), iova_(iova), access_(access) {}

  FirstStageResult from_root(std::uint64_t pointer, unsigned levels) {
    using vtd::FaultReason;
    at_.level = levels;
    at_root_ = true;
    if (const auto fault = enter_table(pointer, FaultReason::first_stage_root_not_readable)) return {fault, {}};
    return run();
  }
  /// A table from a cache: in nested mode one whose page the second stage lets hardware write.
  FirstStageResult from_cached(const WalkStart& start) {
    at_ = start;
    return run();
  }

 private:
  FirstStageResult run() {
    using vtd::FaultReason;
    for (;;) {
      const Hpa address = at_.table + vtd::table_index(iova_, at_.level) * sizeof(std::uint64_t);
      const std::optional<std::uint64_t> raw = port_.read(address);
      if (!raw) {
        return {at_root_ ? FaultReason::first_stage_root_inaccessible : FaultReason::first_stage_inaccessible, {}};
      }
      at_root_ = false;
      const vtd::FirstStagePte entry = vtd::decode_first_stage_pte(*raw);
      const bool leaf = at_.level == 1 || entry.ps;
      if (const auto fault = check(*raw, entry)) return {fault, {}};
      const std::uint64_t flags = format_.flags(leaf, access_);
      if ((*raw & flags) != flags) {
        if (!table_writable_) return {FaultReason::first_stage_table_not_writable, {}};
        port_.set(address, *raw | flags);
      }
      if (leaf) return output(entry, ((*raw | flags) & vtd::first_stage::dirty) != 0);
      --at_.level;
      if (const auto fault = enter_table(entry.addr, FaultReason::first_stage_table_not_readable))
        return {fault, {}};
      if (table_writable_) port_.entered(at_);
    }
  }

  std::optional<vtd::FaultReason> check(std::uint64_t raw, const vtd::FirstStagePte& entry) {
    using vtd::FaultReason;
    if (!entry.p) return FaultReason::first_stage_not_present;
    if (format_.reserved_set(raw, at_.level)) return FaultReason::first_stage_reserved;
    if (!entry.us) return FaultReason::user_not_permitted;
    at_.permissions = at_.permissions & pgtable::Permissions{true, entry.rw};
    if (!allows(at_.permissions, access_)) return FaultReason::scalable_write_not_permitted;
    return std::nullopt;
  }

  /// `pointer` is what an entry, or the PASID table entry, says of where the table of at_.level lies.
  std::optional<vtd::FaultReason> enter_table(std::uint64_t pointer, vtd::FaultReason denied) {
    at_.table = Hpa{pointer};
    if (!format_.nested()) return std::nullopt;
    if ((pointer >> format_.second_bits) != 0) return vtd::FaultReason::first_stage_table_beyond_width;
    const Located page = port_.second_stage(Gpa{pointer}, Access::read);
    if (page.fault) {
      return *page.fault == vtd::FaultReason::scalable_read_not_permitted ? denied : *page.fault;
    }
    at_.table = page.mapping.hpa;
    table_writable_ = page.mapping.permissions.write;
    return std::nullopt;
  }

  FirstStageResult output(const vtd::FirstStagePte& leaf, bool dirty) {
    const std::uint64_t bytes = vtd::level_bytes(at_.level);
    const std::uint64_t address = (leaf.addr & ~(bytes - 1)) + (iova_.value & (bytes - 1));
    pgtable::Permissions permissions{at_.permissions.read, at_.permissions.write && dirty};
    if (!format_.nested()) return {std::nullopt, {Hpa{address}, bytes, permissions}};
    if ((address >> format_.second_bits) != 0) return {vtd::FaultReason::first_stage_output_beyond_width, {}};
    const Located page = port_.second_stage(Gpa{address}, access_);
    if (page.fault) return {page.fault, {}};
    return {std::nullopt,
            {page.mapping.hpa, std::min(bytes, page.mapping.page_bytes), permissions & page.mapping.permissions}};
  }

  const FirstStageFormat& format_;
  Port& port_;
  Iova iova_;
  Access access_;
  WalkStart at_{};
  bool table_writable_ = true;
  bool at_root_ = false;
};

}  // namespace gnomon::iommu
