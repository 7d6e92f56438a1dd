// SPDX-License-Identifier: Apache-2.0
#include "models/spec/smmuv3/command.hpp"

namespace gnomon::smmuv3 {
namespace {

constexpr std::uint64_t opcode(Opcode op) {
  return static_cast<std::uint64_t>(op);
}
constexpr std::uint64_t sid_field(StreamId sid) {
  return std::uint64_t{sid} << 32;
}
constexpr std::uint64_t vmid_field(std::uint16_t vmid) {
  return std::uint64_t{vmid} << 32;
}
constexpr std::uint64_t asid_field(std::uint16_t asid) {
  return std::uint64_t{asid} << 48;
}

Bits128 with_range(std::uint64_t low, const TlbiRange& r, std::uint64_t address_mask) {
  return {{low | placed(r.num, 16, 12) | placed(r.scale, 24, 20),
           at(r.leaf, 0) | placed(r.ttl, 9, 8) | placed(r.tg, 11, 10) | (r.address & address_mask)}};
}
TlbiRange range_of(const Bits128& raw, std::uint64_t address_mask) {
  TlbiRange r;
  r.address = raw.qw[1] & address_mask;
  r.leaf = bit(raw.qw[1], 0);
  r.ttl = static_cast<std::uint8_t>(field(raw.qw[1], 9, 8));
  r.tg = static_cast<std::uint8_t>(field(raw.qw[1], 11, 10));
  r.num = static_cast<std::uint8_t>(field(raw.qw[0], 16, 12));
  r.scale = static_cast<std::uint8_t>(field(raw.qw[0], 24, 20));
  return r;
}
/// A range of one granule at an unknown level is reserved (IHI 0070, section 4.4.1.1).
bool reserved(const TlbiRange& r) {
  return r.tg != 0 && r.num == 0 && r.scale == 0 && r.ttl == 0;
}

constexpr std::uint64_t va_mask = mask(63, 12);
constexpr std::uint64_t ipa_mask = mask(51, 12);
constexpr std::uint64_t msi_address_mask = mask(51, 2);

struct Encoder {
  Bits128 operator()(const CfgiSte& c) const {
    return {{opcode(Opcode::cfgi_ste) | sid_field(c.sid), at(c.leaf, 0)}};
  }
  Bits128 operator()(const CfgiSteRange& c) const {
    return {{opcode(Opcode::cfgi_ste_range) | sid_field(c.sid), placed(c.range, 4, 0)}};
  }
  Bits128 operator()(const CfgiCd& c) const {
    return {{opcode(Opcode::cfgi_cd) | placed(c.ssid, 31, 12) | sid_field(c.sid), at(c.leaf, 0)}};
  }
  Bits128 operator()(const CfgiCdAll& c) const { return {{opcode(Opcode::cfgi_cd_all) | sid_field(c.sid), 0}}; }
  Bits128 operator()(const TlbiNhAll& c) const { return {{opcode(Opcode::tlbi_nh_all) | vmid_field(c.vmid), 0}}; }
  Bits128 operator()(const TlbiNhAsid& c) const {
    return {{opcode(Opcode::tlbi_nh_asid) | vmid_field(c.vmid) | asid_field(c.asid), 0}};
  }
  Bits128 operator()(const TlbiNhVa& c) const {
    return with_range(opcode(Opcode::tlbi_nh_va) | vmid_field(c.vmid) | asid_field(c.asid), c.range, va_mask);
  }
  Bits128 operator()(const TlbiNhVaa& c) const {
    return with_range(opcode(Opcode::tlbi_nh_vaa) | vmid_field(c.vmid), c.range, va_mask);
  }
  Bits128 operator()(const TlbiS12Vmall& c) const {
    return {{opcode(Opcode::tlbi_s12_vmall) | vmid_field(c.vmid), 0}};
  }
  Bits128 operator()(const TlbiS2Ipa& c) const {
    return with_range(opcode(Opcode::tlbi_s2_ipa) | vmid_field(c.vmid), c.range, ipa_mask);
  }
  Bits128 operator()(const TlbiNsnhAll&) const { return {{opcode(Opcode::tlbi_nsnh_all), 0}}; }
  Bits128 operator()(const AtcInv& c) const {
    return {{opcode(Opcode::atc_inv) | at(c.global, 9) | at(c.ssv, 11) | placed(c.ssid, 31, 12) | sid_field(c.sid),
             placed(c.size, 5, 0) | (c.address & va_mask)}};
  }
  Bits128 operator()(const CmdSync& c) const {
    return {{opcode(Opcode::cmd_sync) | placed(static_cast<std::uint64_t>(c.cs), 13, 12) | placed(c.msh, 23, 22) |
                 placed(c.msi_attr, 27, 24) | std::uint64_t{c.msi_data} << 32,
             c.msi_address & msi_address_mask}};
  }
  Bits128 operator()(const IllegalCommand& c) const { return c.raw; }
};

Command decode_sync(const Bits128& raw) {
  const std::uint64_t cs = field(raw.qw[0], 13, 12);
  if (cs == 3) return IllegalCommand{raw};
  CmdSync c;
  c.cs = static_cast<SyncSignal>(cs);
  c.msh = static_cast<std::uint8_t>(field(raw.qw[0], 23, 22));
  c.msi_attr = static_cast<std::uint8_t>(field(raw.qw[0], 27, 24));
  c.msi_data = static_cast<std::uint32_t>(raw.qw[0] >> 32);
  c.msi_address = raw.qw[1] & msi_address_mask;
  return c;
}

}  // namespace

Command decode_command(const Bits128& raw) {
  if (bit(raw.qw[0], 10)) return IllegalCommand{raw};  // SSec in the Non-secure queue
  const auto sid = static_cast<StreamId>(raw.qw[0] >> 32);
  const auto ssid = static_cast<std::uint32_t>(field(raw.qw[0], 31, 12));
  const auto vmid = static_cast<std::uint16_t>(raw.qw[0] >> 32);
  const auto asid = static_cast<std::uint16_t>(raw.qw[0] >> 48);
  const bool leaf = bit(raw.qw[1], 0);
  switch (static_cast<Opcode>(raw.qw[0] & 0xff)) {
    case Opcode::cfgi_ste: return CfgiSte{sid, leaf};
    case Opcode::cfgi_ste_range: return CfgiSteRange{sid, static_cast<std::uint8_t>(field(raw.qw[1], 4, 0))};
    case Opcode::cfgi_cd: return CfgiCd{sid, ssid, leaf};
    case Opcode::cfgi_cd_all: return CfgiCdAll{sid};
    case Opcode::tlbi_nh_all: return TlbiNhAll{vmid};
    case Opcode::tlbi_nh_asid: return TlbiNhAsid{vmid, asid};
    case Opcode::tlbi_nh_va: {
      const TlbiNhVa c{vmid, asid, range_of(raw, va_mask)};
      return reserved(c.range) ? Command{IllegalCommand{raw}} : Command{c};
    }
    case Opcode::tlbi_nh_vaa: {
      const TlbiNhVaa c{vmid, range_of(raw, va_mask)};
      return reserved(c.range) ? Command{IllegalCommand{raw}} : Command{c};
    }
    case Opcode::tlbi_s12_vmall: return TlbiS12Vmall{vmid};
    case Opcode::tlbi_s2_ipa: {
      const TlbiS2Ipa c{vmid, range_of(raw, ipa_mask)};
      return reserved(c.range) ? Command{IllegalCommand{raw}} : Command{c};
    }
    case Opcode::tlbi_nsnh_all: return TlbiNsnhAll{};
    case Opcode::atc_inv:
      return AtcInv{sid,
                    bit(raw.qw[0], 11),
                    ssid,
                    bit(raw.qw[0], 9),
                    raw.qw[1] & va_mask,
                    static_cast<std::uint8_t>(field(raw.qw[1], 5, 0))};
    case Opcode::cmd_sync: return decode_sync(raw);
  }
  return IllegalCommand{raw};
}

Bits128 encode(const Command& command) {
  return std::visit(Encoder{}, command);
}

}  // namespace gnomon::smmuv3
