// SPDX-License-Identifier: Apache-2.0
// CAP and ECAP: what a remapping unit says it can do. Source: Intel VT-d specification rev 4.1,
// sections 11.4.2, 11.4.3. Every field holds the register's raw value; fields of what is not modelled read as zero.
#pragma once

#include <cstdint>

#include "models/spec/vtd/bits128.hpp"

namespace gnomon::vtd {

struct Capability {
  std::uint8_t nd = 6;     ///< domains: 4 + 2 * ND bits of domain id
  bool rwbf = false;       ///< required write-buffer flushing
  bool cm = false;         ///< caching mode: not-present entries may be cached (virtual units)
  std::uint8_t sagaw = 0;  ///< bit 1: 39-bit, bit 2: 48-bit, bit 3: 57-bit tables
  std::uint8_t mgaw = 0;   ///< maximum guest address width, minus one
  bool zlr = false;        ///< zero-length reads of write-only pages succeed
  std::uint16_t fro = 0;   ///< fault records at 16 * FRO
  std::uint8_t sslps = 0;  ///< bit 0: 2 MiB, bit 1: 1 GiB second-stage pages
  bool psi = false;        ///< page-selective invalidation
  std::uint8_t nfr = 0;    ///< fault records, minus one
  std::uint8_t mamv = 0;   ///< largest AM of a page-selective invalidation
  bool dwd = false;        ///< drains writes
  bool drd = false;        ///< drains reads
  bool fs1gp = false;      ///< 1 GiB first-stage pages
  bool fs5lp = false;      ///< 5-level first-stage tables
  constexpr bool operator==(const Capability&) const = default;
};

constexpr std::uint64_t encode(const Capability& c) {
  return (c.nd & 7u) | std::uint64_t{c.rwbf} << 4 | std::uint64_t{c.cm} << 7 | std::uint64_t{c.sagaw & 0x1fu} << 8 |
         std::uint64_t{c.mgaw & 0x3fu} << 16 | std::uint64_t{c.zlr} << 22 | std::uint64_t{c.fro & 0x3ffu} << 24 |
         std::uint64_t{c.sslps & 0xfu} << 34 | std::uint64_t{c.psi} << 39 | std::uint64_t{c.nfr} << 40 |
         std::uint64_t{c.mamv & 0x3fu} << 48 | std::uint64_t{c.dwd} << 54 | std::uint64_t{c.drd} << 55 |
         std::uint64_t{c.fs1gp} << 56 | std::uint64_t{c.fs5lp} << 60;
}

constexpr Capability decode_capability(std::uint64_t raw) {
  const auto u8 = [&](unsigned high, unsigned low) { return static_cast<std::uint8_t>(field(raw, high, low)); };
  const auto bit = [&](unsigned n) { return field(raw, n, n) != 0; };
  return {u8(2, 0),
          bit(4),
          bit(7),
          u8(12, 8),
          u8(21, 16),
          bit(22),
          static_cast<std::uint16_t>(field(raw, 33, 24)),
          u8(37, 34),
          bit(39),
          u8(47, 40),
          u8(53, 48),
          bit(54),
          bit(55),
          bit(56),
          bit(60)};
}

struct ExtendedCapability {
  bool c = false;         ///< page-walk coherency: the unit snoops processor caches
  bool qi = false;        ///< queued invalidation
  bool dt = false;        ///< device-TLB
  bool ir = false;        ///< interrupt remapping
  bool pt = false;        ///< pass-through translation type
  bool sc = false;        ///< snoop control: SNP of a leaf is not reserved
  std::uint16_t iro = 0;  ///< IOTLB registers at 16 * IRO
  std::uint8_t mhmv = 0;  ///< largest IM of an interrupt-entry-cache invalidation
  bool nest = false;      ///< nested translation
  bool srs = false;       ///< supervisor requests
  bool eafs = false;      ///< extended-accessed flag
  std::uint8_t pss = 0;   ///< PASID size: PSS + 1 bits
  bool pasid = false;     ///< requests with PASID
  bool smts = false;      ///< scalable-mode translation
  bool ssts = false;      ///< second-stage translation in scalable mode
  bool fsts = false;      ///< first-stage translation in scalable mode
  bool smpwcs = false;    ///< page-walk coherency in scalable mode
  bool rps = false;       ///< RID_PASID of a context entry; 0 stands for PASID 0
  constexpr bool operator==(const ExtendedCapability&) const = default;
};

constexpr std::uint64_t encode(const ExtendedCapability& e) {
  return std::uint64_t{e.c} | std::uint64_t{e.qi} << 1 | std::uint64_t{e.dt} << 2 | std::uint64_t{e.ir} << 3 |
         std::uint64_t{e.pt} << 6 | std::uint64_t{e.sc} << 7 | std::uint64_t{e.iro & 0x3ffu} << 8 |
         std::uint64_t{e.mhmv & 0xfu} << 20 | std::uint64_t{e.nest} << 26 | std::uint64_t{e.srs} << 31 |
         std::uint64_t{e.eafs} << 34 | std::uint64_t{e.pss & 0x1fu} << 35 | std::uint64_t{e.pasid} << 40 |
         std::uint64_t{e.smts} << 43 | std::uint64_t{e.ssts} << 46 | std::uint64_t{e.fsts} << 47 |
         std::uint64_t{e.smpwcs} << 48 | std::uint64_t{e.rps} << 49;
}

constexpr ExtendedCapability decode_extended_capability(std::uint64_t raw) {
  const auto bit = [&](unsigned n) { return field(raw, n, n) != 0; };
  return {bit(0),
          bit(1),
          bit(2),
          bit(3),
          bit(6),
          bit(7),
          static_cast<std::uint16_t>(field(raw, 17, 8)),
          static_cast<std::uint8_t>(field(raw, 23, 20)),
          bit(26),
          bit(31),
          bit(34),
          static_cast<std::uint8_t>(field(raw, 39, 35)),
          bit(40),
          bit(43),
          bit(46),
          bit(47),
          bit(48),
          bit(49)};
}

}  // namespace gnomon::vtd
