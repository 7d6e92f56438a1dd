// SPDX-License-Identifier: Apache-2.0
// The context cache: present, valid context entries by requester. VT-d specification rev 4.1, section 6.2.
#pragma once

#include <algorithm>
#include <cstdint>

#include "models/iommu/core/tagged_cache.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::iommu {

class ContextCache {
 public:
  /// `entries`: a power of two.
  explicit ContextCache(std::uint32_t entries)
      : cache_(entries / std::min(entries, max_ways), std::min(entries, max_ways)) {}

  const vtd::ContextEntry* lookup(SourceId sid) { return cache_.find(key_of(sid)); }
  void insert(SourceId sid, const vtd::ContextEntry& entry) { cache_.insert(key_of(sid), entry); }

  // Each returns the number of entries dropped.
  std::uint32_t invalidate_global();
  std::uint32_t invalidate_domain(DomainId did);
  /// Entries of the domain whose requester equals `sid` but for the bits `fm` masks (section 6.5.2.1).
  std::uint32_t invalidate_device(DomainId did, SourceId sid, std::uint8_t fm);

  std::uint32_t size() const { return cache_.size(); }

  /// Bits of a requester that function mask `fm` leaves to be compared: 00b all, 01b all but bit 2, 10b but bits
  /// 2:1, 11b but bits 2:0.
  static constexpr std::uint64_t compared_bits(std::uint8_t fm) {
    constexpr std::uint64_t ignored[4] = {0b000, 0b100, 0b110, 0b111};
    return ~ignored[fm & 3u];
  }

 private:
  static constexpr std::uint32_t max_ways = 4;
  // The key is the requester alone: the domain is what the entry says.
  static constexpr CacheKey key_of(SourceId sid) { return make_key({}, 0, sid.value); }
  TaggedCache<vtd::ContextEntry> cache_;
};

}  // namespace gnomon::iommu
