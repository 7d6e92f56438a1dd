// SPDX-License-Identifier: Apache-2.0
// A PCI function's DMA operations as s390 had them of its own, without IOMMU core and DMA layer. Behaviour of
// Linux's arch/s390/pci/pci_dma.c, 6.1; gone in 6.7.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "guest/s390_pci/function.hpp"
#include "guest/s390_pci/iova_bitmap.hpp"
#include "models/pgtable/s390_dma_table.hpp"

namespace gnomon::guest {

/// Planted bugs, to prove that a checker sees them. All off in correct code.
struct S390OwnDmaFaults {
  bool release_without_refresh = false;  ///< at the wrap addresses are free again without RPCIT
};

struct S390OwnDmaOptions {
  bool strict = false;       ///< s390_iommu=strict
  std::uint32_t domain = 1;  ///< as the event stream names the function's table
  S390OwnDmaFaults faults;
};

/// Strict: RPCIT inside every unmap. Lazy: an unmap makes the entries invalid and keeps the addresses; one RPCIT of
/// the whole aperture when the search for room reaches its end frees them all. A map's RPCIT, where tlb_refresh is
/// set, that finds the hypervisor out of resources is made up for by such an RPCIT too, in lazy mode.
///
/// As in Linux, that last one runs without the bitmap's lock: what another CPU unmaps meanwhile is released with
/// the rest, though its translation may have been passed over. It is ahead of the next allocation only if it lived
/// for a whole round, so early reuse is rare, but it is possible.
class S390OwnDma final : public DmaDevice {
 public:
  struct Locks {
    Lock& bitmap;
    Lock& table;  ///< until 6.2
  };

  /// What is given outlives the object. Throws std::bad_alloc.
  S390OwnDma(KernelMemory& memory, PciInstructionPort& instructions, const S390Function& function, Locks locks,
             const S390OwnDmaOptions& options);

  /// zpci_dma_init_device: registers the table. 0 or EIO.
  int enable(Cpu& cpu);

  /// ENOMEM without addresses or memory for a table, or where the hypervisor stays out of resources; EIO.
  int map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) override;
  /// A strict unmap whose RPCIT fails keeps its addresses for good, as in Linux.
  void unmap(Cpu& cpu, const DmaMapping& mapping) override;

  const S390IovaBitmap& iovas() const { return iovas_; }
  const S390RefreshCounts& refreshes() const { return counts_; }
  std::uint64_t wraps() const { return wraps_; }
  std::optional<Gpa> iova_to_phys(Iova iova) const;

 private:
  std::optional<Iova> take_address(Cpu& cpu, std::uint64_t pages);
  void free_address(Cpu& cpu, Iova iova, std::uint64_t pages);
  int validate(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access, std::uint64_t& mapped);
  int invalidate(Cpu& cpu, Iova iova, std::uint64_t bytes);
  int refresh_after_map(Cpu& cpu, Iova iova, std::uint64_t bytes);
  int refresh_all(Cpu& cpu, trace::RefreshCause cause, Time& began);
  void release(Cpu& cpu, Time began);

  PciInstructionPort& instructions_;
  const S390Function function_;
  Locks locks_;
  const S390OwnDmaOptions options_;
  pgtable::S390DmaTable<GpaSpace> table_;
  S390IovaBitmap iovas_;
  S390RefreshCounts counts_;
  std::uint64_t wraps_ = 0;
};

}  // namespace gnomon::guest
