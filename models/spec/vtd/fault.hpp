// SPDX-License-Identifier: Apache-2.0
// Non-recoverable faults: reason codes and the fault recording register.
// Source: Intel VT-d specification rev 4.1, chapter 7, appendix A, and the register FRCD of chapter 11.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"

namespace gnomon::vtd {

/// Fault reasons of DMA remapping, of requests without PASID (section 7.1.3, appendix A).
enum class FaultReason : std::uint8_t {
  root_entry_not_present = 0x01,
  context_entry_not_present = 0x02,
  context_entry_invalid = 0x03,  ///< reserved TT, unsupported AW
  address_beyond_mgaw = 0x04,    ///< above the domain's or the hardware's address width
  write_not_permitted = 0x05,
  read_not_permitted = 0x06,
  paging_entry_inaccessible = 0x07,
  root_table_inaccessible = 0x08,
  context_table_inaccessible = 0x09,
  root_entry_reserved = 0x0a,
  context_entry_reserved = 0x0b,
  paging_entry_reserved = 0x0c,
  request_blocked_by_tt = 0x0d,  ///< ATS request where TT does not allow it
  // Scalable mode; behind each its name in the specification's tables.
  root_table_address_invalid = 0x30,       ///< SRTA.1: translation table mode of RTADDR not supported
  scalable_root_inaccessible = 0x38,       ///< SRT.1
  scalable_root_not_present = 0x39,        ///< SRT.2
  scalable_root_reserved = 0x3a,           ///< SRT.3
  scalable_context_inaccessible = 0x40,    ///< SCT.1
  scalable_context_not_present = 0x41,     ///< SCT.2
  scalable_context_reserved = 0x42,        ///< SCT.3
  scalable_context_invalid = 0x43,         ///< SCT.4
  rid_pasid_invalid = 0x48,                ///< SCT.9: RID_PASID beyond the directory, or wider than hardware has
  pasid_directory_inaccessible = 0x50,     ///< SPD.1
  pasid_directory_not_present = 0x51,      ///< SPD.2
  pasid_directory_reserved = 0x52,         ///< SPD.3
  pasid_entry_inaccessible = 0x58,         ///< SPT.1
  pasid_entry_not_present = 0x59,          ///< SPT.2
  pasid_entry_reserved = 0x5a,             ///< SPT.3
  pasid_entry_invalid = 0x5b,              ///< SPT.4: PGTT, AW or FSPM that hardware does not have
  supervisor_not_enabled = 0x5d,           ///< SPT.6: SRE is 0
  first_stage_inaccessible = 0x70,         ///< SFS.1
  first_stage_not_present = 0x71,          ///< SFS.2
  first_stage_reserved = 0x72,             ///< SFS.3
  first_stage_root_inaccessible = 0x73,    ///< SFS.4: the table FSPTPTR points to
  first_stage_table_beyond_width = 0x74,   ///< SFS.5: nested, a table's address beyond the second stage's width
  first_stage_root_not_readable = 0x75,    ///< SFS.6: nested, the second stage denies the table FSPTPTR points to
  first_stage_table_not_readable = 0x76,   ///< SFS.7: or another table
  first_stage_table_not_writable = 0x77,   ///< SFS.8: or to set the accessed and dirty bits in one
  second_stage_inaccessible = 0x78,        ///< SSS.1
  second_stage_not_present = 0x79,         ///< SSS.2: neither R nor W
  second_stage_reserved = 0x7a,            ///< SSS.3
  second_stage_root_inaccessible = 0x7b,   ///< SSS.4: the table SSPTPTR points to
  address_not_canonical = 0x80,            ///< SGN.1
  user_not_permitted = 0x81,               ///< SGN.2: U/S is 0 for a request of user privilege
  scalable_address_beyond_mgaw = 0x83,     ///< SGN.4
  first_stage_output_beyond_width = 0x84,  ///< SGN.5: nested, the page's address beyond the second stage's width
  scalable_write_not_permitted = 0x85,     ///< SGN.6
  scalable_read_not_permitted = 0x86,      ///< SGN.7
  output_in_interrupt_range = 0x87,        ///< SGN.8: what it translates to is FEEx_xxxxh
  accessed_update_failed = 0x91,           ///< SFS.10: memory did not take an accessed or dirty bit
};

/// A qualified fault is found at or after the context entry; FPD of that entry, and in scalable mode of the PASID
/// directory and table entries, keeps it from being recorded.
constexpr bool is_qualified(FaultReason reason) {
  switch (reason) {
    case FaultReason::root_entry_not_present:
    case FaultReason::root_table_inaccessible:
    case FaultReason::context_table_inaccessible:
    case FaultReason::root_entry_reserved:
    case FaultReason::root_table_address_invalid:
    case FaultReason::scalable_root_inaccessible:
    case FaultReason::scalable_root_not_present:
    case FaultReason::scalable_root_reserved:
    case FaultReason::scalable_context_inaccessible:
    case FaultReason::pasid_directory_inaccessible:
    case FaultReason::pasid_entry_inaccessible: return false;
    default: return true;
  }
}

/// T1 (bit 126) and T2 (bit 92) of a fault record, as T1:T2.
enum class RequestType : std::uint8_t { write = 0b00, page_request = 0b01, read = 0b10, atomic_op = 0b11 };

/// One fault recording register. Field names are the specification's.
struct FaultRecord {
  Iova fi{};            ///< fault information: page of the faulted address
  SourceId sid{};       ///< requester
  std::uint8_t fr = 0;  ///< a FaultReason, or a code of another mode
  RequestType type = RequestType::write;
  std::uint8_t at = 0;   ///< address type field of the request, 2 bits
  bool pp = false;       ///< PASID present
  std::uint32_t pv = 0;  ///< PASID value, 20 bits
  bool exe = false;      ///< execute permission requested
  bool priv = false;     ///< privileged mode requested
  bool f = false;        ///< fault: the register holds a record
  constexpr bool operator==(const FaultRecord&) const = default;
};

constexpr Bits128 encode(const FaultRecord& r) {
  const auto t = static_cast<std::uint64_t>(r.type);
  return {r.fi.value & mask(63, 12),
          std::uint64_t{r.sid.value} | (t & 1) << 28 | std::uint64_t{r.priv} << 29 | std::uint64_t{r.exe} << 30 |
              std::uint64_t{r.pp} << 31 | std::uint64_t{r.fr} << 32 | std::uint64_t{r.pv & 0xfffffu} << 40 |
              std::uint64_t{r.at & 3u} << 60 | (t >> 1) << 62 | std::uint64_t{r.f} << 63};
}

constexpr FaultRecord decode_fault_record(Bits128 raw) {
  const auto bit = [&](unsigned n) { return field(raw.hi, n, n) != 0; };
  FaultRecord r;
  r.fi = Iova{raw.lo & mask(63, 12)};
  r.sid = SourceId{static_cast<std::uint16_t>(field(raw.hi, 15, 0))};
  r.fr = static_cast<std::uint8_t>(field(raw.hi, 39, 32));
  r.type = static_cast<RequestType>(field(raw.hi, 62, 62) << 1 | field(raw.hi, 28, 28));
  r.at = static_cast<std::uint8_t>(field(raw.hi, 61, 60));
  r.pp = bit(31);
  r.pv = static_cast<std::uint32_t>(field(raw.hi, 59, 40));
  r.exe = bit(30);
  r.priv = bit(29);
  r.f = bit(63);
  return r;
}

}  // namespace gnomon::vtd
