// SPDX-License-Identifier: Apache-2.0
// Data structures of Identify, 4096 bytes each. Source: NVM Express Base Specification 1.4, section 5.15.2.
// Members are named as the specification abbreviates them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace gnomon::nvme {

inline constexpr std::uint32_t identify_bytes = 4096;

/// CNS 01h.
struct IdentifyController {
  std::uint16_t vid, ssvid;
  char sn[20];  ///< ASCII, padded with spaces, not terminated; so are mn and fr
  char mn[40];
  char fr[8];
  std::uint8_t rab;  ///< log2 of the recommended arbitration burst
  std::uint8_t ieee[3];
  std::uint8_t cmic;
  std::uint8_t mdts;  ///< log2 of the largest transfer in 4 KiB pages; 0: no limit
  std::uint16_t cntlid;
  std::uint32_t ver, rtd3r, rtd3e, oaes, ctratt;
  std::uint8_t reserved_100[11];
  std::uint8_t cntrltype;  ///< 1: I/O controller
  std::uint8_t fguid[16];
  std::uint8_t reserved_128[128];
  std::uint16_t oacs;
  std::uint8_t acl, aerl, frmw, lpa, elpe, npss, avscc, apsta;
  std::uint16_t wctemp, cctemp;  ///< kelvin
  std::uint8_t reserved_270[242];
  std::uint8_t sqes, cqes;  ///< log2 of entry bytes: required in 3:0, largest in 7:4
  std::uint16_t maxcmd;     ///< commands outstanding at once in the whole controller; 0: not told
  std::uint32_t nn;         ///< highest namespace identifier
  std::uint16_t oncs, fuses;
  std::uint8_t fna, vwc;
  std::uint16_t awun, awupf;
  std::uint8_t nvscc, nwpc;
  std::uint16_t acwu, reserved_534;
  std::uint32_t sgls;
  std::uint8_t reserved_540[228];
  char subnqn[256];  ///< UTF-8, zero-terminated
  std::uint8_t reserved_1024[1024];
  std::uint8_t psd[32][32];  ///< power states; bytes 1:0 are the maximum power in centiwatts
  std::uint8_t vendor[1024];
};
static_assert(sizeof(IdentifyController) == identify_bytes && std::is_trivially_copyable_v<IdentifyController>);
static_assert(offsetof(IdentifyController, mdts) == 77 && offsetof(IdentifyController, ver) == 80);
static_assert(offsetof(IdentifyController, cntrltype) == 111 && offsetof(IdentifyController, oacs) == 256);
static_assert(offsetof(IdentifyController, sqes) == 512 && offsetof(IdentifyController, nn) == 516);
static_assert(offsetof(IdentifyController, sgls) == 536 && offsetof(IdentifyController, subnqn) == 768);
static_assert(offsetof(IdentifyController, psd) == 2048);

/// CNS 00h.
struct IdentifyNamespace {
  std::uint64_t nsze, ncap, nuse;  ///< logical blocks
  std::uint8_t nsfeat;
  std::uint8_t nlbaf;  ///< formats, minus one
  std::uint8_t flbas;  ///< format in use
  std::uint8_t mc, dpc, dps, nmic, rescap, fpi, dlfeat;
  std::uint16_t nawun, nawupf, nacwu, nabsn, nabo, nabspf, noiob;
  std::uint8_t nvmcap[16];  ///< bytes, 128-bit
  std::uint8_t unused_64[40];
  std::uint8_t nguid[16], eui64[8];
  std::uint32_t lbaf[16];  ///< metadata bytes in 15:0, log2 of block bytes in 23:16
  std::uint8_t reserved_192[3904];
};
static_assert(sizeof(IdentifyNamespace) == identify_bytes && std::is_trivially_copyable_v<IdentifyNamespace>);
static_assert(offsetof(IdentifyNamespace, noiob) == 46 && offsetof(IdentifyNamespace, nguid) == 104);
static_assert(offsetof(IdentifyNamespace, lbaf) == 128);

}  // namespace gnomon::nvme
