// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/vtd/context_cache.hpp"

namespace gnomon::iommu {

std::uint32_t ContextCache::invalidate_global() {
  return cache_.erase_if([](const CacheKey&, const vtd::ContextEntry&) { return true; });
}

std::uint32_t ContextCache::invalidate_domain(DomainId did) {
  return cache_.erase_if([&](const CacheKey&, const vtd::ContextEntry& e) { return e.did == did; });
}

std::uint32_t ContextCache::invalidate_device(DomainId did, SourceId sid, std::uint8_t fm) {
  const std::uint64_t compared = compared_bits(fm);
  return cache_.erase_if([&](const CacheKey& key, const vtd::ContextEntry& e) {
    return e.did == did && ((key.number ^ sid.value) & compared) == 0;
  });
}

}  // namespace gnomon::iommu
