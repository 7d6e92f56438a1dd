// SPDX-License-Identifier: Apache-2.0
// Device addresses that a PC's kernel keeps out of every PCI device's domain: the host bridge's memory windows
// (iova_reserve_pci_windows, drivers/iommu/dma-iommu.c) and the interrupt window.
#pragma once

#include <array>
#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::guest {

/// Consecutive pages of device address space.
struct PageRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool operator==(const PageRange&) const = default;
};

inline constexpr PageRange interrupt_window{0xfee00, 0xfeeff};

/// Of QEMU's q35 with so much guest memory, in bytes: from the end of low memory to the configuration space at
/// 0xb0000000, which nobody reserves; behind that to the I/O APIC; the interrupt window.
constexpr std::array<PageRange, 3> reserved_windows(std::uint64_t memory) {
  constexpr std::uint64_t configuration_space = 0xb0000, after_it = 0xc0000, io_apic = 0xfec00;
  constexpr std::uint64_t low_memory_limit = 0x80000;  // of guests with 2.75 GiB and more
  const std::uint64_t pages = memory >> page_shift;
  const std::uint64_t low = pages >= configuration_space ? low_memory_limit : pages;
  return {{{low, configuration_space - 1}, {after_it, io_apic - 1}, interrupt_window}};
}

}  // namespace gnomon::guest
