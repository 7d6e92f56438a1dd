// SPDX-License-Identifier: Apache-2.0
// MSI-X table entries and x86 interrupt messages. PCI Express Base 5.0, 7.7.2; Intel SDM volume 3A, 11.11.
#pragma once

#include <cstdint>

namespace gnomon::pci {

/// Where this platform's devices keep their MSI-X table, from the start of their BAR.
inline constexpr std::uint64_t msix_table_offset = 0x10'0000;
inline constexpr std::uint64_t bar_bytes = 0x20'0000;

struct MsixEntry {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
  std::uint32_t control = 1;  ///< bit 0: masked
};
static_assert(sizeof(MsixEntry) == 16);

/// Fixed delivery, physical destination.
constexpr std::uint64_t message_address(unsigned apic_id) { return 0xfee00000u | (std::uint64_t{apic_id} << 12); }
constexpr std::uint32_t message_data(unsigned vector) { return vector & 0xff; }
constexpr bool is_interrupt_message(std::uint64_t address) { return (address & ~std::uint64_t{0xfffff}) == 0xfee00000u; }

}  // namespace gnomon::pci
