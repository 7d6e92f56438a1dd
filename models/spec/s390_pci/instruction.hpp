// SPDX-License-Identifier: Apache-2.0
// The PCI instructions of z/Architecture that IOMMU drivers use: operands, condition codes, status codes, and what
// CLP says of a function and its group. Sources: Linux arch/s390/{pci/pci_insn.c, include/asm/clp.h}, QEMU
// include/hw/s390x/s390-pci-{inst,clp}.h.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::s390_pci {

inline constexpr std::uint16_t rpcit_opcode = 0xb9d3;           ///< REFRESH PCI TRANSLATIONS
inline constexpr std::uint16_t mpcifc_opcode = 0xe3d0;          ///< MODIFY PCI FUNCTION CONTROLS
inline constexpr std::uint8_t mpcifc_register_translation = 4;  ///< REG_IOAT
inline constexpr std::uint8_t mpcifc_deregister_translation = 5;

/// Names an enabled function to every instruction.
struct FunctionHandle {
  std::uint32_t value = 0;
  constexpr bool operator==(const FunctionHandle&) const = default;
};
inline constexpr std::uint32_t handle_enabled = 0x8000'0000;

/// First operand of RPCIT and MPCIFC: the handle in 63:32, the status comes back in 31:24.
constexpr std::uint64_t function_operand(FunctionHandle handle) {
  return std::uint64_t{handle.value} << 32;
}
constexpr FunctionHandle handle_of(std::uint64_t operand) {
  return {static_cast<std::uint32_t>(operand >> 32)};
}
constexpr std::uint8_t status_of(std::uint64_t operand) {
  return static_cast<std::uint8_t>(operand >> 24);
}

enum class ConditionCode : std::uint8_t {
  done = 0,
  error = 1,  ///< the status says which
  busy = 2,   ///< again later
  invalid_handle = 3,
};

/// With condition code 1. Others mean an error of the function.
namespace status {
inline constexpr std::uint8_t none = 0;
inline constexpr std::uint8_t resource_not_available =
    4;  ///< of RPCIT, as Linux takes it: insufficient resources too
inline constexpr std::uint8_t function_in_error = 8;
inline constexpr std::uint8_t insufficient_resources = 16;
inline constexpr std::uint8_t sequence = 24;               ///< MPCIFC: registered already
inline constexpr std::uint8_t address_space_invalid = 28;  ///< MPCIFC: not registered
inline constexpr std::uint8_t error_recovery = 40;
}  // namespace status

struct Outcome {
  ConditionCode code = ConditionCode::done;
  std::uint8_t status = status::none;
  constexpr bool operator==(const Outcome&) const = default;
};

/// Events of a function, by their codes (PEC).
enum class EventCode : std::uint16_t {
  none = 0,
  invalid_address_space = 0x01,  ///< no translation is registered
  out_of_range = 0x02,           ///< beyond the registered limits
  protection = 0x04,             ///< the entry does not allow the access
  invalid_table_entry = 0x07,    ///< an entry of zero
  invalid_table_length = 0x08,
  translation_type = 0x09,  ///< a table without an origin
};

/// Query PCI function: where the function's DMA addresses lie.
struct DmaWindow {
  Iova first;
  Iova last;  ///< inclusive
  constexpr bool operator==(const DmaWindow&) const = default;
};
/// As QEMU reports it.
inline constexpr DmaWindow qemu_dma_window{Iova{0x1'0000'0000}, Iova{0x1ff'ffff'ffff'ffff}};

/// Query PCI function group: byte 11 of the response.
inline constexpr std::uint8_t group_refresh = 0x01;  ///< RPCIT is needed where an invalid entry becomes valid, too
inline constexpr std::uint8_t group_relaxed = 0x20;  ///< relaxed translation is possible

constexpr bool tlb_refresh(std::uint8_t group_flags) {
  return (group_flags & group_refresh) != 0;
}

}  // namespace gnomon::s390_pci
