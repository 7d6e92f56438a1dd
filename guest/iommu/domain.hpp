// SPDX-License-Identifier: Apache-2.0
// The IOMMU core's map and unmap on one domain. Behaviour of Linux's drivers/iommu/iommu.c, 3.10 to 7.2.
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

/// What one call of the driver stands for.
enum class DriverCalls : std::uint8_t {
  whole_range,  ///< to 3.10: maps page by page; an unmap asks for all that is left, and takes what comes back
  per_page,     ///< 3.11 to 5.13: one page of a chosen size (.map, .unmap)
  counted,      ///< since 5.14: any number of pages of one size (.map_pages, .unmap_pages)
};

/// What differs between kernels.
struct IommuCoreBehaviour {
  bool sync_map_can_fail =
      true;  ///< since 6.7 iotlb_sync_map returns an error and the map is undone; before: ignored
  DriverCalls calls = DriverCalls::counted;
  bool sync_map =
      true;            ///< iotlb_sync_map once a map; before there was one: after every driver call, as of its own
  bool gather = true;  ///< unmaps gather, sync once; before 5.4 every driver call leaves nothing to invalidate
  bool fill_empty_gather = false;  ///< 7.x: the core adds the range when the driver left the gather empty
  bool skip_empty_gather = false;  ///< 7.x: an empty gather is not synced
};

/// What a map came to.
struct MapResult {
  int error = 0;                  ///< an errno; EINVAL: an address or a size off the granule
  std::uint64_t left_mapped = 0;  ///< bytes a failed map could not undo: its unmap stopped at a hole or a refusal
};

class IommuDomain {
 public:
  IommuDomain(IommuDriver& driver, const IommuCoreBehaviour& behaviour) : driver_(driver), behaviour_(behaviour) {}

  IommuDriver& driver() { return driver_; }
  /// Calls of the driver's map_pages and unmap_pages so far.
  struct Calls {
    std::uint64_t map = 0;
    std::uint64_t unmap = 0;
  };
  const Calls& calls() const { return calls_; }

  /// iommu_map: map_sg of one run.
  MapResult map(Cpu& cpu, Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access);
  /// iommu_map_sg: the runs one after another from `iova`, then one iotlb_sync_map. Undone on error, with a sync.
  /// Neighbouring runs are merged. Visible to the device at return.
  MapResult map_sg(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access);

  /// iommu_unmap: unmaps and invalidates before it returns. Returns the bytes unmapped: more than `bytes` where a
  /// larger mapping lay there, fewer where there was a hole, 0 off the granule.
  std::uint64_t unmap(Cpu& cpu, Iova iova, std::uint64_t bytes);
  /// iommu_unmap_fast: the invalidation is the caller's, through `gather`.
  std::uint64_t unmap_fast(Cpu& cpu, Iova iova, std::uint64_t bytes, IotlbGather& gather);
  /// iommu_iotlb_sync: ends what unmap_fast began. The gather is as new afterwards.
  void iotlb_sync(Cpu& cpu, IotlbGather& gather);
  /// iommu_flush_iotlb_all: everything of the domain.
  void flush_all(Cpu& cpu) { driver_.flush_iotlb_all(cpu); }

 private:
  IommuDriver::MapOutcome map_run(Cpu& cpu, Iova iova, Run run, DmaAccess access);
  int sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes);
  std::uint64_t undo_map(Cpu& cpu, Iova iova, std::uint64_t bytes);
  PageChoice next_unmap(Iova iova, std::uint64_t bytes) const;
  bool on_granule(std::uint64_t bits) const;

  IommuDriver& driver_;
  IommuCoreBehaviour behaviour_;
  Calls calls_;
};

}  // namespace gnomon::guest
