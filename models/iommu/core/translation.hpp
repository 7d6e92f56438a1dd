// SPDX-License-Identifier: Apache-2.0
// What a remapping unit answers to a DMA and to a register write.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/iommu/core/invalidation_step.hpp"
#include "models/pgtable/mapping.hpp"

namespace gnomon::iommu {

/// What became of one DMA address.
struct Translation {
  enum class Kind : std::uint8_t {
    translated,           ///< through a page table
    pass_through,         ///< by the context entry, or because translation is off
    interrupt_request,    ///< a write to FEEx_xxxxh: never translated
    unsupported_request,  ///< a read of FEEx_xxxxh: aborted, and no fault is recorded
    fault,                ///< blocked
  };
  Kind kind = Kind::fault;
  bool context_hit = false;  ///< the context cache, and in scalable mode the PASID cache too, knew the device
  bool iotlb_hit = false;
  bool iotlb_evicted = false;      ///< the fill displaced a valid entry
  std::uint8_t context_reads = 0;  ///< root, context and PASID entries read
  std::uint8_t walk_reads = 0;     ///< paging entries read, of both stages
  std::uint8_t walk_writes = 0;    ///< paging entries in which accessed or dirty bits were set
  std::uint8_t walk_level = 0;     ///< table the walk began at: below the root where a paging-structure cache hit
  std::uint8_t walk_evicted = 0;   ///< paging-structure cache entries displaced
  Hpa hpa{};
  std::uint64_t bytes = 0;  ///< from hpa on, that this answer covers
  pgtable::Permissions permissions{};
  DomainId domain{};  ///< where the context entry was reached
  // Of a fault:
  UnitCode reason;
  bool recorded = false;     ///< in a fault recording register; false on overflow or where FPD is set
  bool fault_event = false;  ///< the fault event interrupt is to be sent
};

/// What a register write set going.
struct RegisterWrite {
  bool queue_pending = false;     ///< the invalidation engine has descriptors to execute
  bool fault_event = false;       ///< send it now: it was pending and has been unmasked
  bool completion_event = false;  ///< the same of the invalidation completion event
  InvalidationStep executed{};    ///< by the write itself: of a unit whose commands are register writes
};

/// A message-signalled interrupt the unit itself sends.
struct EventMessage {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
};

}  // namespace gnomon::iommu
