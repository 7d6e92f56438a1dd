// SPDX-License-Identifier: Apache-2.0
// A domain of the AMD IOMMU driver: a v1 page table in the kernel's memory and the commands that keep the unit in
// step. Behaviour of Linux's drivers/iommu/amd/{iommu,io_pgtable}.c, 5.15 to 6.12, and 7.x where AmdDriverBehaviour
// says so.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "guest/amd_iommu/behaviour.hpp"
#include "guest/amd_iommu/command_queue.hpp"
#include "guest/amd_iommu/device_table.hpp"
#include "guest/iommu/driver.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "models/pgtable/amd_v1_table.hpp"

namespace gnomon::guest {

/// The unit a domain's devices are behind. What it refers to outlives it.
struct AmdUnit {
  KernelMemory& memory;
  AmdCommandQueue& commands;
  AmdDeviceTable& devices;
  FlushUnit flush;  ///< NpCache: it caches entries that are not present
  AmdDriverOptions options;
};

class AmdDomain final : public IommuDriver {
 public:
  /// `id`, 1 to 65535, is also what the unit tags its caches with. Throws std::bad_alloc.
  AmdDomain(const AmdUnit& unit, std::uint32_t id, Lock lock)
      : unit_(unit), id_(id), lock_(lock), table_(unit.memory) {}

  /// Points the device's entry at the table and flushes: the entry, then all of the domain.
  void attach(Cpu& cpu, SourceId device);
  /// Blocks the device: its entry translates nothing afterwards, and the domain is flushed.
  void detach(Cpu& cpu, SourceId device);

  std::uint32_t domain() const override { return id_; }
  PageSizeBitmap page_sizes() const override { return page_sizes_amd_v1; }
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) override;
  void flush_iotlb_all(Cpu& cpu) override;
  std::optional<Gpa> iova_to_phys(Iova iova) const override;

  const pgtable::AmdV1Table<GpaSpace>& table() const { return table_; }

 private:
  struct TableWork;

  TableWork write_leaves(Iova iova, Gpa gpa, PageChoice pages, DmaAccess access);
  void write_device_entry(SourceId device);
  void flush_device(Cpu& cpu, SourceId device);
  void publish_root(Cpu& cpu);
  void sync_range(Cpu& cpu, const IotlbGather& gather, trace::Sync kind);
  void flush_range(Cpu& cpu, Iova first, Iova last, bool pde, trace::Sync kind);
  void flush_domain(Cpu& cpu, trace::Sync kind);
  void invalidate(Cpu& cpu, amdvi::RangeOperand range, bool pde);
  template <class Queue>
  void under_lock(Cpu& cpu, Queue queue);

  AmdUnit unit_;
  std::uint32_t id_;
  Lock lock_;
  pgtable::AmdV1Table<GpaSpace> table_;
  std::vector<SourceId> devices_;
};

}  // namespace gnomon::guest
