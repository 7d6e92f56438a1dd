// SPDX-License-Identifier: Apache-2.0
// A PCI function as the kernel's s390 code knows it (struct zpci_dev), and the refresh of its translations.
// Behaviour of Linux's arch/s390/pci/pci_insn.c, 6.1 to 7.2.
#pragma once

#include <cstdint>

#include "guest/kernel/cpu.hpp"
#include "guest/s390_pci/aperture.hpp"
#include "models/cpu/core/pci_instruction_port.hpp"
#include "models/spec/s390_pci/instruction.hpp"

namespace gnomon::guest {

struct S390Function {
  SourceId source;
  s390_pci::FunctionHandle handle;
  bool tlb_refresh = false;  ///< of its group: RPCIT where invalid entries become valid too
  S390Aperture aperture;
};

/// What one function's refreshes came to.
struct S390RefreshCounts {
  std::uint64_t map = 0;        ///< of a range, after a map
  std::uint64_t unmap = 0;      ///< of a range, after an unmap
  std::uint64_t all = 0;        ///< of the whole aperture
  std::uint64_t exhausted = 0;  ///< maps that found the hypervisor out of resources
  constexpr bool operator==(const S390RefreshCounts&) const = default;
};

inline constexpr Time s390_busy_delay = Time::us(1);  ///< ZPCI_INSN_BUSY_DELAY

/// zpci_refresh_trans: RPCIT of the range, again every microsecond while the unit is busy, for ever. 0; ENOMEM
/// where the hypervisor is out of resources; EIO. `domain` and `cause`: as the event stream names them.
int s390_refresh(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function, Iova iova,
                 std::uint64_t bytes, std::uint32_t domain, trace::RefreshCause cause);

/// zpci_refresh_all, zpci_refresh_global: the whole aperture, which lets the hypervisor find invalidated entries.
inline int s390_refresh_all(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function,
                            std::uint32_t domain, trace::RefreshCause cause) {
  return s390_refresh(cpu, instructions, function, function.aperture.first, function.aperture.bytes(), domain,
                      cause);
}

/// Registers the function's aperture with the tables of `iota`. 0 or EIO.
int s390_register(Cpu& cpu, PciInstructionPort& instructions, const S390Function& function, std::uint64_t iota);

}  // namespace gnomon::guest
