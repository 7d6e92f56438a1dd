// SPDX-License-Identifier: Apache-2.0
// Commands of the command queue, 128 bits each. Source: IHI 0070, chapter 4. Of the Non-secure EL1 and stage 2
// ones, those that Linux uses.
#pragma once

#include <cstdint>
#include <variant>

#include "models/base/address.hpp"
#include "models/spec/smmuv3/bits.hpp"

namespace gnomon::smmuv3 {

/// Bits 7:0.
enum class Opcode : std::uint8_t {
  cfgi_ste = 0x03,
  cfgi_ste_range = 0x04,  ///< CFGI_ALL where its range is 31
  cfgi_cd = 0x05,
  cfgi_cd_all = 0x06,
  tlbi_nh_all = 0x10,
  tlbi_nh_asid = 0x11,
  tlbi_nh_va = 0x12,
  tlbi_nh_vaa = 0x13,
  tlbi_s12_vmall = 0x28,
  tlbi_s2_ipa = 0x2a,
  tlbi_nsnh_all = 0x30,
  atc_inv = 0x40,
  cmd_sync = 0x46,
};

/// Of a command's first word; may be none of the enumerators.
constexpr Opcode opcode_of(std::uint64_t first_word) {
  return static_cast<Opcode>(field(first_word, 7, 0));
}

struct CfgiSte {
  StreamId sid = 0;   ///< 63:32
  bool leaf = false;  ///< 64: the first-level descriptor stays
  constexpr bool operator==(const CfgiSte&) const = default;
};
/// 2^(range+1) entries from `sid` on, aligned down; 31: all of them.
struct CfgiSteRange {
  StreamId sid = 0;
  std::uint8_t range = 31;  ///< 68:64
  constexpr bool operator==(const CfgiSteRange&) const = default;
};
struct CfgiCd {
  StreamId sid = 0;
  std::uint32_t ssid = 0;  ///< 31:12
  bool leaf = false;       ///< 64
  constexpr bool operator==(const CfgiCd&) const = default;
};
struct CfgiCdAll {
  StreamId sid = 0;
  constexpr bool operator==(const CfgiCdAll&) const = default;
};

struct TlbiNhAll {
  std::uint16_t vmid = 0;  ///< 47:32
  constexpr bool operator==(const TlbiNhAll&) const = default;
};
struct TlbiNhAsid {
  std::uint16_t vmid = 0;
  std::uint16_t asid = 0;  ///< 63:48
  constexpr bool operator==(const TlbiNhAsid&) const = default;
};

/// The address operand of TLBI_NH_VA and TLBI_S2_IPA.
struct TlbiRange {
  std::uint64_t address = 0;  ///< 127:76, of an IPA 115:76
  bool leaf = false;          ///< 64: cached table descriptors stay
  std::uint8_t tg = 0;        ///< 75:74: 0 one address, else a range in granules of 2^(10 + 2 tg) bytes: 1 is 4 KiB
  std::uint8_t num = 0;       ///< 16:12
  std::uint8_t scale = 0;     ///< 24:20: the range is (num + 1) << scale granules
  std::uint8_t ttl = 0;       ///< 73:72: with tg, the architecture's level of the leaves; 0 is not known
  constexpr bool operator==(const TlbiRange&) const = default;
  /// Bytes the operand covers from `address` on; one 4 KiB page where it is no range, whatever leaf lies there.
  constexpr std::uint64_t bytes() const {
    return tg == 0 ? page_size : (std::uint64_t{num} + 1) << scale << (10 + 2 * tg);
  }
};
struct TlbiNhVa {
  std::uint16_t vmid = 0;
  std::uint16_t asid = 0;
  TlbiRange range{};
  constexpr bool operator==(const TlbiNhVa&) const = default;
};
/// Whatever the ASID.
struct TlbiNhVaa {
  std::uint16_t vmid = 0;
  TlbiRange range{};
  constexpr bool operator==(const TlbiNhVaa&) const = default;
};
/// Stage 1 and stage 2 of a VMID.
struct TlbiS12Vmall {
  std::uint16_t vmid = 0;
  constexpr bool operator==(const TlbiS12Vmall&) const = default;
};
/// Stage 2 by intermediate address; what combines both stages stays.
struct TlbiS2Ipa {
  std::uint16_t vmid = 0;
  TlbiRange range{};
  constexpr bool operator==(const TlbiS2Ipa&) const = default;
};
/// All Non-secure translations but EL2's.
struct TlbiNsnhAll {
  constexpr bool operator==(const TlbiNsnhAll&) const = default;
};

/// To a device's own TLB. 2^(12 + size) bytes, aligned; 52: everything.
struct AtcInv {
  StreamId sid = 0;           ///< 63:32
  bool ssv = false;           ///< 11
  std::uint32_t ssid = 0;     ///< 31:12
  bool global = false;        ///< 9
  std::uint64_t address = 0;  ///< 127:76
  std::uint8_t size = 0;      ///< 69:64
  constexpr bool operator==(const AtcInv&) const = default;
};
inline constexpr std::uint8_t atc_inv_all = 52;

/// CMD_SYNC.CS, bits 13:12: how completion is told, beside CONS.
enum class SyncSignal : std::uint8_t { none = 0, irq = 1, sev = 2 };
struct CmdSync {
  SyncSignal cs = SyncSignal::none;
  std::uint8_t msh = 0;           ///< 23:22
  std::uint8_t msi_attr = 0;      ///< 27:24
  std::uint32_t msi_data = 0;     ///< 63:32
  std::uint64_t msi_address = 0;  ///< 115:66; 0: the wired interrupt
  constexpr bool operator==(const CmdSync&) const = default;
};

/// CERROR_ILL. Reserved bits elsewhere are ignored.
struct IllegalCommand {
  Bits128 raw{};
  constexpr bool operator==(const IllegalCommand&) const = default;
};

using Command = std::variant<CfgiSte, CfgiSteRange, CfgiCd, CfgiCdAll, TlbiNhAll, TlbiNhAsid, TlbiNhVa, TlbiNhVaa,
                             TlbiS12Vmall, TlbiS2Ipa, TlbiNsnhAll, AtcInv, CmdSync, IllegalCommand>;

inline constexpr std::uint64_t command_bytes = sizeof(Bits128);

Command decode_command(const Bits128& raw);
Bits128 encode(const Command& command);

}  // namespace gnomon::smmuv3
