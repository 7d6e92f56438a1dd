// SPDX-License-Identifier: Apache-2.0
// The three address spaces of a DMA, kept apart by type: what the device says, what the guest means, where it lands.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace gnomon {

inline constexpr std::uint64_t page_shift = 12;
inline constexpr std::uint64_t page_size = std::uint64_t{1} << page_shift;  ///< the IOMMU granule, bytes

template <class Space>
struct Address {
  std::uint64_t value = 0;

  constexpr auto operator<=>(const Address&) const = default;
  friend constexpr Address operator+(Address a, std::uint64_t bytes) { return {a.value + bytes}; }
  friend constexpr Address operator-(Address a, std::uint64_t bytes) { return {a.value - bytes}; }
  friend constexpr std::uint64_t operator-(Address a, Address b) { return a.value - b.value; }
  constexpr Address& operator+=(std::uint64_t bytes) { value += bytes; return *this; }

  constexpr std::uint64_t page() const { return value >> page_shift; }  ///< page frame number
  constexpr std::uint64_t offset_in_page() const { return value & (page_size - 1); }
  static constexpr Address from_page(std::uint64_t pfn) { return {pfn << page_shift}; }
};

using Iova = Address<struct IovaSpace>;  ///< I/O virtual address: what a device puts on the bus
using Gpa = Address<struct GpaSpace>;    ///< guest-physical address; on bare metal equal to the Hpa
using Hpa = Address<struct HpaSpace>;    ///< host-physical address: where memory is

/// Number of pages touched by [address, address + bytes).
template <class Space>
constexpr std::uint64_t pages_spanned(Address<Space> address, std::uint64_t bytes) {
  return bytes == 0 ? 0 : (address + (bytes - 1)).page() - address.page() + 1;
}

/// PCI requester id (bus, device, function) as carried by every DMA.
struct SourceId {
  std::uint16_t value = 0;
  constexpr auto operator<=>(const SourceId&) const = default;
};

/// Domain id as an IOMMU tags its caches with it.
struct DomainId {
  std::uint16_t value = 0;
  constexpr auto operator<=>(const DomainId&) const = default;
};

}  // namespace gnomon

template <class Space>
struct std::hash<gnomon::Address<Space>> {
  std::size_t operator()(gnomon::Address<Space> a) const noexcept { return std::hash<std::uint64_t>{}(a.value); }
};
