// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/core/walk_cache.hpp"

#include <algorithm>

#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::iommu {
namespace {

/// A table of `level` is found by the address bits above those it resolves.
constexpr unsigned prefix_shift(unsigned level) {
  return vtd::level_shift(level + 1);
}

}  // namespace

WalkCache::WalkCache(const IommuConfig& config) {
  levels_.reserve(cached_levels);
  for (const std::uint32_t entries : config.walk_cache_entries) {
    const std::uint32_t ways = std::min(entries, config.walk_cache_ways);
    levels_.emplace_back(ways == 0 ? 1 : entries / ways, ways);
  }
}

std::optional<WalkStart> WalkCache::lookup(CacheTag tag, Iova iova, unsigned levels) {
  for (unsigned level = 1; level < levels && level <= cached_levels; ++level) {
    auto& cache = levels_[level - 1];
    if (cache.size() == 0) continue;
    if (const Entry* e = cache.find(make_key(tag, level, iova.value >> prefix_shift(level)))) {
      return WalkStart{level, e->table, e->permissions};
    }
  }
  return std::nullopt;
}

bool WalkCache::insert(CacheTag tag, Iova iova, const WalkStart& table) {
  if (table.level > cached_levels) return false;
  const CacheKey key = make_key(tag, table.level, iova.value >> prefix_shift(table.level));
  return levels_[table.level - 1].insert(key, Entry{table.table, table.permissions}).evicted.valid();
}

std::uint32_t WalkCache::invalidate_global() {
  std::uint32_t dropped = 0;
  for (auto& cache : levels_) dropped += cache.erase_if([](const CacheKey&, const Entry&) { return true; });
  return dropped;
}

std::uint32_t WalkCache::invalidate_domain(DomainId domain) {
  std::uint32_t dropped = 0;
  for (auto& cache : levels_) {
    dropped += cache.erase_if([&](const CacheKey& key, const Entry&) { return key.domain() == domain; });
  }
  return dropped;
}

std::uint32_t WalkCache::invalidate_pasid(CacheTag tag) {
  std::uint32_t dropped = 0;
  for (auto& cache : levels_) {
    dropped += cache.erase_if(
        [&](const CacheKey& key, const Entry&) { return key.domain() == tag.domain && key.pasid() == tag.pasid; });
  }
  return dropped;
}

std::uint32_t WalkCache::erase_pages(DomainId domain, Iova base, std::uint64_t bytes, std::optional<Pasid> pasid) {
  std::uint32_t dropped = 0;
  for (unsigned level = 1; level <= cached_levels; ++level) {
    const std::uint64_t first = base.value >> prefix_shift(level);
    const std::uint64_t last = (base.value + (bytes - 1)) >> prefix_shift(level);
    dropped += levels_[level - 1].erase_range(domain, level, first, last, pasid);
  }
  return dropped;
}

std::uint32_t WalkCache::size() const {
  std::uint32_t size = 0;
  for (const auto& cache : levels_) size += cache.size();
  return size;
}

}  // namespace gnomon::iommu
