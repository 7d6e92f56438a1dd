// SPDX-License-Identifier: Apache-2.0
// A VFIO type1 v2 container with one IOMMU domain: user mappings, pinned pages, the host's I/O page table.
// Linux 6.1 and 6.12, drivers/vfio/vfio_iommu_type1.c; choice of page sizes as drivers/iommu/iommu.c.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/address.hpp"
#include "models/base/interval_set.hpp"
#include "models/hypervisor/core/io_page_table.hpp"
#include "models/hypervisor/core/pin_counts.hpp"
#include "models/hypervisor/core/shadow_target.hpp"
#include "models/memory/guest_ram.hpp"

namespace gnomon::hypervisor {

/// Planted bugs, for tests of the checkers. All off in a correct host.
struct VfioFaults {
  bool skip_invalidation = false;  ///< an unmap returns without a host IOTLB invalidation
  bool leak_pins = false;          ///< an unmap forgets to unpin its last page
};

struct VfioConfig {
  std::uint32_t dma_entry_limit = 65535;                ///< user mappings at a time (module parameter of that name)
  Iova last_iova{(std::uint64_t{1} << 48) - 1};         ///< end of the host IOMMU's aperture, inclusive
  std::uint64_t locked_page_limit = ~std::uint64_t{0};  ///< RLIMIT_MEMLOCK in 4 KiB pages; none with CAP_IPC_LOCK
  bool disable_hugepages = false;  ///< module parameter of that name: every page a run of its own
  /// Linux <= 6.12 on hardware that unmaps a part of a large page (AMD): unmaps 4 KiB at a time, finding the real
  /// leaf.
  bool fine_grained_superpages = false;
  VfioFaults faults;
};

enum class VfioStatus : std::uint8_t { ok, einval, eexist, enospc, enomem, efault };

/// One host IOTLB invalidation, and the work that came before it since the last.
struct IotlbSyncRange {
  Iova first;
  Iova last;                     ///< inclusive
  std::uint32_t regions = 0;     ///< runs unmapped; at most VfioContainer::sync_regions
  std::uint64_t walk_steps = 0;  ///< iova_to_phys calls
  std::uint64_t ptes_cleared = 0;
  std::uint32_t tables_freed = 0;    ///< tables that fell out: hardware may hold pointers to them until then
  std::uint64_t pages_to_unpin = 0;  ///< 4 KiB pages, unpinned when sync() returns
};

/// Performs the invalidations of an unmap. sync() returns when the hardware can no longer use the range.
class IotlbSync {
 public:
  virtual ~IotlbSync() = default;
  virtual void sync(const IotlbSyncRange& range) = 0;
};

struct VfioUnmapOutcome {
  VfioStatus status = VfioStatus::ok;
  std::uint64_t bytes = 0;       ///< unmapped: what the ioctl writes back
  std::uint32_t mappings = 0;    ///< user mappings removed, slots returned
  std::uint32_t regions = 0;     ///< runs unmapped
  std::uint32_t syncs = 0;       ///< sync() calls
  std::uint64_t walk_steps = 0;  ///< iova_to_phys calls
  std::uint64_t ptes_cleared = 0;
  std::uint32_t tables_freed = 0;
  std::uint64_t pages_unpinned = 0;
};

struct VfioMapOutcome {
  VfioStatus status = VfioStatus::ok;
  std::uint64_t pages_pinned = 0;
  std::uint32_t pin_batches = 0;  ///< get_user_pages calls, of up to 512 page pointers
  std::uint32_t runs = 0;         ///< iommu_map calls: host-contiguous runs
  std::uint32_t map_calls = 0;    ///< driver map_pages calls: one a change of page size
  std::uint64_t ptes_written = 0;
  std::uint32_t tables_allocated = 0;
  VfioUnmapOutcome undone;  ///< what a failure took back
};

/// The ioctls of one container. Its mutex is the caller's: nothing may enter while a call is inside sync().
class VfioContainer {
 public:
  static constexpr std::uint32_t sync_regions = 512;     ///< VFIO_IOMMU_TLB_SYNC_MAX
  static constexpr std::uint32_t pin_batch_pages = 512;  ///< page pointers in a page

  /// All three must outlive the container.
  VfioContainer(IoPageTable& table, const GuestRam& ram, PinCounts& pins, const VfioConfig& config);

  /// VFIO_IOMMU_MAP_DMA. einval: not whole pages, wraps, no access, or outside the aperture. eexist: overlaps a
  /// user mapping. enospc: no slot. efault: not guest memory. enomem: memory lock limit or page table. A failure
  /// leaves nothing mapped; `sync` is for that.
  VfioMapOutcome map(Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access, IotlbSync& sync);

  /// VFIO_IOMMU_UNMAP_DMA. Covers any number of user mappings, none being fine; einval where it would bisect one,
  /// and nothing is unmapped. Table entries go first, then sync(), then pins; slots at the end.
  VfioUnmapOutcome unmap(Iova iova, std::uint64_t bytes, IotlbSync& sync);
  /// VFIO_DMA_UNMAP_FLAG_ALL, and what closing the container does.
  VfioUnmapOutcome unmap_all(IotlbSync& sync);

  std::uint32_t free_slots() const {
    return config_.dma_entry_limit - static_cast<std::uint32_t>(mappings_.size());
  }
  std::size_t mapping_count() const { return mappings_.size(); }
  std::uint64_t mapped_bytes() const { return mapped_bytes_; }
  std::uint64_t locked_pages() const { return locked_pages_; }  ///< pins this container holds

 private:
  struct UserMapping {
    Gpa gpa;
    DmaAccess access = DmaAccess::none;
  };
  using Node = Interval<UserMapping>;
  struct Region {
    Hpa hpa;
    std::uint64_t pages = 0;
  };

  VfioStatus check(Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access) const;
  VfioStatus map_runs(const Node& mapping, std::uint64_t& done, VfioMapOutcome& outcome, IotlbSync& sync);
  bool map_run(Iova iova, Hpa hpa, std::uint64_t bytes, DmaAccess access, VfioMapOutcome& outcome, IotlbSync& sync);
  std::uint64_t run_bytes(Gpa gpa, std::uint64_t limit) const;
  VfioUnmapOutcome unmap_within(std::uint64_t first, std::uint64_t last, IotlbSync& sync);
  void unmap_range(Iova iova, std::uint64_t bytes, bool leak_last, IotlbSync& sync, VfioUnmapOutcome& outcome);
  std::uint64_t mapped_run_bytes(Iova iova, Hpa hpa, std::uint64_t limit, std::uint64_t& walk_steps);
  void sync_and_unpin(IotlbSyncRange& pending, IotlbSync& sync, VfioUnmapOutcome& outcome);
  void unpin(Hpa hpa, std::uint64_t pages, VfioUnmapOutcome& outcome);

  IoPageTable& table_;
  const GuestRam& ram_;
  PinCounts& pins_;
  const VfioConfig config_;
  IntervalPool<UserMapping> pool_;
  IntervalSet<UserMapping> mappings_{pool_};
  std::array<Region, sync_regions> regions_;  // unmapped, not yet unpinned
  std::uint64_t mapped_bytes_ = 0;
  std::uint64_t locked_pages_ = 0;
};

}  // namespace gnomon::hypervisor
