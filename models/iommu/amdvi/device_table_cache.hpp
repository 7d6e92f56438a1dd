// SPDX-License-Identifier: Apache-2.0
// The device table cache: legal device table entries by requester. AMD IOMMU specification 48882 rev 3,
// section 2.4.2.
#pragma once

#include <algorithm>
#include <cstdint>

#include "models/iommu/core/tagged_cache.hpp"
#include "models/spec/amdvi/device_table.hpp"

namespace gnomon::iommu {

class DeviceTableCache {
 public:
  struct Entry {
    amdvi::DeviceTableEntry dte{};
    bool fault_logged = false;  ///< since it was fetched: with SE no other page fault is logged
  };

  /// `entries`: a power of two.
  explicit DeviceTableCache(std::uint32_t entries)
      : cache_(entries / std::min(entries, max_ways), std::min(entries, max_ways)) {}

  const Entry* lookup(SourceId device) { return cache_.find(key_of(device)); }
  void insert(SourceId device, const Entry& entry) { cache_.insert(key_of(device), entry); }

  // Each returns the number of entries dropped.
  std::uint32_t invalidate_all() {
    return cache_.erase_if([](const CacheKey&, const Entry&) { return true; });
  }
  std::uint32_t invalidate_device(SourceId device) { return cache_.erase_range({}, 0, device.value, device.value); }

  std::uint32_t size() const { return cache_.size(); }

 private:
  static constexpr std::uint32_t max_ways = 4;
  static constexpr CacheKey key_of(SourceId device) { return make_key({}, 0, device.value); }
  TaggedCache<Entry> cache_;
};

}  // namespace gnomon::iommu
