// SPDX-License-Identifier: Apache-2.0
// The IOTLB gather: the range an unmap leaves to be invalidated. When it is widened, and when synced first instead,
// is a FlushPolicy's to say. Behaviour of Linux 5.4 to 7.2 (include/linux/iommu.h). Arithmetic wraps as the
// kernel's unsigned long does: at the very top of the address space that costs a superfluous sync, never a missed
// one.
#pragma once

#include <algorithm>
#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::guest {

/// A list of page-table pages, to be freed when the invalidation has completed. The owner of the page table knows
/// what the number stands for; 0 is the empty list.
struct FreelistHandle {
  std::uint32_t value = 0;
  constexpr bool operator==(const FreelistHandle&) const = default;
  constexpr bool empty() const { return value == 0; }
};

/// One gather serves one domain and one unmap (DMA layer) or a run of unmaps (VFIO).
struct IotlbGather {
  std::uint64_t start = ~0ULL;  ///< first byte
  std::uint64_t end = 0;        ///< last byte, inclusive; 0 when nothing was gathered
  std::uint64_t page_size = 0;  ///< bytes; 0 until add_page
  bool queued = false;          ///< a flush queue will flush the domain later: a driver may leave the range out
  FreelistHandle freelist;

  constexpr bool operator==(const IotlbGather&) const = default;
  constexpr bool empty() const { return start >= end; }
  constexpr std::uint64_t bytes() const { return empty() ? 0 : end - start + 1; }

  /// True when [iova, iova + size) neither overlaps nor touches the range. Nothing is disjoint from an empty
  /// gather.
  constexpr bool disjoint(Iova iova, std::uint64_t size) const {
    return end != 0 && (iova.value + size < start || iova.value > end + 1);
  }

  /// Widens the range to cover [iova, iova + size), size > 0, gaps included. Never asks for a sync.
  constexpr void add_range(Iova iova, std::uint64_t size) {
    start = std::min(start, iova.value);
    end = std::max(end, iova.value + (size - 1));
  }

  /// add_range that remembers the page size. Ask FlushPolicy::sync_before_add first.
  constexpr void add_page(Iova iova, std::uint64_t size) {
    page_size = size;
    add_range(iova, size);
  }

  /// What iommu_iotlb_sync leaves behind: everything forgotten, `queued` and the freelist too.
  constexpr void reset() { *this = IotlbGather{}; }
};

}  // namespace gnomon::guest
