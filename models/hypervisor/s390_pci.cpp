// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/s390_pci.hpp"

namespace gnomon {

namespace {

PciInstructionPort::Result result_of(s390_pci::Outcome outcome) {
  return {static_cast<std::uint8_t>(outcome.code), outcome.status};
}

}  // namespace

template <class Serve>
PciInstructionPort::Result S390PciHypervisor::intercepted(Processor& vcpu, Serve serve) {
  vcpu.sync();
  const Time began = vcpu.now();
  vcpu.spend(costs_.exit + costs_.to_user + costs_.mmio_dispatch);
  s390_pci::Outcome outcome;
  {
    LockGuard guard(lock_, vcpu);
    serving_ = &vcpu;
    for (const Function& f : functions_) f.device->serve_on(&vcpu);
    outcome = serve();
    serving_ = nullptr;
  }
  vcpu.spend(costs_.from_user + costs_.entry);
  vcpu.sync();
  tracer_.emit(vcpu.now(), trace::VmExit{began.ps(), vcpu.id(), trace::ExitReason::instruction});
  return result_of(outcome);
}

PciInstructionPort::Result S390PciHypervisor::rpcit(Processor& vcpu, std::uint64_t function, Iova address,
                                                    std::uint64_t bytes) {
  return intercepted(vcpu, [&] {
    vcpu.spend(costs_.refresh);
    vcpu.sync();
    const hypervisor::RefreshServed served = device_.refresh(function, address, bytes, *this);
    vcpu.sync();
    const auto status = std::uint32_t{served.outcome.code == s390_pci::ConditionCode::done ? 0u : 1u};
    tracer_.emit(vcpu.now(), trace::RequestServed{address.value, bytes, domain_of(function), vcpu.id(),
                                                  trace::RequestType::invalidate, status});
    if (served.reads > 0) tracer_.emit(vcpu.now(), trace::GuestTableRead{served.reads});
    return served.outcome;
  });
}

PciInstructionPort::Result S390PciHypervisor::register_translation(Processor& vcpu, std::uint64_t function,
                                                                   Iova first, Iova last, std::uint64_t iota) {
  return intercepted(vcpu, [&] { return device_.register_translation(function, first, last, iota); });
}

PciInstructionPort::Result S390PciHypervisor::deregister_translation(Processor& vcpu, std::uint64_t function) {
  return intercepted(vcpu, [&] { return device_.deregister_translation(function); });
}

std::uint32_t S390PciHypervisor::domain_of(std::uint64_t function) const {
  for (const Function& f : functions_) {
    if (f.handle == s390_pci::handle_of(function)) return f.device->domain().value;
  }
  return trace::all_domains;
}

void S390PciHypervisor::walked(std::uint64_t reads, std::uint64_t look_ups) {
  serving_->spend(costs_.table_read * reads + costs_.page_lookup * look_ups);
  serving_->sync();
}

}  // namespace gnomon
