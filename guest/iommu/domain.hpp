// SPDX-License-Identifier: Apache-2.0
// The IOMMU core's map and unmap on one domain. Behaviour of Linux's drivers/iommu/iommu.c, 6.1 to 7.2.
#pragma once

#include <cstdint>
#include <span>

#include "guest/iommu/driver.hpp"

namespace gnomon::guest {

/// A physically contiguous piece of a buffer.
struct Run {
  Gpa start;
  std::uint64_t bytes = 0;
};

/// What differs between kernels.
struct IommuCoreBehaviour {
  bool sync_map_can_fail =
      true;  ///< since 6.7 iotlb_sync_map returns an error and the map is undone; before: ignored
};

class IommuDomain {
 public:
  IommuDomain(IommuDriver& driver, const IommuCoreBehaviour& behaviour) : driver_(driver), behaviour_(behaviour) {}

  IommuDriver& driver() { return driver_; }

  /// iommu_map_sg: the runs one after another from `iova`, then one iotlb_sync_map. Undone on error; returns an
  /// errno. Addresses and sizes are multiples of the granule. Neighbouring runs are merged.
  int map_sg(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access);

  /// iommu_unmap: unmaps and invalidates before it returns. Returns the bytes unmapped, which may exceed `bytes`.
  std::uint64_t unmap(Cpu& cpu, Iova iova, std::uint64_t bytes);
  /// iommu_unmap_fast: the invalidation is the caller's, through `gather`.
  std::uint64_t unmap_fast(Cpu& cpu, Iova iova, std::uint64_t bytes, IotlbGather& gather);
  void iotlb_sync(Cpu& cpu, IotlbGather& gather);

 private:
  IommuDriver::MapOutcome map_run(Cpu& cpu, Iova iova, Run run, DmaAccess access);

  IommuDriver& driver_;
  IommuCoreBehaviour behaviour_;
};

}  // namespace gnomon::guest
