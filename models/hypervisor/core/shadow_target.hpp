// SPDX-License-Identifier: Apache-2.0
// What an emulated IOMMU tells the host's DMA mappings of one assigned device: QEMU's IOMMU notifiers as VFIO hears
// them, each call one VFIO_IOMMU_MAP_DMA or UNMAP_DMA.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::hypervisor {

/// What a mapping lets a device do, as bits.
enum class DmaAccess : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

/// `wanted` is allowed by `granted`.
constexpr bool permits(DmaAccess granted, DmaAccess wanted) {
  return (static_cast<unsigned>(wanted) & ~static_cast<unsigned>(granted)) == 0;
}

/// One endpoint's host container, as the hypervisor's shell implements it. A call may take simulated time.
class ShadowTarget {
 public:
  virtual ~ShadowTarget() = default;

  /// `bytes` is a power of two, `iova` a multiple of it. False: refused, nothing is mapped.
  virtual bool map(Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access) = 0;
  /// The same pieces as were mapped, unless a planted bug is on.
  virtual void unmap(Iova iova, std::uint64_t bytes) = 0;
  /// The endpoint begins or ceases to see guest memory untranslated: all of guest memory is mapped or unmapped.
  /// A target that is never in bypass mode need not answer.
  virtual void set_bypass([[maybe_unused]] bool on) {}

  // Nested translation. A target that is never nested need not answer.
  /// The endpoint's DMA passes through the guest's first-level table, then through the mappings of bypass mode, which
  /// stay: the physical IOMMU walks both. set_bypass(true) ends it.
  virtual void nest([[maybe_unused]] Gpa root, [[maybe_unused]] unsigned levels) {}
  /// The endpoint's DMA is refused; the mappings of bypass mode stay. set_bypass(true) or nest() ends it.
  virtual void block() {}
  /// Hands an invalidation of the guest to the physical IOMMU and waits for it (IOMMU_HWPT_INVALIDATE): `bytes` of
  /// IOVA space, ~0 for all. `leaf_only`: no table page was freed.
  virtual void forward_invalidation([[maybe_unused]] Iova iova, [[maybe_unused]] std::uint64_t bytes,
                                    [[maybe_unused]] bool leaf_only) {}
};

}  // namespace gnomon::hypervisor
