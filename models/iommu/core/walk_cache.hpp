// SPDX-License-Identifier: Apache-2.0
// Paging-structure caches: non-leaf entries, a cache a level. VT-d specification rev 4.1, section 6.2.
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
  std::uint32_t invalidate_pages(DomainId domain, Iova base, std::uint64_t bytes);

  std::uint32_t size() const;

 private:
  static constexpr unsigned cached_levels = 4;  // the root table of 5 levels is never cached
  struct Entry {
    Hpa table{};
    pgtable::Permissions permissions{};
  };
  std::vector<TaggedCache<Entry>> levels_;  // [level - 1]
};

}  // namespace gnomon::iommu
