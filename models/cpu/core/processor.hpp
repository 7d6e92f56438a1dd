// SPDX-License-Identifier: Apache-2.0
// The port between software and the processor that runs it. Guest kernel and hypervisor are plain functions over it.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/base/time.hpp"

namespace gnomon {

/// A processor as its software sees it.
///
/// Software runs ahead of global time: spend() only adds to the processor's own clock. Before it touches anything that
/// another agent can see or change (a lock, shared memory, the event stream) it calls sync(), which suspends it until
/// global time has caught up. Between two syncs only processor-local state may be used.
class Processor {
 public:
  virtual ~Processor() = default;

  virtual unsigned id() const = 0;
  virtual Time now() const = 0;         ///< this processor's clock: global time plus what it has run ahead
  virtual void spend(Time work) = 0;    ///< executes for this long
  virtual void sync() = 0;              ///< lets global time catch up
  virtual void park() = 0;              ///< syncs, then spins until unparked; an unpark that came before counts
  virtual void unpark(Time at) = 0;     ///< lets a parked processor go on at `at` (>= global time); one at a time

  virtual void write_mmio(Gpa address, std::uint64_t value, unsigned bytes) = 0;  ///< may exit to the hypervisor
  virtual std::uint64_t read_mmio(Gpa address, unsigned bytes) = 0;

  virtual void halt() = 0;                                 ///< idle until an interrupt is pending
  virtual bool interrupt_pending() const = 0;              ///< valid after sync()
  virtual unsigned acknowledge_interrupt() = 0;            ///< highest pending vector, now in service
  virtual void set_timer(Time at) = 0;                     ///< one-shot local timer; Time::max() disarms
  virtual void send_interrupt(unsigned processor, unsigned vector) = 0;  ///< inter-processor interrupt
};

/// Vectors as x86 Linux assigns them, highest priority first.
inline constexpr unsigned timer_vector = 0xec;
inline constexpr unsigned reschedule_vector = 0xfd;
inline constexpr unsigned first_device_vector = 0x30;

}  // namespace gnomon
