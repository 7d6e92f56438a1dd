// SPDX-License-Identifier: Apache-2.0
// How the DMA layer asks for IOVAs: 32-bit addresses first for PCI devices, then the device's full range.
// Behaviour of Linux's drivers/iommu/dma-iommu.c by version.
#pragma once

#include <cstdint>

#include "guest/dma/iova_allocator.hpp"

namespace gnomon::guest {

/// What bounds the addresses of a device. All are last addressable bytes.
struct DmaIovaLimits {
  std::uint64_t dma_mask = ~0ULL;      ///< of the device
  std::uint64_t bus_limit = 0;         ///< of the bus above it; 0: none
  std::uint64_t aperture_end = ~0ULL;  ///< of the domain's geometry, where the driver enforces it
  bool pci = true;
  bool force_dac = false;  ///< iommu.forcedac=1: no attempt below 4 GiB
};

struct DmaIovaOutcome {
  std::uint64_t pfn = 0;       ///< 0: no address space left, the mapping fails
  bool tried_32bit = false;    ///< `low` happened
  bool tried_full = false;     ///< `full` happened
  bool gave_up_32bit = false;  ///< sticky kernels, once a device: logs "Using %d-bit DMA addresses"
  IovaAllocation low;          ///< the attempt below 4 GiB; caches are not flushed when it fails
  IovaAllocation full;         ///< the attempt up to the limit; caches are flushed when it fails

  explicit operator bool() const { return pfn != 0; }
};

/// The allocation policy of one device.
class DmaIovaPolicy {
 public:
  DmaIovaPolicy(const IovaBehaviour& behaviour, const DmaIovaLimits& limits);

  /// `pages` granules (> 0) from the domain's allocator.
  DmaIovaOutcome allocate(IovaAllocator& allocator, unsigned cpu, std::uint64_t pages);

  std::uint64_t limit() const { return limit_; }  ///< last byte the device can address in its domain
  bool prefers_32bit() const { return prefers_32bit_; }

 private:
  std::uint64_t limit_;
  bool sticky_;
  bool prefers_32bit_;
};

}  // namespace gnomon::guest
