// SPDX-License-Identifier: Apache-2.0
// DMA of a device that is not trusted: what does not fill its pages goes through bounce buffers, so that the device
// sees nothing else that lies in them; each element of a list is mapped by itself. Behaviour of Linux's
// drivers/iommu/dma-iommu.c (iommu_dma_map_page, iommu_dma_map_sg_swiotlb), 6.1.
#pragma once

#include <cstdint>
#include <span>

#include "guest/dma/dma_device.hpp"
#include "guest/dma/swiotlb.hpp"

namespace gnomon::guest {

class BouncedDma final : public DmaDevice {
 public:
  /// Both outlive it. `dma`: of a strict domain. The pool is the system's.
  BouncedDma(DmaDevice& dma, Swiotlb& pool) : dma_(dma), pool_(pool) {}

  /// A segment and an iotlb_sync_map for each run, unless runs already were undone: ENOMEM where the pool is full.
  int map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) override;
  void unmap(Cpu& cpu, const DmaMapping& mapping) override;

  std::uint64_t bounces() const { return bounces_; }  ///< elements that went through the pool

 private:
  int map_one(Cpu& cpu, const Run& run, DmaAccess access, DmaMapping& mapping);
  void unmap_one(Cpu& cpu, const DmaSegment& segment, const Run& bounced, bool copy_back);

  DmaDevice& dma_;
  Swiotlb& pool_;
  DmaMapping one_;  // of the element in hand
  std::uint64_t bounces_ = 0;
};

}  // namespace gnomon::guest
