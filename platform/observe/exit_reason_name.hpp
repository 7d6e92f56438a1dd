// SPDX-License-Identifier: Apache-2.0
// VM-exit reasons as KVM's tracepoints, and so perf kvm, spell them on either architecture.
#pragma once

#include <string_view>

#include "models/trace/events.hpp"

namespace gnomon::observe {

enum class ExitSpelling {
  vmx,  ///< Intel: VMX_EXIT_REASONS
  svm,  ///< AMD: SVM_EXIT_REASONS
};

/// SVM has fewer reasons: device memory that traps is a nested page fault, and there is no preemption timer (KVM
/// backs the guest's timer with a host timer, whose interrupt ends guest mode), so two reasons may share a name.
constexpr std::string_view exit_reason_name(ExitSpelling spelling, trace::ExitReason reason) {
  const bool vmx = spelling == ExitSpelling::vmx;
  switch (reason) {
    case trace::ExitReason::ept_misconfig: return vmx ? "EPT_MISCONFIG" : "npf";
    case trace::ExitReason::external_interrupt: return vmx ? "EXTERNAL_INTERRUPT" : "interrupt";
    case trace::ExitReason::hlt: return vmx ? "HLT" : "hlt";
    case trace::ExitReason::msr_write: return vmx ? "MSR_WRITE" : "msr";
    case trace::ExitReason::preemption_timer: return vmx ? "PREEMPTION_TIMER" : "interrupt";
  }
  return "UNKNOWN";
}

inline constexpr trace::ExitReason exit_reasons[] = {
    trace::ExitReason::ept_misconfig, trace::ExitReason::external_interrupt, trace::ExitReason::hlt,
    trace::ExitReason::msr_write, trace::ExitReason::preemption_timer};

}  // namespace gnomon::observe
