// SPDX-License-Identifier: Apache-2.0
// VM-exit reasons as KVM's tracepoints, and so perf kvm, spell them on each architecture.
#pragma once

#include <string_view>

#include "models/trace/events.hpp"

namespace gnomon::observe {

enum class ExitSpelling {
  vmx,  ///< Intel: VMX_EXIT_REASONS
  svm,  ///< AMD: SVM_EXIT_REASONS
  sie,  ///< s390: sie_intercept_code
  arm,  ///< Arm: ESR_EL2's exception class, or the kind of exception
};

namespace detail {

struct ReasonNames {
  std::string_view vmx;
  std::string_view svm;
  std::string_view sie;
  std::string_view arm;
};

constexpr ReasonNames reason_names(trace::ExitReason reason) {
  switch (reason) {
    case trace::ExitReason::ept_misconfig: return {"EPT_MISCONFIG", "npf", "Program interruption", "DABT_LOW"};
    case trace::ExitReason::external_interrupt: return {"EXTERNAL_INTERRUPT", "interrupt", "Host interruption", "IRQ"};
    case trace::ExitReason::hlt: return {"HLT", "hlt", "Wait state", "WFx"};
    case trace::ExitReason::msr_write: return {"MSR_WRITE", "msr", "Instruction", "SYS64"};
    case trace::ExitReason::ept_violation: return {"EPT_VIOLATION", "npf", "Program interruption", "DABT_LOW"};
    case trace::ExitReason::preemption_timer: return {"PREEMPTION_TIMER", "interrupt", "Host interruption", "IRQ"};
    case trace::ExitReason::instruction: return {"UNKNOWN", "UNKNOWN", "Instruction", "UNKNOWN"};  // s390 alone has it
  }
  return {"UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN"};
}

}  // namespace detail

/// SVM has fewer reasons: device memory that traps is a nested page fault, and there is no preemption timer (KVM
/// backs the guest's timer with a host timer, whose interrupt ends guest mode), so two reasons may share a name. SIE
/// has fewer still: signalling a processor and the PCI instructions are instructions. On Arm device memory that traps is a
/// data abort from a lower level, signalling a processor a system register, a timer's end an interrupt.
constexpr std::string_view exit_reason_name(ExitSpelling spelling, trace::ExitReason reason) {
  const detail::ReasonNames names = detail::reason_names(reason);
  switch (spelling) {
    case ExitSpelling::vmx: return names.vmx;
    case ExitSpelling::svm: return names.svm;
    case ExitSpelling::sie: return names.sie;
    case ExitSpelling::arm: return names.arm;
  }
  return "UNKNOWN";
}

inline constexpr trace::ExitReason exit_reasons[] = {
    trace::ExitReason::ept_misconfig, trace::ExitReason::external_interrupt, trace::ExitReason::hlt,
    trace::ExitReason::msr_write, trace::ExitReason::preemption_timer, trace::ExitReason::ept_violation,
    trace::ExitReason::instruction};

}  // namespace gnomon::observe
