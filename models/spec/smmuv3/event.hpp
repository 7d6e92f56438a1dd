// SPDX-License-Identifier: Apache-2.0
// Event records, 256 bits each: what the unit tells software of a transaction it terminated. Source: IHI 0070,
// section 7.3.
#pragma once

#include <cstdint>

#include "models/spec/smmuv3/bits.hpp"

namespace gnomon::smmuv3 {

enum class EventCode : std::uint8_t {
  c_bad_streamid = 0x02,     ///< beyond the stream table
  f_ste_fetch = 0x03,        ///< memory did not answer
  c_bad_ste = 0x04,          ///< invalid or illegal
  f_stream_disabled = 0x06,  ///< stage 1 without a substream is off (S1DSS)
  f_cd_fetch = 0x09,
  c_bad_cd = 0x0a,
  f_walk_eabt = 0x0b,  ///< a table descriptor could not be read
  f_translation = 0x10,
  f_addr_size = 0x11,
  f_access = 0x12,
  f_permission = 0x13,
};

/// What was being translated when a stage-2 fault came: the descriptor of stage 1, or the transaction's own
/// address.
enum class EventClass : std::uint8_t { cd = 0, ttd = 1, in = 2 };

struct Event {
  EventCode code{};  ///< 7:0
  StreamId sid = 0;  ///< 63:32
  // From f_walk_eabt on:
  bool read = false;                 ///< 99 RnW
  bool stage2 = false;               ///< 103 S2
  EventClass what = EventClass::in;  ///< 105:104 CLASS
  std::uint64_t input = 0;           ///< 191:128: the transaction's address
  std::uint64_t address = 0;  ///< 255:192: 51:12 the IPA of a stage-2 fault; 51:3 of a fetch the address read
  constexpr bool operator==(const Event&) const = default;
};
inline constexpr std::uint64_t event_bytes = sizeof(Bits256);

constexpr bool is_fetch(EventCode code) {
  return code == EventCode::f_ste_fetch || code == EventCode::f_cd_fetch || code == EventCode::f_walk_eabt;
}
constexpr Bits256 encode(const Event& e) {
  Bits256 raw;
  raw.qw[0] = static_cast<std::uint64_t>(e.code) | std::uint64_t{e.sid} << 32;
  raw.qw[3] = e.address & (is_fetch(e.code) ? mask(51, 3) : mask(51, 12));
  if (e.code < EventCode::f_walk_eabt) return raw;
  raw.qw[1] = at(e.read, 35) | at(e.stage2, 39) | placed(static_cast<std::uint64_t>(e.what), 41, 40);
  raw.qw[2] = e.input;
  return raw;
}
constexpr Event decode_event(const Bits256& raw) {
  Event e;
  e.code = static_cast<EventCode>(raw.qw[0] & 0xff);
  e.sid = static_cast<StreamId>(raw.qw[0] >> 32);
  e.read = bit(raw.qw[1], 35);
  e.stage2 = bit(raw.qw[1], 39);
  if (e.code >= EventCode::f_walk_eabt) e.what = static_cast<EventClass>(field(raw.qw[1], 41, 40));
  e.input = raw.qw[2];
  e.address = raw.qw[3];
  return e;
}

}  // namespace gnomon::smmuv3
