// SPDX-License-Identifier: Apache-2.0
#include "guest/s390_pci/function.hpp"

#include <cerrno>

namespace gnomon::guest {

using s390_pci::ConditionCode;

int s390_refresh(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function, Iova iova,
                 std::uint64_t bytes, std::uint32_t domain) {
  const std::uint64_t operand = s390_pci::function_operand(function.handle);
  const bool all = iova == function.aperture.first && bytes == function.aperture.bytes();
  for (;;) {
    cpu.emit(trace::GuestRequest{iova.value, all ? trace::whole_domain : bytes, 0, domain, cpu.id(),
                                 trace::RequestType::invalidate, 0});
    const auto [code, status] = instructions.rpcit(cpu.processor(), operand, iova, bytes);
    switch (static_cast<ConditionCode>(code)) {
      case ConditionCode::done: return 0;
      case ConditionCode::busy: cpu.processor().spend(s390_busy_delay); continue;
      case ConditionCode::error:
        if (status == s390_pci::status::resource_not_available ||
            status == s390_pci::status::insufficient_resources) {
          return ENOMEM;
        }
        return EIO;
      case ConditionCode::invalid_handle: return EIO;
    }
    return EIO;
  }
}

int s390_register(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function, std::uint64_t iota) {
  const auto result =
      instructions.register_translation(cpu.processor(), s390_pci::function_operand(function.handle),
                                        function.aperture.first, function.aperture.last, iota);
  return result.condition_code == 0 ? 0 : EIO;
}

}  // namespace gnomon::guest
