// SPDX-License-Identifier: Apache-2.0
#include "guest/s390_pci/function.hpp"

#include <cerrno>

namespace gnomon::guest {

using s390_pci::ConditionCode;

namespace {

/// zpci_refresh_trans's reading of a condition code that is not busy.
int error_of(PciInstructionPort::Result result) {
  if (static_cast<ConditionCode>(result.condition_code) == ConditionCode::done) return 0;
  const bool exhausted = static_cast<ConditionCode>(result.condition_code) == ConditionCode::error &&
                         (result.status == s390_pci::status::resource_not_available ||
                          result.status == s390_pci::status::insufficient_resources);
  return exhausted ? ENOMEM : EIO;
}

}  // namespace

int s390_refresh(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function, Iova iova,
                 std::uint64_t bytes, std::uint32_t domain, trace::RefreshCause cause) {
  const std::uint64_t operand = s390_pci::function_operand(function.handle);
  const bool all = iova == function.aperture.first && bytes == function.aperture.bytes();
  const std::uint64_t covered = all ? trace::whole_domain : bytes;
  cpu.processor().sync();
  const Time began = cpu.now();
  for (;;) {
    cpu.emit(trace::GuestRequest{iova.value, covered, 0, domain, cpu.id(), trace::RequestType::invalidate, 0});
    const PciInstructionPort::Result result = instructions.rpcit(cpu.processor(), operand, iova, bytes);
    if (static_cast<ConditionCode>(result.condition_code) == ConditionCode::busy) {
      cpu.processor().spend(s390_busy_delay);
      continue;
    }
    const int error = error_of(result);
    cpu.emit(trace::TranslationsRefreshed{iova.value, covered, began.ps(), domain, cpu.id(), cause,
                                          static_cast<std::uint32_t>(error)});
    return error;
  }
}

int s390_register(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function, std::uint64_t iota) {
  const auto result =
      instructions.register_translation(cpu.processor(), s390_pci::function_operand(function.handle),
                                        function.aperture.first, function.aperture.last, iota);
  return result.condition_code == 0 ? 0 : EIO;
}

}  // namespace gnomon::guest
