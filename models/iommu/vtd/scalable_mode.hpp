// SPDX-License-Identifier: Apache-2.0
// A VT-d unit's scalable mode: root, context and PASID tables, then the first stage, the second, both nested, or
// none. VT-d specification rev 4.1, sections 3.4 to 3.8 and 6.2. Requests without PASID: RID_PASID stands in.
#pragma once

#include <cstdint>
#include <optional>

#include "models/iommu/core/config.hpp"
#include "models/iommu/core/iotlb.hpp"
#include "models/iommu/core/translation.hpp"
#include "models/iommu/core/walk_cache.hpp"
#include "models/iommu/vtd/first_stage_walk.hpp"
#include "models/iommu/vtd/page_walk.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"

namespace gnomon::iommu {

/// What is given must outlive the object. Second-stage translations are cached in `iotlb` and `second_stage` as
/// legacy mode does, under the domain alone; first-stage and nested ones under domain and PASID.
class ScalableMode {
 public:
  ScalableMode(const IommuConfig& config, PhysicalMemory& memory, Iotlb& iotlb, WalkCache& second_stage);

  struct Fault {
    vtd::FaultReason reason{};
    bool fpd = false;  ///< of the context entry or the PASID entries that were reached
  };
  /// Fills `t` in but for the fault. `iova` is outside the interrupt range.
  std::optional<Fault> translate(Hpa root, SourceId sid, Iova iova, Access access, Translation& t);
  /// Past every cache, setting no flag. Nothing where the DMA would fault or is passed through.
  std::optional<pgtable::Mapping> resolve(Hpa root, SourceId sid, Iova iova, Access access) const;

  // Invalidation of what legacy mode does not have. Each returns the number of entries dropped.
  /// Scalable context entries name no domain: a domain-selective invalidation drops them all.
  std::uint32_t invalidate_contexts() {
    return contexts_.erase_if([](const CacheKey&, const vtd::ScalableContextEntry&) { return true; });
  }
  std::uint32_t invalidate_contexts(SourceId sid, std::uint64_t compared);
  std::uint32_t invalidate(const vtd::PasidCacheInvalidate& d);

  WalkCache& first_stage_cache() { return first_stage_cache_; }
  const WalkCache& first_stage_cache() const { return first_stage_cache_; }
  std::uint32_t pasid_cache_size() const { return pasids_.size(); }

 private:
  template <class T>
  struct Fetched {
    std::optional<vtd::FaultReason> fault;
    T entry{};
    bool fpd = false;
    std::uint8_t reads = 0;
  };
  struct LivePort;
  struct TruthPort;

  Fetched<vtd::ScalableContextEntry> fetch_context(Hpa root, SourceId sid) const;
  Fetched<vtd::PasidTableEntry> fetch_pasid(const vtd::ScalableContextEntry& context) const;
  bool unsupported_set(const vtd::PasidTableEntry& entry) const;
  bool supported(const vtd::PasidTableEntry& entry) const;
  std::optional<Fault> find_pasid(Hpa root, SourceId sid, Translation& t, vtd::PasidTableEntry& entry,
                                  Pasid& pasid);
  std::optional<vtd::FaultReason> check_address(const vtd::PasidTableEntry& entry, Iova iova) const;
  std::optional<vtd::FaultReason> translate_by(const vtd::PasidTableEntry& entry, Pasid pasid, Iova iova,
                                               Access access, Translation& t);
  Located walk_second_stage(const vtd::PasidTableEntry& entry, Iova iova, Access access, Translation& t);
  unsigned second_bits(const vtd::PasidTableEntry& entry) const;
  FirstStageFormat first_format(const vtd::PasidTableEntry& entry) const;

  const IommuConfig& config_;
  PhysicalMemory& memory_;
  Iotlb& iotlb_;
  WalkCache& second_stage_cache_;
  SecondStageFormat second_format_;
  WalkCache first_stage_cache_;  // nested, the tables' places in the host: a hit costs no second-stage walk
  TaggedCache<vtd::ScalableContextEntry> contexts_;  // by requester
  TaggedCache<vtd::PasidTableEntry> pasids_;  // by requester and PASID; FPD is the directory's or the table's
};

}  // namespace gnomon::iommu
