// SPDX-License-Identifier: Apache-2.0
// Paging-structure caches: non-leaf entries, a cache a level. VT-d specification rev 4.1, section 6.2; the same for
// AMD-Vi, whose entries may skip levels: a table is known by its own level and the address bits above.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/iommu/core/config.hpp"
#include "models/iommu/core/tagged_cache.hpp"
#include "models/pgtable/mapping.hpp"

namespace gnomon::iommu {

/// A table to go on from: the root of a walk, or what a paging-structure cache remembers.
struct WalkStart {
  unsigned level = 0;  ///< of the table's entries; 1 holds 4 KiB leaves
  Hpa table{};
  pgtable::Permissions permissions = pgtable::read_write;  ///< the AND of the entries above
  constexpr bool operator==(const WalkStart&) const = default;
};

class WalkCache {
 public:
  explicit WalkCache(const IommuConfig& config);

  /// The deepest table known on the way to `iova` below a root of `levels`.
  std::optional<WalkStart> lookup(CacheTag tag, Iova iova, unsigned levels);
  /// Remembers the table that `iova` leads to. True where an entry was evicted for it.
  bool insert(CacheTag tag, Iova iova, const WalkStart& table);

  // Each returns the number of entries dropped.
  std::uint32_t invalidate_global();
  std::uint32_t invalidate_domain(DomainId domain);
  /// Entries of the domain whose table maps any of [base, base + bytes), bytes > 0.
  std::uint32_t invalidate_pages(DomainId domain, Iova base, std::uint64_t bytes) {
    return erase_pages(domain, base, bytes, std::nullopt);
  }
  // Of entries tagged with a PASID.
  std::uint32_t invalidate_pasid(CacheTag tag);
  std::uint32_t invalidate_pasid_pages(CacheTag tag, Iova base, std::uint64_t bytes) {
    return erase_pages(tag.domain, base, bytes, tag.pasid);
  }

  std::uint32_t size() const;

 private:
  std::uint32_t erase_pages(DomainId domain, Iova base, std::uint64_t bytes, std::optional<Pasid> pasid);

  static constexpr unsigned cached_levels = 4;  // tables of level 5, below a root of 6 levels, are never cached
  struct Entry {
    Hpa table{};
    pgtable::Permissions permissions{};
  };
  std::vector<TaggedCache<Entry>> levels_;  // [level - 1]
};

}  // namespace gnomon::iommu
