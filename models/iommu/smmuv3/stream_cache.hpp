// SPDX-License-Identifier: Apache-2.0
// The configuration caches: stream table entries and context descriptors by stream. IHI 0070, section 3.21.
#pragma once

#include <algorithm>
#include <cstdint>

#include "models/iommu/core/tagged_cache.hpp"
#include "models/spec/smmuv3/context_descriptor.hpp"
#include "models/spec/smmuv3/stream_table.hpp"

namespace gnomon::iommu {

template <class Entry>
class StreamCache {
 public:
  /// `entries`: a power of two.
  explicit StreamCache(std::uint32_t entries)
      : cache_(entries / std::min(entries, max_ways), std::min(entries, max_ways)) {}

  const Entry* lookup(smmuv3::StreamId sid) { return cache_.find(make_key({}, 0, sid)); }
  void insert(smmuv3::StreamId sid, const Entry& entry) { cache_.insert(make_key({}, 0, sid), entry); }

  // Each returns the number of entries dropped.
  std::uint32_t invalidate_all() {
    return cache_.erase_if([](const CacheKey&, const Entry&) { return true; });
  }
  std::uint32_t invalidate(std::uint64_t first, std::uint64_t last) {
    return cache_.erase_range({}, 0, first, last);
  }

  std::uint32_t size() const { return cache_.size(); }

 private:
  static constexpr std::uint32_t max_ways = 4;
  TaggedCache<Entry> cache_;
};

}  // namespace gnomon::iommu
