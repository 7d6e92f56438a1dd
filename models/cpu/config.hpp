// SPDX-License-Identifier: Apache-2.0
// A host core and, in a virtual machine, what leaving and entering the guest costs on it.
#pragma once

#include "models/base/time.hpp"

namespace gnomon {

/// Time from the exit to the entry of exits that KVM handles in the kernel. Exits to the VMM are the hypervisor's.
struct ExitCosts {
  Time external_interrupt = Time::ns(700);  ///< host handler, irqfd, injection of a device's interrupt
  Time hlt = Time::ns(600);                 ///< leave the guest, poll, enter again; the halt itself is on top
  Time msr_write = Time::ns(500);           ///< timer deadline or inter-processor interrupt
  Time preemption_timer = Time::ns(600);    ///< the local timer's expiry
  Time injection = Time::ns(200);           ///< an interrupt into a vCPU that has exited already
};

struct CpuConfig {
  ExitCosts exits;
  bool posted_interrupts = false;         ///< hardware delivers device interrupts without an exit
  Time halt_poll = Time::us(200);         ///< KVM's halt_poll_ns: a halt shorter than this never sleeps
  Time sleep_wake = Time::us(4);          ///< host wake-up of a vCPU that went to sleep
  Time idle_wake = Time::ns(800);         ///< bare metal: out of a shallow idle state
  Time interprocessor = Time::ns(400);    ///< an inter-processor interrupt's way to the other core
};

}  // namespace gnomon
