// SPDX-License-Identifier: Apache-2.0
// The flush policies there are. The AMD ones are the stages of the same work: "iommu/amd: Enable page-selective
// flushes", N. Amit, 2021, merged in 5.15, and what its reviewers proposed instead.
#include "guest/iommu/flush_policy.hpp"

#include <algorithm>
#include <array>

namespace gnomon::guest {
namespace {

/// AMD before 5.15: one page, or everything.
class Full final : public FlushPolicy {
 public:
  bool sync_before_add(const FlushUnit&, const IotlbGather&, Iova, std::uint64_t) const override { return false; }
  FlushBlock first_block(const FlushUnit&, Iova first, Iova last) const override {
    return first.page() == last.page() ? enclosing_block(first.value, last.value) : flush_whole_domain;
  }
};

/// Never syncs early: gaps, and what the block adds around the range, are flushed with the rest.
class PageSelective : public FlushPolicy {
 public:
  bool sync_before_add(const FlushUnit&, const IotlbGather&, Iova, std::uint64_t) const override { return false; }
  FlushBlock first_block(const FlushUnit&, Iova first, Iova last) const override {
    return enclosing_block(first.value, last.value);
  }
};

/// iommu_iotlb_gather_add_page: syncs on a disjoint range or another size.
class Generic final : public PageSelective {
 public:
  bool sync_before_add(const FlushUnit&, const IotlbGather& gather, Iova iova, std::uint64_t bytes) const override {
    return (gather.page_size != 0 && gather.page_size != bytes) || gather.disjoint(iova, bytes);
  }
};

/// The third version of the AMD series. Where non-present entries are cached, a flush of a page that was not
/// modified costs the hypervisor a walk: syncs on a disjoint range, and when the block of the union would cover
/// more than the union. Elsewhere it never syncs early.
class Tailored final : public PageSelective {
 public:
  bool sync_before_add(const FlushUnit& unit, const IotlbGather& gather, Iova iova,
                       std::uint64_t bytes) const override {
    if (!unit.caches_non_present || gather.empty()) return false;
    if (gather.disjoint(iova, bytes)) return true;
    const std::uint64_t first = std::min(gather.start, iova.value);
    const std::uint64_t last = std::max(gather.end, iova.value + (bytes - 1));
    const FlushBlock block = enclosing_block(first, last);
    return block.base != first || block.last() != last;
  }
};

/// The review's answer to it: the pages a block would add may be the next to be unmapped. Gathers what is
/// contiguous, whatever its alignment, and splits it into natural blocks at the sync.
class DeferredSplit final : public FlushPolicy {
 public:
  bool sync_before_add(const FlushUnit&, const IotlbGather& gather, Iova iova, std::uint64_t bytes) const override {
    return gather.disjoint(iova, bytes);
  }
  FlushBlock first_block(const FlushUnit&, Iova first, Iova last) const override {
    return first_natural_block(first.value, last.value);
  }
};

/// As merged in 5.15. Where non-present entries are cached it is DeferredSplit. Elsewhere it differs in both
/// answers: it does not sync on a disjoint range, the gap is gathered too, and it does not split, one block
/// encloses all.
class NaturalSplitPolicy final : public FlushPolicy {
 public:
  bool sync_before_add(const FlushUnit& unit, const IotlbGather& gather, Iova iova,
                       std::uint64_t bytes) const override {
    return unit.caches_non_present && gather.disjoint(iova, bytes);
  }
  FlushBlock first_block(const FlushUnit& unit, Iova first, Iova last) const override {
    return unit.caches_non_present ? first_natural_block(first.value, last.value)
                                   : enclosing_block(first.value, last.value);
  }
};

constexpr std::string_view amd_series = "N. Amit, \"iommu/amd: Enable page-selective flushes\", 2021";

const Full full{};
const Generic generic{};
const PageSelective page_selective{};
const Tailored tailored{};
const DeferredSplit deferred_split{};
const NaturalSplitPolicy natural_split{};

constexpr std::array registry{
    NamedFlushPolicy{"full", "one page by itself, anything more as the whole domain", "Linux to 5.14, AMD", &full},
    NamedFlushPolicy{"generic", "sync on a gap or another size; one enclosing block a sync",
                     "include/linux/iommu.h; VT-d to 6.12, ARM SMMU", &generic},
    NamedFlushPolicy{"page-selective", "never sync early, gaps are flushed too; one enclosing block a sync",
                     "include/linux/iommu.h; VT-d in 7.2, s390", &page_selective},
    NamedFlushPolicy{"tailored", "with NpCache, sync before a block would cover a page that was not unmapped",
                     amd_series, &tailored},
    NamedFlushPolicy{"deferred-split", "gather what is contiguous; split into natural blocks at the sync",
                     "R. Murphy's review of that series", &deferred_split},
    NamedFlushPolicy{"natural-split", "with NpCache as deferred-split; without, as page-selective",
                     "Linux since 5.15, AMD", &natural_split},
};

}  // namespace

std::span<const NamedFlushPolicy> flush_policies() {
  return registry;
}

const FlushPolicy* find_flush_policy(std::string_view name) {
  const auto found = std::find_if(registry.begin(), registry.end(), [&](const auto& p) { return p.name == name; });
  return found == registry.end() ? nullptr : found->policy;
}

}  // namespace gnomon::guest
