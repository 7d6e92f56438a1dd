// SPDX-License-Identifier: Apache-2.0
// The invalidation queue of one VT-d unit as its Linux driver uses it (qi_submit_sync in
// drivers/iommu/intel/dmar.c, 5.8 to 7.2): one wait descriptor and one write of the tail register a submission.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/spec/vtd/invalidation.hpp"

namespace gnomon::guest {

class IntelInvalidationQueue {
 public:
  static constexpr unsigned slots = 256;  ///< QI_LENGTH
  /// Values of a slot's status word.
  enum Status : std::uint32_t { free = 0, in_use = 1, done = 2, aborted = 3 };

  struct Parts {
    KernelMemory& memory;
    LineMonitor& monitor;
    Lock& lock;     ///< of the queue
    Gpa registers;  ///< of the unit
    /// A read of a register is a VM exit: every look at the fault status is one. On bare metal the looks between
    /// the first and the unit's answer are not simulated one by one, only their rhythm is.
    bool registers_trap = true;
  };

  /// `wide`: descriptors of 256 bits, as wherever ECAP.SMTS is set. Takes the queue and the page of the status
  /// words from the kernel's memory. Throws std::bad_alloc.
  IntelInvalidationQueue(const Parts& parts, bool wide);

  Gpa base() const { return base_; }
  std::uint64_t iqa() const;  ///< what the register IQA is to hold
  Gpa slot(unsigned index) const { return base_ + index * descriptor_bytes(); }
  Gpa status_word(unsigned index) const { return status_ + index * sizeof(std::uint32_t); }
  unsigned free_slots() const { return free_; }

  /// Queues the descriptors, 0 to 254 of them, and returns when the unit has executed them and all before.
  /// Interrupts are off meanwhile; the queue's lock is held but between two looks at the status. `domain`: as the
  /// event stream names it. Returns EINVAL where the unit refused one: the wait takes its place and the rest is
  /// executed. A submission that a device-TLB time-out aborted is submitted again. On bare metal an error that
  /// comes up after the first look is seen when somebody writes the status word.
  int submit(Cpu& cpu, std::span<const vtd::InvalidationDescriptor> descriptors, std::uint32_t domain);

 private:
  struct Held;  // the lock, dropped and taken again

  std::uint64_t descriptor_bytes() const { return std::uint64_t{1} << shift_; }
  void write(unsigned index, const vtd::InvalidationDescriptor& descriptor);
  std::uint32_t status(unsigned index) const { return memory_.ram().read<std::uint32_t>(status_word(index)); }
  void set_status(unsigned index, Status value) { memory_.ram().write<std::uint32_t>(status_word(index), value); }
  void wait_for_slots(Cpu& cpu, Held& held, unsigned wanted);
  int submit_once(Cpu& cpu, Held& held, std::span<const vtd::InvalidationDescriptor> descriptors,
                  std::uint32_t domain);
  int poll(Cpu& cpu, Held& held, unsigned first, unsigned wait_slot);
  int check_faults(Cpu& cpu, unsigned first, unsigned wait_slot);
  void replace_refused(Cpu& cpu, unsigned refused, unsigned wait_slot);
  void abort_waits(Cpu& cpu);
  void reclaim();

  KernelMemory& memory_;
  LineMonitor& monitor_;
  Lock& lock_;
  const Gpa registers_;
  const bool registers_trap_;
  const unsigned shift_;  // log2 of a descriptor's bytes
  const Gpa base_;
  const Gpa status_;
  unsigned head_ = 0;  // the next slot to fill: what the tail register holds
  unsigned tail_ = 0;  // the oldest slot not yet free
  unsigned free_ = slots;
  std::array<bool, slots> waits_{};  // the slot was last filled with a wait
};

}  // namespace gnomon::guest
