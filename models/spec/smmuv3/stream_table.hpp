// SPDX-License-Identifier: Apache-2.0
// The stream table: entries of 512 bits, and the first level above them. Source: IHI 0070, sections 5.1 and 5.2.
#pragma once

#include <cstdint>

#include "models/spec/smmuv3/bits.hpp"

namespace gnomon::smmuv3 {

inline constexpr std::uint64_t stream_table_entry_bytes = sizeof(Bits512);

/// STE.Config. Bit 2: not aborted; bit 0: stage 1, bit 1: stage 2.
enum class StreamConfig : std::uint8_t {
  abort = 0,  ///< all of 0xx: and nothing is recorded
  bypass = 4,
  stage1 = 5,
  stage2 = 6,
  nested = 7,
};
constexpr bool has_stage1(StreamConfig c) {
  return c == StreamConfig::stage1 || c == StreamConfig::nested;
}
constexpr bool has_stage2(StreamConfig c) {
  return c == StreamConfig::stage2 || c == StreamConfig::nested;
}

struct StreamTableEntry {
  bool v = false;                             ///< 0
  StreamConfig config = StreamConfig::abort;  ///< 3:1
  std::uint8_t s1fmt = 0;                     ///< 5:4: 0 linear table of context descriptors
  std::uint64_t s1_context_ptr = 0;           ///< 51:6: with stage 2 an IPA
  std::uint8_t s1cdmax = 0;                   ///< 63:59
  std::uint8_t s1dss = 0;                     ///< 65:64
  std::uint8_t s1cir = 0;                     ///< 67:66
  std::uint8_t s1cor = 0;                     ///< 69:68
  std::uint8_t s1csh = 0;                     ///< 71:70
  bool mev = false;                           ///< 83: merge events
  bool s1stalld = false;                      ///< 91
  std::uint8_t eats = 0;                      ///< 93:92: 1 full ATS
  std::uint8_t strw = 0;                      ///< 95:94: 0 NS-EL1, 2 EL2
  std::uint8_t shcfg = 0;                     ///< 109:108
  std::uint16_t s2vmid = 0;                   ///< 143:128
  std::uint8_t s2t0sz = 0;                    ///< 165:160
  std::uint8_t s2sl0 = 0;                     ///< 167:166: 4 KiB granule: 2 begins at level 0, 1 at 1, 0 at 2
  std::uint8_t s2ir0 = 0;                     ///< 169:168
  std::uint8_t s2or0 = 0;                     ///< 171:170
  std::uint8_t s2sh0 = 0;                     ///< 173:172
  std::uint8_t s2tg = 0;                      ///< 175:174: 0 is 4 KiB
  std::uint8_t s2ps = 0;                      ///< 178:176
  bool s2aa64 = false;                        ///< 179
  bool s2endi = false;                        ///< 180
  bool s2affd = false;                        ///< 181: an access flag of 0 is no fault
  bool s2ptw = false;                         ///< 182
  bool s2s = false;                           ///< 185: stall
  bool s2r = false;                           ///< 186: record
  std::uint64_t s2ttb = 0;                    ///< 243:196, as an address 51:4
  constexpr bool operator==(const StreamTableEntry&) const = default;
};

constexpr Bits512 encode(const StreamTableEntry& e) {
  Bits512 raw;
  raw.qw[0] = at(e.v, 0) | placed(static_cast<std::uint64_t>(e.config), 3, 1) | placed(e.s1fmt, 5, 4) |
              (e.s1_context_ptr & mask(51, 6)) | placed(e.s1cdmax, 63, 59);
  raw.qw[1] = placed(e.s1dss, 1, 0) | placed(e.s1cir, 3, 2) | placed(e.s1cor, 5, 4) | placed(e.s1csh, 7, 6) |
              at(e.mev, 19) | at(e.s1stalld, 27) | placed(e.eats, 29, 28) | placed(e.strw, 31, 30) |
              placed(e.shcfg, 45, 44);
  raw.qw[2] = e.s2vmid | placed(e.s2t0sz, 37, 32) | placed(e.s2sl0, 39, 38) | placed(e.s2ir0, 41, 40) |
              placed(e.s2or0, 43, 42) | placed(e.s2sh0, 45, 44) | placed(e.s2tg, 47, 46) | placed(e.s2ps, 50, 48) |
              at(e.s2aa64, 51) | at(e.s2endi, 52) | at(e.s2affd, 53) | at(e.s2ptw, 54) | at(e.s2s, 57) |
              at(e.s2r, 58);
  raw.qw[3] = e.s2ttb & mask(51, 4);
  return raw;
}
constexpr StreamTableEntry decode_stream_table_entry(const Bits512& raw) {
  const auto small = [&](unsigned word, unsigned high, unsigned low) {
    return static_cast<std::uint8_t>(field(raw.qw[word], high, low));
  };
  StreamTableEntry e;
  e.v = bit(raw.qw[0], 0);
  const std::uint8_t config = small(0, 3, 1);
  e.config = config < 4 ? StreamConfig::abort : static_cast<StreamConfig>(config);
  e.s1fmt = small(0, 5, 4);
  e.s1_context_ptr = raw.qw[0] & mask(51, 6);
  e.s1cdmax = small(0, 63, 59);
  e.s1dss = small(1, 1, 0);
  e.s1cir = small(1, 3, 2);
  e.s1cor = small(1, 5, 4);
  e.s1csh = small(1, 7, 6);
  e.mev = bit(raw.qw[1], 19);
  e.s1stalld = bit(raw.qw[1], 27);
  e.eats = small(1, 29, 28);
  e.strw = small(1, 31, 30);
  e.shcfg = small(1, 45, 44);
  e.s2vmid = static_cast<std::uint16_t>(raw.qw[2]);
  e.s2t0sz = small(2, 37, 32);
  e.s2sl0 = small(2, 39, 38);
  e.s2ir0 = small(2, 41, 40);
  e.s2or0 = small(2, 43, 42);
  e.s2sh0 = small(2, 45, 44);
  e.s2tg = small(2, 47, 46);
  e.s2ps = small(2, 50, 48);
  e.s2aa64 = bit(raw.qw[2], 51);
  e.s2endi = bit(raw.qw[2], 52);
  e.s2affd = bit(raw.qw[2], 53);
  e.s2ptw = bit(raw.qw[2], 54);
  e.s2s = bit(raw.qw[2], 57);
  e.s2r = bit(raw.qw[2], 58);
  e.s2ttb = raw.qw[3] & mask(51, 4);
  return e;
}

/// What a guest's entry and the host's stage 2 make together: the host keeps what is not the guest's to say
/// (Linux, arm_smmu_make_nested_domain_ste, 6.13).
constexpr StreamTableEntry nested_entry(const StreamTableEntry& guest, const StreamTableEntry& host) {
  StreamTableEntry e = host;
  e.v = guest.v;
  if (!guest.v || guest.config == StreamConfig::abort) {
    e.config = StreamConfig::abort;
    return e;
  }
  e.config = has_stage1(guest.config) ? StreamConfig::nested : StreamConfig::stage2;
  e.s1fmt = guest.s1fmt;
  e.s1_context_ptr = guest.s1_context_ptr;
  e.s1cdmax = guest.s1cdmax;
  e.s1dss = guest.s1dss;
  e.s1cir = guest.s1cir;
  e.s1cor = guest.s1cor;
  e.s1csh = guest.s1csh;
  e.s1stalld = guest.s1stalld;
  e.eats = guest.eats;
  return e;
}

/// First-level descriptor: L2Ptr 51:6, Span 4:0; 2^(Span-1) entries, 0 is none.
struct StreamTableL1 {
  std::uint8_t span = 0;
  std::uint64_t l2_ptr = 0;
  constexpr bool operator==(const StreamTableL1&) const = default;
};
constexpr std::uint64_t encode(const StreamTableL1& d) {
  return placed(d.span, 4, 0) | (d.l2_ptr & mask(51, 6));
}
constexpr StreamTableL1 decode_stream_table_l1(std::uint64_t raw) {
  return {static_cast<std::uint8_t>(field(raw, 4, 0)), raw & mask(51, 6)};
}

}  // namespace gnomon::smmuv3
