// SPDX-License-Identifier: Apache-2.0
// One VT-d unit as its Linux driver sees it once it is probed.
#pragma once

#include <cstdint>

#include "guest/intel_iommu/behaviour.hpp"
#include "guest/intel_iommu/invalidation_queue.hpp"
#include "guest/intel_iommu/translation_tables.hpp"
#include "models/cpu/core/store_trap.hpp"
#include "models/spec/vtd/capabilities.hpp"

namespace gnomon::guest {

/// The global command register: a command is written beside what is on, and its status awaited in GSTS.
class IntelGlobalCommand {
 public:
  explicit IntelGlobalCommand(Gpa registers) : registers_(registers) {}

  /// QIE, TE: on for good. Throws GuestPanic where the unit does not follow.
  void enable(Cpu& cpu, std::uint32_t bit);
  /// SRTP: done when its status is set.
  void set(Cpu& cpu, std::uint32_t bit);
  /// WBF: done when its status is clear.
  void flush_write_buffer(Cpu& cpu);

 private:
  void write(Cpu& cpu, std::uint32_t bit, bool wait_for_set);

  Gpa registers_;
  std::uint32_t on_ = 0;
};

/// What the domains of one unit share. What it refers to outlives them.
struct IntelUnit {
  KernelMemory& memory;
  IntelInvalidationQueue& queue;
  IntelTranslationTables& tables;
  IntelGlobalCommand& command;
  StoreTrap* store_trap;  ///< null where no store to a table page can exit
  vtd::Capability cap;
  vtd::ExtendedCapability ecap;
  bool scalable;    ///< scalable mode is on
  bool device_tlb;  ///< devices cache translations, by ATS
  FlushUnit flush;  ///< caching mode, and the largest block of a page-selective invalidation
  IntelDriverOptions driver;
};

}  // namespace gnomon::guest
