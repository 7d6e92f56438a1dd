// SPDX-License-Identifier: Apache-2.0
// Registers of the SMMU inside Tegra's memory controller, of 32 bits. Source: Tegra X1 technical reference manual,
// chapter 18 (memory controller), and Linux 6.1, drivers/iommu/tegra-smmu.c.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/tegra_smmu/soc.hpp"

namespace gnomon::tegra {

/// Byte offsets in the memory controller's register space.
namespace reg {
inline constexpr std::uint32_t interrupt_status = 0x000;  ///< write 1 to clear
inline constexpr std::uint32_t error_status = 0x008;      ///< of the first request that failed; read only
inline constexpr std::uint32_t error_address = 0x00c;     ///< its address; read only
inline constexpr std::uint32_t smmu_config = 0x010;
inline constexpr std::uint32_t tlb_config = 0x014;
inline constexpr std::uint32_t ptc_config = 0x018;
inline constexpr std::uint32_t ptb_asid = 0x01c;  ///< whose page directory PTB_DATA shows
inline constexpr std::uint32_t ptb_data = 0x020;
inline constexpr std::uint32_t tlb_flush = 0x030;
inline constexpr std::uint32_t ptc_flush = 0x034;
inline constexpr std::uint32_t translation_enable_0 = 0x228;  ///< clients 0 to 31; the next three follow
inline constexpr std::uint32_t ptc_flush_hi = 0x9b8;          ///< address bits 33:32 of the next PTC_FLUSH
inline constexpr std::uint32_t translation_enable_4 = 0xb98;  ///< clients 128 to 159
}  // namespace reg
inline constexpr std::uint32_t register_space_bytes = 0x1000;

inline constexpr std::uint32_t smmu_enable = 1u << 0;  ///< SMMU_CONFIG: translate

namespace interrupt {
inline constexpr std::uint32_t decode_error = 1u << 6;        ///< the address leads nowhere
inline constexpr std::uint32_t invalid_smmu_page = 1u << 10;  ///< a translation fault
}  // namespace interrupt

/// ERR_STATUS: type 30:28, what the entry allowed 27:25, address bits 33:32 in 21:20, write 16, client 7:0.
enum class ErrorType : std::uint8_t { none = 0, decode_error = 2, invalid_smmu_page = 6 };
struct ErrorStatus {
  ErrorType type = ErrorType::none;
  bool readable = false;  ///< the entry's own bits
  bool writable = false;
  bool nonsecure = false;
  bool write = false;
  std::uint8_t client = 0;
  constexpr bool operator==(const ErrorStatus&) const = default;
};
constexpr std::uint32_t encode(const ErrorStatus& e) {
  return static_cast<std::uint32_t>(e.type) << 28 | std::uint32_t{e.readable} << 27 |
         std::uint32_t{e.writable} << 26 | std::uint32_t{e.nonsecure} << 25 | std::uint32_t{e.write} << 16 |
         e.client;
}
constexpr ErrorStatus decode_error_status(std::uint32_t raw) {
  return {static_cast<ErrorType>(raw >> 28 & 7),
          (raw >> 27 & 1) != 0,
          (raw >> 26 & 1) != 0,
          (raw >> 25 & 1) != 0,
          (raw >> 16 & 1) != 0,
          static_cast<std::uint8_t>(raw)};
}

/// TLB_CONFIG.
inline constexpr std::uint32_t tlb_hit_under_miss = 1u << 29;
inline constexpr std::uint32_t tlb_round_robin = 1u << 28;
inline constexpr std::uint32_t tlb_active_lines_mask = 0x3f;  ///< how many of the lines are used

/// PTC_CONFIG.
inline constexpr std::uint32_t ptc_enable = 1u << 29;
constexpr std::uint32_t ptc_request_limit(std::uint32_t n) {
  return (n & 0xf) << 24;
}
constexpr std::uint32_t ptc_index_map(std::uint32_t n) {
  return n & 0x3f;
}

/// PTB_ASID: bits 6:0.
inline constexpr std::uint32_t asid_mask = 0x7f;

/// PTB_DATA and directory entries share the attributes; PTB_DATA has no NEXT.
inline constexpr std::uint32_t readable = 1u << 31;
inline constexpr std::uint32_t writable = 1u << 30;
inline constexpr std::uint32_t nonsecure = 1u << 29;

/// A swgroup's ASID register: its clients use this address space.
inline constexpr std::uint32_t swgroup_enable = 1u << 31;

/// Where a client's translation is switched on.
constexpr std::uint32_t enable_register(std::uint16_t client) {
  return client < 128 ? reg::translation_enable_0 + client / 32 * 4u : reg::translation_enable_4;
}
constexpr std::uint32_t enable_bit(std::uint16_t client) {
  return 1u << (client % 32);
}

/// What a write to TLB_FLUSH drops.
enum class TlbMatch : std::uint8_t { all = 0, section = 2, group = 3 };
struct TlbFlush {
  TlbMatch match = TlbMatch::all;
  bool one_asid = false;  ///< ASID_MATCH; else of all
  std::uint8_t asid = 0;  ///< where one_asid
  Iova iova{};            ///< of a section (4 MiB) or a group (16 KiB); the offset is ignored
  constexpr bool operator==(const TlbFlush&) const = default;
};
inline constexpr std::uint64_t section_bytes = std::uint64_t{4} << 20;
inline constexpr std::uint64_t group_bytes = std::uint64_t{16} << 10;

/// ASID 30:24, or 30:29 where there are four; VA bits 31:14 in 19:2 (31:22 in 19:10 of a section); match 1:0.
constexpr std::uint32_t encode(const TlbFlush& f, const Soc& soc) {
  std::uint32_t raw = static_cast<std::uint32_t>(f.match);
  const auto va = static_cast<std::uint32_t>(f.iova.value);
  if (f.match == TlbMatch::section) raw |= (va & 0xffc0'0000u) >> 12;
  if (f.match == TlbMatch::group) raw |= (va & 0xffff'c000u) >> 12;
  if (f.one_asid) raw |= 1u << 31 | (soc.asids == 4 ? (f.asid & 3u) << 29 : (f.asid & 0x7fu) << 24);
  return raw;
}
/// Match 1 is reserved; it is taken for all.
constexpr TlbFlush decode_tlb_flush(std::uint32_t raw, const Soc& soc) {
  TlbFlush f;
  f.one_asid = raw >> 31 != 0;
  if (f.one_asid) f.asid = static_cast<std::uint8_t>(soc.asids == 4 ? raw >> 29 & 3 : raw >> 24 & 0x7f);
  const std::uint64_t va = std::uint64_t{raw & 0xf'fffc} << 12;
  if ((raw & 3) == 2) return f.match = TlbMatch::section, f.iova = Iova{va & ~(section_bytes - 1)}, f;
  if ((raw & 3) == 3) return f.match = TlbMatch::group, f.iova = Iova{va}, f;
  return f;
}

/// PTC_FLUSH: type in bit 0, address bits 31:4 in place. Bits 33:32 come from PTC_FLUSH_HI.
inline constexpr std::uint32_t ptc_flush_all = 0;
inline constexpr std::uint32_t ptc_flush_by_address = 1;
inline constexpr std::uint32_t ptc_flush_hi_mask = 3;
constexpr std::uint32_t ptc_flush_address(Hpa atom) {
  return (static_cast<std::uint32_t>(atom.value) & ~0xfu) | ptc_flush_by_address;
}
constexpr std::uint32_t ptc_flush_high(Hpa atom) {
  return static_cast<std::uint32_t>(atom.value >> 32) & ptc_flush_hi_mask;
}

}  // namespace gnomon::tegra
