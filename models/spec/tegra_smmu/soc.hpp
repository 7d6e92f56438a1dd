// SPDX-License-Identifier: Apache-2.0
// What differs between the SoCs with a Tegra SMMU. Source: Linux 6.1, drivers/memory/tegra/tegra{30,114,124,210}.c;
// the CPUs' line sizes: Cortex-A9 r3 (32), Cortex-A15, Denver and Cortex-A57 (64) technical reference manuals.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "models/base/address.hpp"

namespace gnomon::tegra {

struct Soc {
  std::string_view name;
  std::uint32_t atom_bytes = 0;          ///< a line of the page-table cache: what one PTC flush by address drops
  std::uint32_t tlb_lines = 0;           ///< each of a group of four entries
  std::uint32_t asids = 0;               ///< 4 or 128; where they are 4 the ASID of a TLB flush stands elsewhere
  std::uint32_t address_bits = 0;        ///< of a physical address; above 32 there is PTC_FLUSH_HI
  std::uint32_t cpu_line_bytes = 0;      ///< what the CPU cleans at once
  bool round_robin_arbitration = false;  ///< TLB_CONFIG has the bit
  bool request_limit = false;            ///< PTC_CONFIG has the field

  constexpr bool has_ptc_flush_hi() const { return address_bits > 32; }
  /// Bits of a page frame number in an entry and in PTB_DATA.
  constexpr std::uint32_t pfn_mask() const { return (std::uint32_t{1} << (address_bits - page_shift)) - 1; }
  constexpr std::uint32_t entries_per_atom() const { return atom_bytes / 4; }
};

inline constexpr Soc tegra30{"tegra30", 16, 16, 4, 32, 32, false, false};
inline constexpr Soc tegra114{"tegra114", 32, 32, 4, 32, 64, false, false};
inline constexpr Soc tegra124{"tegra124", 32, 32, 128, 34, 64, true, true};
inline constexpr Soc tegra132{"tegra132", 32, 32, 128, 34, 64, true, true};
inline constexpr Soc tegra210{"tegra210", 64, 48, 128, 34, 64, true, true};

inline constexpr std::array<const Soc*, 5> socs{&tegra30, &tegra114, &tegra124, &tegra132, &tegra210};

/// Null where the name is none of these.
constexpr const Soc* find_soc(std::string_view name) {
  for (const Soc* soc : socs) {
    if (soc->name == name) return soc;
  }
  return nullptr;
}

/// A client of the memory controller: who a request is from, and the group that shares an ASID register with it.
/// Its number is its SourceId here.
struct Client {
  std::uint16_t id = 0;
  std::uint16_t swgroup_register = 0;  ///< byte offset
};

/// Display and host clients: the same numbers and registers from Tegra30 to Tegra210.
namespace client {
inline constexpr Client display_0a{0x01, 0x240};
inline constexpr Client display_0a_b{0x02, 0x244};  ///< of the second head
inline constexpr Client display_0b{0x03, 0x240};
inline constexpr Client display_0b_b{0x04, 0x244};
inline constexpr Client display_0c{0x05, 0x240};
inline constexpr Client display_0c_b{0x06, 0x244};
inline constexpr Client display_hc{0x10, 0x240};  ///< cursor
inline constexpr Client display_hc_b{0x11, 0x244};
inline constexpr Client gpu_read{0x58, 0xaac};  ///< Tegra124 on
inline constexpr Client gpu_write{0x59, 0xaac};
}  // namespace client

inline constexpr std::array clients{
    client::display_0a,   client::display_0a_b, client::display_0b,   client::display_0b_b, client::display_0c,
    client::display_0c_b, client::display_hc,   client::display_hc_b, client::gpu_read,     client::gpu_write};

/// Null for a number that is not in the table.
constexpr const Client* find_client(SourceId source) {
  for (const Client& c : clients) {
    if (c.id == source.value) return &c;
  }
  return nullptr;
}

}  // namespace gnomon::tegra
