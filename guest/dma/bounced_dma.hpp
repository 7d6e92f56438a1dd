// SPDX-License-Identifier: Apache-2.0
// DMA through bounce buffers, element by element. Of a device that is not trusted: what does not fill its pages, so
// that the device sees nothing else that lies in them (Linux's drivers/iommu/dma-iommu.c, iommu_dma_map_page and
// iommu_dma_map_sg_swiotlb, 6.1). In a guest with encrypted memory: everything, as devices reach shared memory only
// (kernel/dma/direct.h, dma_direct_map_page; is_swiotlb_force_bounce).
#pragma once

#include <cstdint>
#include <span>

#include "guest/dma/dma_device.hpp"
#include "guest/dma/swiotlb.hpp"

namespace gnomon::guest {

class BouncedDma final : public DmaDevice {
 public:
  enum class What { parts_of_pages, everything };
  /// Both outlive it. `dma`: of a strict domain, or without translation. The pool is the system's.
  BouncedDma(DmaDevice& dma, Swiotlb& pool, What what) : dma_(dma), pool_(pool), what_(what) {}

  /// A segment and an iotlb_sync_map for each run, unless runs already were undone: ENOMEM where the pool is full.
  int map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) override;
  int map_coherent(Cpu& cpu, const Run& run, DmaMapping& mapping) override {
    mapping.bounced.clear();
    return dma_.map_coherent(cpu, run, mapping);
  }
  void unmap(Cpu& cpu, const DmaMapping& mapping) override;

  std::uint64_t bounces() const { return bounces_; }  ///< elements that went through the pool

 private:
  int map_one(Cpu& cpu, const Run& run, DmaAccess access, DmaMapping& mapping);
  void unmap_one(Cpu& cpu, const DmaSegment& segment, const Run& bounced, bool copy_back);

  DmaDevice& dma_;
  Swiotlb& pool_;
  const What what_;
  DmaMapping one_;  // of the element in hand
  std::uint64_t bounces_ = 0;
};

}  // namespace gnomon::guest
