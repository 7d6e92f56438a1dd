// SPDX-License-Identifier: Apache-2.0
// What the IOMMU core asks of a driver, for one domain (struct iommu_domain_ops).
#pragma once

#include <cstdint>

#include "guest/iommu/gather.hpp"
#include "guest/iommu/page_size.hpp"
#include "guest/kernel/cpu.hpp"

namespace gnomon::guest {

/// What the device may do with a mapping.
struct DmaAccess {
  bool read = true;   ///< DMA_TO_DEVICE
  bool write = true;  ///< DMA_FROM_DEVICE
};

/// Errors are positive errno values, 0 is success.
class IommuDriver {
 public:
  struct MapOutcome {
    int error = 0;
    std::uint64_t mapped = 0;  ///< bytes, also when there was an error
  };

  virtual ~IommuDriver() = default;
  virtual std::uint32_t domain() const = 0;  ///< as the event stream names it
  virtual PageSizeBitmap page_sizes() const = 0;
  virtual MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) = 0;
  /// Returns the bytes unmapped: fewer where there was a hole, more where a larger mapping lay there.
  virtual std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) = 0;
  /// Invalidates what was gathered, waits for it, and resets the gather.
  virtual void iotlb_sync(Cpu& cpu, IotlbGather& gather) = 0;
  /// Makes a finished map visible to the device. A driver without iotlb_sync_map does nothing here.
  virtual int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) = 0;
  virtual void flush_iotlb_all(Cpu& cpu) = 0;
};

}  // namespace gnomon::guest
