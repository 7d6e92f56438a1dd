// SPDX-License-Identifier: Apache-2.0
// A device's DMA operations: dma_map_sg, dma_unmap_sg. Behaviour of Linux's drivers/iommu/dma-iommu.c, 6.1 to 7.2.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "guest/dma/dma_iova.hpp"
#include "guest/dma/flush_queue.hpp"
#include "guest/iommu/domain.hpp"
#include "models/cpu/core/lock.hpp"

namespace gnomon::guest {

/// A piece of a mapped buffer as the device addresses it.
struct DmaSegment {
  Iova address;
  std::uint64_t bytes = 0;
};

/// A mapped buffer. Translated: one segment, whatever its runs. Direct or bounced: a segment a run.
struct DmaMapping {
  std::vector<DmaSegment> segments;
  bool single = false;       ///< of dma_map_page or dma_map_single, not of a list
  bool copy_back = false;    ///< the device writes: bounce buffers are copied back
  std::vector<Run> bounced;  ///< bounce buffer of each segment, 0 bytes where there is none; else empty
};

struct DmaDomainOptions {
  bool deferred = false;  ///< DMA_FQ: lazy, through the flush queue
  FlushQueueConfig flush_queue;
  bool own_timer = true;  ///< timers are armed; false: flush_timer_fired() and depot_work_ran() are called instead
  FlushQueueFaults faults;
  IovaBehaviour iova;
  DmaIovaLimits limits;
};

class DmaDevice {
 public:
  virtual ~DmaDevice() = default;
  /// Maps the runs into `mapping`: one run as dma_map_page does, more as dma_map_sg. A run begins with a page; what
  /// does not fill its last page is mapped with it. Returns 0, or an errno: ENOMEM without IOVA, or the map's own.
  virtual int map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) = 0;
  /// Likewise memory that device and CPU share for long (dma_alloc_coherent): rings. Never bounced.
  virtual int map_coherent(Cpu& cpu, const Run& run, DmaMapping& mapping) {
    return map(cpu, {&run, 1}, DmaAccess{true, true}, mapping);
  }
  virtual void unmap(Cpu& cpu, const DmaMapping& mapping) = 0;
};

/// No translation in the guest: device addresses are guest-physical (passthrough, or no vIOMMU).
class DirectDma final : public DmaDevice {
 public:
  int map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) override;
  void unmap(Cpu& cpu, const DmaMapping& mapping) override;
};

/// Translated through an IOMMU domain, strict or deferred.
class TranslatedDma final : public DmaDevice, private Timer {
 public:
  /// `queue_locks`: one a CPU, or one for a single queue; unused when strict.
  TranslatedDma(IommuDomain& domain, const DmaDomainOptions& options, std::vector<Cpu*> cpus,
                std::vector<Lock>& queue_locks);

  int map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) override;
  void unmap(Cpu& cpu, const DmaMapping& mapping) override;

  /// map() in its two halves, as the two-step API has them: an IOVA for `bytes` (whole pages), and the runs mapped
  /// there. map_at() frees the IOVA where it fails. Both return an errno.
  int allocate(Cpu& cpu, std::uint64_t bytes, Iova& iova);
  int map_at(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping);
  /// fq_flush_timeout on this CPU: what the timer does when it fires by itself. Bit n of `left`: CPU n frees what
  /// is in its queue itself, with its next unmap, as it does where that comes before the timer's turn at this
  /// queue.
  void flush_timer_fired(Cpu& cpu, std::uint32_t left = 0);
  /// iova_depot_work_func on this CPU, likewise.
  void depot_work_ran(Cpu& cpu, unsigned size_class) { depot_trims_.at(size_class).expired(cpu); }

  /// Keeps device addresses [first, last], in pages, out of the allocator.
  void reserve(std::uint64_t first, std::uint64_t last) { iovas_.reserve(first, last); }

 private:
  /// The depot's delayed work (6.12): drops one magazine of a size class, and again while there are too many.
  class DepotTrim final : public Timer {
   public:
    explicit DepotTrim(TranslatedDma& dma, unsigned size_class) : dma_(dma), size_class_(size_class) {}
    void expired(Cpu& cpu) override { dma_.trim_depot(cpu, *this, size_class_); }

   private:
    TranslatedDma& dma_;
    unsigned size_class_;
  };

  void trim_depot(Cpu& cpu, DepotTrim& work, unsigned size_class);
  void queue_iova(Cpu& cpu, Iova iova, std::uint64_t bytes, FreelistHandle freelist);
  void flush(Cpu& cpu, trace::FlushCause cause);
  void reap(Cpu& cpu, unsigned queue);
  void free_iova(Cpu& cpu, std::uint64_t pfn, std::uint64_t pages);
  void expired(Cpu& cpu) override { flush_timer_fired(cpu); }
  void charge(Cpu& cpu, const IovaAllocation& allocation);

  IommuDomain& domain_;
  DmaDomainOptions options_;
  IovaAllocator iovas_;
  DmaIovaPolicy policy_;
  std::optional<FlushQueue> queue_;
  std::vector<DepotTrim> depot_trims_;  // by size class
  std::vector<Lock>& queue_locks_;
};

}  // namespace gnomon::guest
