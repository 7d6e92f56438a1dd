// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/core/iotlb.hpp"

namespace gnomon::iommu {

bool Iotlb::insert(CacheTag tag, Iova iova, const pgtable::Mapping& mapping) {
  const auto shift = static_cast<unsigned>(std::countr_zero(mapping.page_bytes));
  const Hpa page = mapping.hpa - (iova.value & (mapping.page_bytes - 1));
  const auto inserted = cache_.insert(key_of(tag, iova, shift), Entry{page, mapping.permissions});
  if (inserted.fresh) {
    ++of_shift_[shift];
    present_ |= mapping.page_bytes;
  }
  if (!inserted.evicted.valid()) return false;
  gone(inserted.evicted.level(), 1);
  return true;
}

std::uint32_t Iotlb::invalidate_global() {
  of_shift_ = {};
  present_ = 0;
  return cache_.erase_if([](const CacheKey&, const Entry&) { return true; });
}

std::uint32_t Iotlb::invalidate_domain(DomainId domain) {
  return cache_.erase_if([&](const CacheKey& key, const Entry&) {
    if (key.domain() != domain) return false;
    gone(key.level(), 1);
    return true;
  });
}

std::uint32_t Iotlb::invalidate_pasid(CacheTag tag) {
  return cache_.erase_if([&](const CacheKey& key, const Entry&) {
    if (key.domain() != tag.domain || key.pasid() != tag.pasid) return false;
    gone(key.level(), 1);
    return true;
  });
}

std::uint32_t Iotlb::invalidate_pasids(DomainId domain) {
  return cache_.erase_if([&](const CacheKey& key, const Entry&) {
    if (key.domain() != domain || key.pasid() == no_pasid) return false;
    gone(key.level(), 1);
    return true;
  });
}

std::uint32_t Iotlb::erase_pages(DomainId domain, Iova base, std::uint64_t bytes, std::optional<Pasid> pasid) {
  std::uint32_t dropped = 0;
  for (std::uint64_t sizes = present_; sizes != 0; sizes &= sizes - 1) {
    const auto shift = static_cast<unsigned>(std::countr_zero(sizes));
    const std::uint32_t matched =
        cache_.erase_range(domain, shift, base.value >> shift, (base.value + (bytes - 1)) >> shift, pasid);
    if (matched != 0) gone(shift, matched);
    dropped += matched;
  }
  return dropped;
}

}  // namespace gnomon::iommu
