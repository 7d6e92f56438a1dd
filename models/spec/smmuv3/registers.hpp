// SPDX-License-Identifier: Apache-2.0
// MMIO registers of a unit, Non-secure programming interface. Source: Arm SMMU architecture version 3, IHI 0070,
// chapter 6.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/smmuv3/bits.hpp"

namespace gnomon::smmuv3 {

/// Byte offsets. The event queue's pointers are in register page 1, 64 KiB after page 0.
namespace reg {
inline constexpr std::uint32_t idr0 = 0x0000;
inline constexpr std::uint32_t idr1 = 0x0004;
inline constexpr std::uint32_t idr3 = 0x000c;
inline constexpr std::uint32_t idr5 = 0x0014;
inline constexpr std::uint32_t cr0 = 0x0020;
inline constexpr std::uint32_t cr0ack = 0x0024;
inline constexpr std::uint32_t cr1 = 0x0028;
inline constexpr std::uint32_t cr2 = 0x002c;
inline constexpr std::uint32_t gbpa = 0x0044;
inline constexpr std::uint32_t irq_ctrl = 0x0050;
inline constexpr std::uint32_t irq_ctrlack = 0x0054;
inline constexpr std::uint32_t gerror = 0x0060;
inline constexpr std::uint32_t gerrorn = 0x0064;
inline constexpr std::uint32_t strtab_base = 0x0080;  // 64 bits
inline constexpr std::uint32_t strtab_base_cfg = 0x0088;
inline constexpr std::uint32_t cmdq_base = 0x0090;  // 64 bits
inline constexpr std::uint32_t cmdq_prod = 0x0098;
inline constexpr std::uint32_t cmdq_cons = 0x009c;
inline constexpr std::uint32_t eventq_base = 0x00a0;  // 64 bits
inline constexpr std::uint32_t eventq_prod = 0x100a8;
inline constexpr std::uint32_t eventq_cons = 0x100ac;
}  // namespace reg
inline constexpr std::uint32_t register_page_bytes = 0x10000;
inline constexpr std::uint32_t register_space_bytes = 2 * register_page_bytes;

/// SMMU_IDR0.
struct Idr0 {
  bool s2p = true;            ///< 0: stage 2
  bool s1p = true;            ///< 1: stage 1
  std::uint8_t ttf = 2;       ///< 3:2: table formats; 2 is AArch64
  bool cohacc = true;         ///< 4: coherent access to tables and queues
  bool hyp = false;           ///< 9: EL2 stage 1
  bool ats = false;           ///< 10
  bool asid16 = true;         ///< 12
  bool msi = true;            ///< 13: message-signalled interrupts, those of CMD_SYNC too
  bool sev = true;            ///< 14: CMD_SYNC can wake from WFE
  bool vmid16 = true;         ///< 18
  std::uint8_t ttendian = 2;  ///< 22:21: 2 is little endian
  std::uint8_t st_level = 1;  ///< 28:27: 0 linear stream table only, 1 two-level too
  constexpr bool operator==(const Idr0&) const = default;
};
constexpr std::uint32_t encode(const Idr0& r) {
  return static_cast<std::uint32_t>(at(r.s2p, 0) | at(r.s1p, 1) | placed(r.ttf, 3, 2) | at(r.cohacc, 4) |
                                    at(r.hyp, 9) | at(r.ats, 10) | at(r.asid16, 12) | at(r.msi, 13) |
                                    at(r.sev, 14) | at(r.vmid16, 18) | placed(r.ttendian, 22, 21) |
                                    placed(r.st_level, 28, 27));
}
constexpr Idr0 decode_idr0(std::uint32_t raw) {
  return {bit(raw, 0),
          bit(raw, 1),
          static_cast<std::uint8_t>(field(raw, 3, 2)),
          bit(raw, 4),
          bit(raw, 9),
          bit(raw, 10),
          bit(raw, 12),
          bit(raw, 13),
          bit(raw, 14),
          bit(raw, 18),
          static_cast<std::uint8_t>(field(raw, 22, 21)),
          static_cast<std::uint8_t>(field(raw, 28, 27))};
}

/// SMMU_IDR1: sizes, as powers of two.
struct Idr1 {
  std::uint8_t sid_size = 16;  ///< 5:0: bits of a StreamID
  std::uint8_t ssid_size = 0;  ///< 10:6: bits of a SubstreamID
  std::uint8_t eventqs = 15;   ///< 20:16: most entries of the event queue, at most 19
  std::uint8_t cmdqs = 15;     ///< 25:21: most entries of the command queue, at most 19
  constexpr bool operator==(const Idr1&) const = default;
};
constexpr std::uint32_t encode(const Idr1& r) {
  return static_cast<std::uint32_t>(placed(r.sid_size, 5, 0) | placed(r.ssid_size, 10, 6) |
                                    placed(r.eventqs, 20, 16) | placed(r.cmdqs, 25, 21));
}
constexpr Idr1 decode_idr1(std::uint32_t raw) {
  return {static_cast<std::uint8_t>(field(raw, 5, 0)), static_cast<std::uint8_t>(field(raw, 10, 6)),
          static_cast<std::uint8_t>(field(raw, 20, 16)), static_cast<std::uint8_t>(field(raw, 25, 21))};
}

namespace idr3 {
inline constexpr std::uint32_t ril = 1u << 10;  ///< range-based invalidation and level hint
}
namespace idr5 {
inline constexpr std::uint32_t gran4k = 1u << 4;
}
/// IDR5.OAS, and IPS and S2PS alike: physical address bits by code.
constexpr unsigned address_bits(unsigned code) {
  constexpr std::uint8_t bits[] = {32, 36, 40, 42, 44, 48, 52, 52};
  return bits[code & 7];
}

namespace cr0 {
inline constexpr std::uint32_t smmuen = 1u << 0;
inline constexpr std::uint32_t priqen = 1u << 1;
inline constexpr std::uint32_t eventqen = 1u << 2;
inline constexpr std::uint32_t cmdqen = 1u << 3;
inline constexpr std::uint32_t atschk = 1u << 4;
inline constexpr std::uint32_t writable = smmuen | eventqen | cmdqen | atschk;
}  // namespace cr0

namespace gbpa {
inline constexpr std::uint32_t abort = 1u << 20;
inline constexpr std::uint32_t update = 1u << 31;  ///< reads 0 when the write has taken effect
}  // namespace gbpa

/// An error is active while its bits in GERROR and GERRORN differ: the unit toggles the one, software the other.
namespace gerror {
inline constexpr std::uint32_t cmdq_err = 1u << 0;
inline constexpr std::uint32_t eventq_abt_err = 1u << 2;
}  // namespace gerror
namespace irq_ctrl {
inline constexpr std::uint32_t gerror = 1u << 0;
inline constexpr std::uint32_t eventq = 1u << 2;
}  // namespace irq_ctrl

/// STRTAB_BASE.ADDR 51:6 (of 55:6 in SMMUv3.1, the rest is beyond any memory here).
inline constexpr std::uint64_t table_address_mask = mask(51, 6);

/// STRTAB_BASE_CFG.
struct StreamTableConfig {
  std::uint8_t log2size = 0;  ///< 5:0: StreamIDs the table holds, as a power of two
  std::uint8_t split = 8;     ///< 10:6: two-level: bits of a StreamID resolved by the second level
  bool two_level = false;     ///< 17:16 FMT
  constexpr bool operator==(const StreamTableConfig&) const = default;
};
constexpr std::uint32_t encode(const StreamTableConfig& c) {
  return static_cast<std::uint32_t>(placed(c.log2size, 5, 0) | placed(c.split, 10, 6) | at(c.two_level, 16));
}
constexpr StreamTableConfig decode_stream_table_config(std::uint32_t raw) {
  return {static_cast<std::uint8_t>(field(raw, 5, 0)), static_cast<std::uint8_t>(field(raw, 10, 6)),
          field(raw, 17, 16) == 1};
}

/// Base registers of both queues: ADDR 51:5, LOG2SIZE 4:0.
constexpr std::uint64_t queue_register(std::uint64_t base, unsigned log2_entries) {
  return (base & mask(51, 5)) | (log2_entries & 31u);
}
constexpr std::uint64_t queue_base(std::uint64_t raw) {
  return raw & mask(51, 5);
}
constexpr unsigned queue_log2(std::uint64_t raw) {
  return static_cast<unsigned>(field(raw, 4, 0));
}

/// PROD and CONS: the index with a wrap bit above it. Empty when equal; full when only the wrap bits differ.
namespace queue {
constexpr std::uint32_t index(std::uint32_t pointer, unsigned log2) {
  return pointer & ((1u << log2) - 1);
}
constexpr std::uint32_t advance(std::uint32_t pointer, std::uint32_t by, unsigned log2) {
  return (pointer + by) & ((2u << log2) - 1);
}
constexpr std::uint32_t used(std::uint32_t prod, std::uint32_t cons, unsigned log2) {
  return (prod - cons) & ((2u << log2) - 1);
}
}  // namespace queue
inline constexpr std::uint32_t queue_overflow = 1u << 31;  ///< EVENTQ_PROD.OVFLG, EVENTQ_CONS.OVACKFLG

/// CMDQ_CONS.ERR, bits 30:24.
enum class CommandError : std::uint8_t { none = 0, illegal = 1, abort = 2, atc_timeout = 3 };
constexpr std::uint32_t cons_error(CommandError e) {
  return static_cast<std::uint32_t>(e) << 24;
}
constexpr CommandError cons_error_of(std::uint32_t cons) {
  return static_cast<CommandError>(field(cons, 30, 24));
}

/// A 64-bit register by its halves, as 32-bit accesses see it.
constexpr std::uint32_t low_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
constexpr std::uint32_t high_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}
constexpr void set_half(std::uint64_t& whole, bool upper, std::uint32_t value, std::uint64_t writable) {
  const std::uint64_t kept = upper ? low_half(whole) : whole & ~std::uint64_t{0xffffffff};
  whole = (kept | std::uint64_t{value} << (upper ? 32 : 0)) & writable;
}

}  // namespace gnomon::smmuv3
