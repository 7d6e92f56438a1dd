// SPDX-License-Identifier: Apache-2.0
// The device table entry: what a unit knows of one requester. Source: AMD IOMMU specification 48882 rev 3, section
// 2.2.2.1. Bits of guest translation, PPR and accessed/dirty tracking are reserved where EFR does not claim them.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/amdvi/bits.hpp"

namespace gnomon::amdvi {

/// IntCtl: fixed and arbitrated interrupts of the device.
enum class InterruptControl : std::uint8_t { target_abort = 0, forward_unmapped = 1, remapped = 2, reserved = 3 };

struct DeviceTableEntry {
  bool v = false;                ///< 0: valid; an invalid entry passes all through
  bool tv = false;               ///< 1: translation information valid
  std::uint8_t mode = 0;         ///< 11:9 paging mode: 0 no translation, 1 to 6 levels, 7 reserved
  Hpa root{};                    ///< 51:12 page table root
  bool ir = false;               ///< 61: reads permitted
  bool iw = false;               ///< 62: writes permitted
  DomainId domain{};             ///< 79:64: the tag of every cached translation
  bool i = false;                ///< 96: the device has an IOTLB (ATS)
  bool se = false;               ///< 97: log only the first page fault until this entry is fetched anew
  bool sa = false;               ///< 98: log no page fault of the device
  std::uint8_t io_ctl = 0;       ///< 100:99 port I/O
  bool cache = false;            ///< 101: ATS translations are not to be cached by the unit
  bool sd = false;               ///< 102: snoop disable
  bool ex = false;               ///< 103: the exclusion range holds
  std::uint8_t sys_mgt = 0;      ///< 105:104 system management messages
  bool iv = false;               ///< 128: interrupt map valid
  std::uint8_t int_tab_len = 0;  ///< 132:129 log2 of the interrupt table's entries
  bool ig = false;               ///< 133: do not log unmapped interrupts
  Hpa int_table_root{};          ///< 179:134, 64-byte aligned
  bool init_pass = false;        ///< 184
  bool eint_pass = false;        ///< 185
  bool nmi_pass = false;         ///< 186
  InterruptControl int_ctl = InterruptControl::target_abort;  ///< 189:188
  bool lint0_pass = false;                                    ///< 190
  bool lint1_pass = false;                                    ///< 191
  constexpr bool operator==(const DeviceTableEntry&) const = default;
};

inline constexpr std::uint64_t device_table_entry_bytes = sizeof(Bits256);
inline constexpr unsigned max_levels = 6;  ///< of a host table

constexpr Bits256 encode(const DeviceTableEntry& e) {
  Bits256 raw;
  raw.qw[0] = at(e.v, 0) | at(e.tv, 1) | placed(e.mode, 11, 9) | (e.root.value & page_address_mask) | at(e.ir, 61) |
              at(e.iw, 62);
  raw.qw[1] = e.domain.value | at(e.i, 32) | at(e.se, 33) | at(e.sa, 34) | placed(e.io_ctl, 36, 35) |
              at(e.cache, 37) | at(e.sd, 38) | at(e.ex, 39) | placed(e.sys_mgt, 41, 40);
  raw.qw[2] = at(e.iv, 0) | placed(e.int_tab_len, 4, 1) | at(e.ig, 5) | (e.int_table_root.value & mask(51, 6)) |
              at(e.init_pass, 56) | at(e.eint_pass, 57) | at(e.nmi_pass, 58) |
              placed(static_cast<std::uint64_t>(e.int_ctl), 61, 60) | at(e.lint0_pass, 62) | at(e.lint1_pass, 63);
  return raw;
}

constexpr DeviceTableEntry decode_device_table_entry(const Bits256& raw) {
  const std::uint64_t a = raw.qw[0];
  const std::uint64_t b = raw.qw[1];
  const std::uint64_t c = raw.qw[2];
  const auto u8 = [](std::uint64_t v) { return static_cast<std::uint8_t>(v); };
  DeviceTableEntry e;
  e.v = bit(a, 0);
  e.tv = bit(a, 1);
  e.mode = u8(field(a, 11, 9));
  e.root = Hpa{a & page_address_mask};
  e.ir = bit(a, 61);
  e.iw = bit(a, 62);
  e.domain = DomainId{static_cast<std::uint16_t>(b)};
  e.i = bit(b, 32);
  e.se = bit(b, 33);
  e.sa = bit(b, 34);
  e.io_ctl = u8(field(b, 36, 35));
  e.cache = bit(b, 37);
  e.sd = bit(b, 38);
  e.ex = bit(b, 39);
  e.sys_mgt = u8(field(b, 41, 40));
  e.iv = bit(c, 0);
  e.int_tab_len = u8(field(c, 4, 1));
  e.ig = bit(c, 5);
  e.int_table_root = Hpa{c & mask(51, 6)};
  e.init_pass = bit(c, 56);
  e.eint_pass = bit(c, 57);
  e.nmi_pass = bit(c, 58);
  e.int_ctl = static_cast<InterruptControl>(field(c, 61, 60));
  e.lint0_pass = bit(c, 62);
  e.lint1_pass = bit(c, 63);
  return e;
}

/// A reserved field is not zero: ILLEGAL_DEV_TABLE_ENTRY with RZ where V is set. Bits 255:246 are attributes that a
/// unit without the feature ignores.
constexpr bool device_table_entry_reserved_set(const Bits256& raw) {
  return (raw.qw[0] & (mask(8, 2) | mask(60, 52) | mask(63, 63))) != 0 ||
         (raw.qw[1] & (mask(31, 16) | mask(63, 42))) != 0 || (raw.qw[2] & (mask(55, 52) | mask(59, 59))) != 0 ||
         (raw.qw[3] & mask(53, 0)) != 0;
}

}  // namespace gnomon::amdvi
