// SPDX-License-Identifier: Apache-2.0
// The IOTLB: leaves of 4 KiB, 2 MiB and 1 GiB in one set-associative array. VT-d specification rev 4.1,
// section 6.2.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "models/iommu/core/tagged_cache.hpp"
#include "models/pgtable/mapping.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::iommu {

class Iotlb {
 public:
  static constexpr unsigned max_level = 3;  ///< 1 GiB leaves

  Iotlb(std::uint32_t sets, std::uint32_t ways) : cache_(sets, ways) {}

  /// The translation of `iova` under `tag`; sizes of which no entry is present cost no probe.
  std::optional<pgtable::Mapping> lookup(CacheTag tag, Iova iova) {
    for (unsigned level = 1; level <= max_level; ++level) {
      if (of_level_[level - 1] == 0) continue;
      const unsigned shift = vtd::level_shift(level);
      if (const Entry* e = cache_.find(make_key(tag, level, iova.value >> shift))) {
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
  std::uint32_t invalidate_pages(DomainId domain, Iova base, std::uint64_t bytes);

  std::uint32_t size() const { return cache_.size(); }
  std::uint32_t capacity() const { return cache_.capacity(); }

 private:
  struct Entry {
    Hpa page{};
    pgtable::Permissions permissions{};
  };
  TaggedCache<Entry> cache_;
  std::array<std::uint32_t, max_level> of_level_{};  // entries present of each size
};

}  // namespace gnomon::iommu
