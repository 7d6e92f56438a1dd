// SPDX-License-Identifier: Apache-2.0
// The IOTLB: leaves of any power of two from 4 KiB up in one set-associative array. VT-d (specification rev 4.1,
// section 6.2) fills it with 4 KiB, 2 MiB and 1 GiB, AMD-Vi with whatever size the table's leaf has.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "models/iommu/core/tagged_cache.hpp"
#include "models/pgtable/mapping.hpp"

namespace gnomon::iommu {

class Iotlb {
 public:
  static constexpr unsigned max_shift = 63;  ///< leaves are at most 2^63 bytes

  Iotlb(std::uint32_t sets, std::uint32_t ways) : cache_(sets, ways) {}

  /// The translation of `iova` under `tag`; sizes of which no entry is present cost no probe.
  std::optional<pgtable::Mapping> lookup(CacheTag tag, Iova iova) {
    for (std::uint64_t sizes = present_; sizes != 0; sizes &= sizes - 1) {
      const auto shift = static_cast<unsigned>(std::countr_zero(sizes));
      if (const Entry* e = cache_.find(key_of(tag, iova, shift))) {
        const std::uint64_t bytes = std::uint64_t{1} << shift;
        return pgtable::Mapping{e->page + (iova.value & (bytes - 1)), bytes, e->permissions};
      }
    }
    return std::nullopt;
  }

  /// Caches the leaf that `mapping`, the translation of `iova`, is part of. True where an entry was evicted for it.
  bool insert(CacheTag tag, Iova iova, const pgtable::Mapping& mapping);

  // Each returns the number of entries dropped.
  std::uint32_t invalidate_global();
  std::uint32_t invalidate_domain(DomainId domain);
  /// Every entry of the domain, whatever its PASID and size, that overlaps [base, base + bytes), bytes > 0.
  std::uint32_t invalidate_pages(DomainId domain, Iova base, std::uint64_t bytes) {
    return erase_pages(domain, base, bytes, std::nullopt);
  }

  std::uint32_t size() const { return cache_.size(); }
  std::uint32_t capacity() const { return cache_.capacity(); }

  // Of entries tagged with a PASID; each returns the number dropped.
  std::uint32_t invalidate_pasid(CacheTag tag);
  std::uint32_t invalidate_pasid_pages(CacheTag tag, Iova base, std::uint64_t bytes) {
    return erase_pages(tag.domain, base, bytes, tag.pasid);
  }
  /// All of the domain's that have a PASID.
  std::uint32_t invalidate_pasids(DomainId domain);

 private:
  struct Entry {
    Hpa page{};
    pgtable::Permissions permissions{};
  };
  static CacheKey key_of(CacheTag tag, Iova iova, unsigned shift) {
    return make_key(tag, shift, iova.value >> shift);
  }
  std::uint32_t erase_pages(DomainId domain, Iova base, std::uint64_t bytes, std::optional<Pasid> pasid);
  void gone(unsigned shift, std::uint32_t entries) {
    if ((of_shift_[shift] -= entries) == 0) present_ &= ~(std::uint64_t{1} << shift);
  }

  TaggedCache<Entry> cache_;
  std::array<std::uint32_t, max_shift + 1> of_shift_{};  // entries present of each size
  pgtable::PageSizes present_ = 0;                       // the sizes of which there are any
};

}  // namespace gnomon::iommu
