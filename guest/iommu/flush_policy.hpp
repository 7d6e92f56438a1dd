// SPDX-License-Identifier: Apache-2.0
// Flush policies: when an unmap syncs before it gathers more, and with which invalidations a gathered range is
// flushed. Pure and without state. How to add one: docs/add-a-flush-policy.md.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>

#include "guest/iommu/gather.hpp"
#include "models/base/natural_split.hpp"

namespace gnomon::guest {

/// What a policy may know of the remapping unit.
struct FlushUnit {
  bool caches_non_present = false;  ///< AMD NpCache, VT-d caching mode: in practice, a hypervisor shadows the table
  unsigned largest_block = 52;      ///< log2 of bytes; what would need a larger block flushes the whole domain.
                                    ///< 52: AMD-Vi; VT-d: 12 + MAMV
};

/// What one invalidation command names: 2^order bytes, naturally aligned, or the whole domain.
struct FlushBlock {
  std::uint64_t base = 0;
  unsigned order = page_shift;  ///< log2 of bytes, 12 to 63; 64: the whole domain

  constexpr bool operator==(const FlushBlock&) const = default;
  constexpr bool whole_domain() const { return order >= 64; }
  constexpr std::uint64_t last() const { return whole_domain() ? ~0ULL : base + ((1ULL << order) - 1); }
  constexpr bool covers(std::uint64_t address) const { return base <= address && address <= last(); }
};
inline constexpr FlushBlock flush_whole_domain{0, 64};

/// The smallest block that covers [first, last]: VT-d's PSI, AMD's INVALIDATE_IOMMU_PAGES with S = 1.
constexpr FlushBlock enclosing_block(std::uint64_t first, std::uint64_t last) {
  const auto order = static_cast<unsigned>(std::bit_width(first ^ last));
  return order >= 64 ? flush_whole_domain : FlushBlock{first >> order << order, order};
}

/// The largest block that begins at `first` and ends within [first, last].
constexpr FlushBlock first_natural_block(std::uint64_t first, std::uint64_t last) {
  const auto piece = *NaturalSplit(first, last).begin();
  return {piece.base, static_cast<unsigned>(std::countr_zero(piece.size))};
}

class FlushPolicy {
 public:
  virtual ~FlushPolicy() = default;

  /// True: sync and reset the gather before [iova, iova + bytes) is added, an early sync. `bytes`: what arrives at
  /// once, a page or a driver call's whole chunk. False where the gather is empty.
  virtual bool sync_before_add(const FlushUnit& unit, const IotlbGather& gather, Iova iova,
                               std::uint64_t bytes) const = 0;

  /// The block that flushes the beginning of [first, last], whole pages: it covers `first`. Asked again from its
  /// end until `last` is covered.
  virtual FlushBlock first_block(const FlushUnit& unit, Iova first, Iova last) const = 0;
};

/// Calls `on_block` with each block that flushes [first, last], ascending, and returns how many there are. Throws
/// std::logic_error when the policy breaks its contract.
template <class OnBlock>
unsigned for_each_block(const FlushPolicy& policy, const FlushUnit& unit, Iova first, Iova last,
                        OnBlock&& on_block) {
  for (unsigned blocks = 1;; ++blocks) {
    FlushBlock block = policy.first_block(unit, first, last);
    if (!block.covers(first.value)) throw std::logic_error("a flush policy's block misses what it is asked for");
    if (block.order > unit.largest_block) block = flush_whole_domain;
    on_block(block);
    if (block.last() >= last.value) return blocks;
    first = Iova{block.last() + 1};
  }
}

/// A policy as scenarios and kernel files name it.
struct NamedFlushPolicy {
  std::string_view name;
  std::string_view meaning;  ///< one line
  std::string_view source;   ///< where it is from
  const FlushPolicy* policy;
};

/// All there are; the order is that of `gnomon list policies`.
std::span<const NamedFlushPolicy> flush_policies();
/// Null where no policy is called that.
const FlushPolicy* find_flush_policy(std::string_view name);

}  // namespace gnomon::guest
