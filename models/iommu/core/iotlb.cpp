// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/core/iotlb.hpp"

#include <bit>

namespace gnomon::iommu {

bool Iotlb::insert(CacheTag tag, Iova iova, const pgtable::Mapping& mapping) {
  const auto shift = static_cast<unsigned>(std::countr_zero(mapping.page_bytes));
  const unsigned level = (shift - 12) / 9 + 1;
  const Hpa page = mapping.hpa - (iova.value & (mapping.page_bytes - 1));
  const auto inserted = cache_.insert(make_key(tag, level, iova.value >> shift), Entry{page, mapping.permissions});
  if (inserted.fresh) ++of_level_[level - 1];
  if (!inserted.evicted.valid()) return false;
  --of_level_[inserted.evicted.level() - 1];
  return true;
}

std::uint32_t Iotlb::invalidate_global() {
  of_level_ = {};
  return cache_.erase_if([](const CacheKey&, const Entry&) { return true; });
}

std::uint32_t Iotlb::invalidate_domain(DomainId domain) {
  return cache_.erase_if([&](const CacheKey& key, const Entry&) {
    if (key.domain() != domain) return false;
    --of_level_[key.level() - 1];
    return true;
  });
}

std::uint32_t Iotlb::invalidate_pages(DomainId domain, Iova base, std::uint64_t bytes) {
  std::uint32_t dropped = 0;
  for (unsigned level = 1; level <= max_level; ++level) {
    std::uint32_t& present = of_level_[level - 1];
    if (present == 0) continue;
    const unsigned shift = vtd::level_shift(level);
    const std::uint32_t gone =
        cache_.erase_range(domain, level, base.value >> shift, (base.value + (bytes - 1)) >> shift);
    present -= gone;
    dropped += gone;
  }
  return dropped;
}

}  // namespace gnomon::iommu
