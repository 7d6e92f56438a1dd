// SPDX-License-Identifier: Apache-2.0
// The event log: a ring in memory the unit writes and software reads (AMD IOMMU specification 48882 rev 3, section
// 2.5), and its part of the status register.
#pragma once

#include <cstdint>

#include "models/memory/physical_memory.hpp"
#include "models/spec/amdvi/event.hpp"
#include "models/spec/amdvi/registers.hpp"

namespace gnomon::iommu {

class EventLog {
 public:
  explicit EventLog(PhysicalMemory& memory) : memory_(memory) {}

  struct Recorded {
    bool recorded = false;   ///< false where the log does not run or is full
    bool interrupt = false;  ///< to be sent now
  };
  /// `interrupt_enabled`: EventIntEn.
  Recorded record(const amdvi::Event& event, bool interrupt_enabled);

  /// EventLogEn has changed, together with IommuEn.
  void enable(bool on) { run_ = on && !amdvi::ring_length_reserved(base_); }

  std::uint64_t base() const { return base_; }
  void write_base(std::uint64_t value);
  std::uint64_t head() const { return head_; }
  void write_head(std::uint64_t value) { head_ = value & amdvi::ring_pointer_mask; }
  std::uint64_t tail() const { return tail_; }
  void write_tail(std::uint64_t value) { tail_ = value & amdvi::ring_pointer_mask; }

  std::uint64_t status() const { return sticky_ | (run_ ? amdvi::status::event_log_run : 0); }
  void clear_status(std::uint64_t bits) { sticky_ &= ~bits; }
  bool interrupt_pending() const { return sticky_ != 0; }

 private:
  bool raise(std::uint64_t bit, bool interrupt_enabled);

  PhysicalMemory& memory_;
  std::uint64_t base_ = 0;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t sticky_ = 0;  // EventOverflow, EventLogInt
  bool run_ = false;
};

}  // namespace gnomon::iommu
