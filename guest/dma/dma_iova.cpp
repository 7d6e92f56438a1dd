// SPDX-License-Identifier: Apache-2.0
// The two attempts of an IOVA allocation by the DMA layer.
#include "guest/dma/dma_iova.hpp"

#include <algorithm>

namespace gnomon::guest {

namespace {
constexpr std::uint64_t last_32bit = 0xffff'ffff;

std::uint64_t lowest_limit(const DmaIovaLimits& limits) {
  const std::uint64_t limit = std::min(limits.dma_mask, limits.aperture_end);
  return limits.bus_limit == 0 ? limit : std::min(limit, limits.bus_limit);
}
}  // namespace

DmaIovaPolicy::DmaIovaPolicy(const IovaBehaviour& behaviour, const DmaIovaLimits& limits)
    : limit_(lowest_limit(limits)),
      sticky_(behaviour.pci_32bit_workaround_sticky),
      prefers_32bit_(limits.pci && !limits.force_dac && limit_ > last_32bit) {}

DmaIovaOutcome DmaIovaPolicy::allocate(IovaAllocator& allocator, unsigned cpu, std::uint64_t pages) {
  const unsigned shift = allocator.granule_shift();
  DmaIovaOutcome out;
  if (prefers_32bit_) {
    out.tried_32bit = true;
    out.low = allocator.allocate(cpu, pages, last_32bit >> shift, false);
    out.pfn = out.low.pfn;
    if (out) return out;
    if (sticky_) {
      prefers_32bit_ = false;
      out.gave_up_32bit = true;
    }
  }
  out.tried_full = true;
  out.full = allocator.allocate(cpu, pages, limit_ >> shift, true);
  out.pfn = out.full.pfn;
  return out;
}

}  // namespace gnomon::guest
