// SPDX-License-Identifier: Apache-2.0
// A set-associative, least-recently-used cache in flat arrays: what IOTLB, paging-structure and context caches are
// made of.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "models/base/address.hpp"
#include "models/iommu/core/pasid.hpp"

namespace gnomon::iommu {

/// What a translation is cached under, beside its address.
struct CacheTag {
  DomainId domain{};
  Pasid pasid = no_pasid;
  constexpr bool operator==(const CacheTag&) const = default;
};

struct CacheKey {
  std::uint64_t number = 0;  ///< page number, or whatever else the address part is
  std::uint64_t tag = 0;     ///< domain 15:0, PASID 36:16, level 42:37, valid 63

  constexpr bool operator==(const CacheKey&) const = default;
  constexpr bool valid() const { return tag != 0; }
  constexpr DomainId domain() const { return {static_cast<std::uint16_t>(tag)}; }
  constexpr Pasid pasid() const { return {static_cast<std::uint32_t>(tag >> 16) & 0x1fffffu}; }
  constexpr unsigned level() const { return static_cast<unsigned>(tag >> 37) & 63u; }
};

constexpr CacheKey make_key(CacheTag tag, unsigned level, std::uint64_t number) {
  return {number, std::uint64_t{tag.domain.value} | std::uint64_t{tag.pasid.value} << 16 |
                      std::uint64_t{level} << 37 | std::uint64_t{1} << 63};
}

template <class Value>
class TaggedCache {
 public:
  /// `sets`: a power of two. No ways is a cache that never holds anything.
  TaggedCache(std::uint32_t sets, std::uint32_t ways)
      : set_mask_(sets - 1),
        ways_(ways),
        keys_(std::size_t{sets} * ways),
        values_(keys_.size()),
        used_(keys_.size()) {}

  /// The entry, which becomes the most recently used of its set, or null. Valid until the next insert or erase.
  const Value* find(CacheKey key) {
    const std::size_t first = set_of(key);
    for (std::size_t i = first; i != first + ways_; ++i) {
      if (keys_[i] == key) {
        used_[i] = ++clock_;
        return &values_[i];
      }
    }
    return nullptr;
  }

  struct Inserted {
    bool fresh = false;  ///< the key was not there before
    CacheKey evicted{};  ///< !valid() where none was
  };
  /// Puts an entry in place of the key's own, an invalid, or the least recently used one of its set.
  Inserted insert(CacheKey key, const Value& value) {
    if (ways_ == 0) return {};
    const std::size_t first = set_of(key);
    std::size_t victim = first;
    for (std::size_t i = first; i != first + ways_; ++i) {
      if (keys_[i] == key) {
        victim = i;
        break;
      }
      if (used_[i] < used_[victim]) victim = i;  // invalid entries have 0
    }
    const CacheKey old = std::exchange(keys_[victim], key);
    values_[victim] = value;
    used_[victim] = ++clock_;
    if (!old.valid()) ++size_;
    return {old != key, old != key ? old : CacheKey{}};
  }

  /// Drops the entries for which `predicate(key, value)` holds; returns how many.
  template <class Predicate>
  std::uint32_t erase_if(Predicate&& predicate) {
    std::uint32_t dropped = 0;
    for (std::size_t i = 0; size_ != 0 && i != keys_.size(); ++i) {
      if (!keys_[i].valid() || !predicate(keys_[i], values_[i])) continue;
      drop(i);
      ++dropped;
    }
    return dropped;
  }

  /// Drops the entries of one domain and level, of one PASID or whatever their PASID, numbered first to last;
  /// returns how many.
  std::uint32_t erase_range(DomainId domain, unsigned level, std::uint64_t first, std::uint64_t last,
                            std::optional<Pasid> pasid = std::nullopt) {
    const auto hit = [&](const CacheKey& key) {
      return key.valid() && key.domain() == domain && key.level() == level && key.number >= first &&
             key.number <= last && (!pasid || key.pasid() == *pasid);
    };
    if (last - first >= set_mask_) return erase_if([&](const CacheKey& key, const Value&) { return hit(key); });
    std::uint32_t dropped = 0;
    for (std::uint64_t number = first; size_ != 0; ++number) {
      const std::size_t begin = set_of(make_key({domain, no_pasid}, level, number));
      for (std::size_t i = begin; i != begin + ways_; ++i) {
        if (!hit(keys_[i])) continue;
        drop(i);
        ++dropped;
      }
      if (number == last) break;
    }
    return dropped;
  }

  std::uint32_t size() const { return size_; }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(keys_.size()); }

 private:
  // The low bits of the number choose the set, as in hardware, turned by the domain so that equal addresses of
  // different domains do not meet in one set.
  std::size_t set_of(CacheKey key) const { return ((key.number ^ (key.tag & 0xffffu)) & set_mask_) * ways_; }
  void drop(std::size_t i) {
    keys_[i] = {};
    used_[i] = 0;
    --size_;
  }

  std::uint64_t set_mask_;
  std::size_t ways_;
  std::vector<CacheKey> keys_;
  std::vector<Value> values_;
  std::vector<std::uint64_t> used_;  // the clock at the last use
  std::uint64_t clock_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace gnomon::iommu
