// SPDX-License-Identifier: Apache-2.0
// The context descriptor: stage 1 of a stream. Source: IHI 0070, section 5.4.
#pragma once

#include <cstdint>

#include "models/spec/smmuv3/bits.hpp"

namespace gnomon::smmuv3 {

inline constexpr std::uint64_t context_descriptor_bytes = sizeof(Bits512);

struct ContextDescriptor {
  std::uint8_t t0sz = 0;   ///< 5:0: input bits are 64 less this
  std::uint8_t tg0 = 0;    ///< 7:6: 0 is 4 KiB
  std::uint8_t ir0 = 0;    ///< 9:8
  std::uint8_t or0 = 0;    ///< 11:10
  std::uint8_t sh0 = 0;    ///< 13:12
  bool epd0 = false;       ///< 14: no walk through TTB0
  bool endi = false;       ///< 15
  bool epd1 = false;       ///< 30: no walk through TTB1
  bool v = false;          ///< 31
  std::uint8_t ips = 0;    ///< 34:32
  bool affd = false;       ///< 35: an access flag of 0 is no fault
  bool tbi0 = false;       ///< 38
  bool aa64 = false;       ///< 41
  bool s = false;          ///< 44: stall
  bool r = false;          ///< 45: record
  bool a = false;          ///< 46: abort instead of read-as-zero
  bool aset = false;       ///< 47: ASID not shared with processors
  std::uint16_t asid = 0;  ///< 63:48
  bool hpd0 = false;       ///< 64: attributes of table entries are ignored
  std::uint64_t ttb0 = 0;  ///< 115:68, as an address 51:4
  std::uint64_t mair = 0;  ///< 255:192
  constexpr bool operator==(const ContextDescriptor&) const = default;
};

constexpr Bits512 encode(const ContextDescriptor& c) {
  Bits512 raw;
  raw.qw[0] = placed(c.t0sz, 5, 0) | placed(c.tg0, 7, 6) | placed(c.ir0, 9, 8) | placed(c.or0, 11, 10) |
              placed(c.sh0, 13, 12) | at(c.epd0, 14) | at(c.endi, 15) | at(c.epd1, 30) | at(c.v, 31) |
              placed(c.ips, 34, 32) | at(c.affd, 35) | at(c.tbi0, 38) | at(c.aa64, 41) | at(c.s, 44) | at(c.r, 45) |
              at(c.a, 46) | at(c.aset, 47) | placed(c.asid, 63, 48);
  raw.qw[1] = at(c.hpd0, 0) | (c.ttb0 & mask(51, 4));
  raw.qw[3] = c.mair;
  return raw;
}
constexpr ContextDescriptor decode_context_descriptor(const Bits512& raw) {
  const std::uint64_t w = raw.qw[0];
  const auto small = [&](unsigned high, unsigned low) { return static_cast<std::uint8_t>(field(w, high, low)); };
  ContextDescriptor c;
  c.t0sz = small(5, 0);
  c.tg0 = small(7, 6);
  c.ir0 = small(9, 8);
  c.or0 = small(11, 10);
  c.sh0 = small(13, 12);
  c.epd0 = bit(w, 14);
  c.endi = bit(w, 15);
  c.epd1 = bit(w, 30);
  c.v = bit(w, 31);
  c.ips = small(34, 32);
  c.affd = bit(w, 35);
  c.tbi0 = bit(w, 38);
  c.aa64 = bit(w, 41);
  c.s = bit(w, 44);
  c.r = bit(w, 45);
  c.a = bit(w, 46);
  c.aset = bit(w, 47);
  c.asid = static_cast<std::uint16_t>(field(w, 63, 48));
  c.hpd0 = bit(raw.qw[1], 0);
  c.ttb0 = raw.qw[1] & mask(51, 4);
  c.mair = raw.qw[3];
  return c;
}

}  // namespace gnomon::smmuv3
