// SPDX-License-Identifier: Apache-2.0
// Register offsets and fields of a remapping unit. Source: Intel VT-d specification rev 4.1, section 11.4.
#pragma once

#include <cstdint>

#include "models/spec/vtd/bits128.hpp"

namespace gnomon::vtd {

/// Byte offsets in the register page. The fault records are at 16 * CAP.FRO.
namespace reg {
inline constexpr std::uint32_t ver = 0x00;      // 32 bits
inline constexpr std::uint32_t cap = 0x08;      // 64
inline constexpr std::uint32_t ecap = 0x10;     // 64
inline constexpr std::uint32_t gcmd = 0x18;     // 32, write only
inline constexpr std::uint32_t gsts = 0x1c;     // 32, read only
inline constexpr std::uint32_t rtaddr = 0x20;   // 64
inline constexpr std::uint32_t fsts = 0x34;     // 32
inline constexpr std::uint32_t fectl = 0x38;    // 32
inline constexpr std::uint32_t fedata = 0x3c;   // 32
inline constexpr std::uint32_t feaddr = 0x40;   // 32
inline constexpr std::uint32_t feuaddr = 0x44;  // 32
inline constexpr std::uint32_t iqh = 0x80;      // 64, read only
inline constexpr std::uint32_t iqt = 0x88;      // 64
inline constexpr std::uint32_t iqa = 0x90;      // 64
inline constexpr std::uint32_t ics = 0x9c;      // 32
inline constexpr std::uint32_t iectl = 0xa0;    // 32
inline constexpr std::uint32_t iedata = 0xa4;   // 32
inline constexpr std::uint32_t ieaddr = 0xa8;   // 32
inline constexpr std::uint32_t ieuaddr = 0xac;  // 32
inline constexpr std::uint32_t iqercd = 0xb0;   // 64, read only
inline constexpr std::uint32_t irta = 0xb8;     // 64
inline constexpr std::uint32_t frcd = 0x200;    // where this model puts the fault records: CAP.FRO = 20h
}  // namespace reg

/// GCMD (commands) and GSTS (their status) share bit positions.
namespace gcmd {
inline constexpr std::uint32_t te = 1u << 31;     ///< translation enable
inline constexpr std::uint32_t srtp = 1u << 30;   ///< set root table pointer (one shot)
inline constexpr std::uint32_t wbf = 1u << 27;    ///< write buffer flush (one shot)
inline constexpr std::uint32_t qie = 1u << 26;    ///< queued invalidation enable
inline constexpr std::uint32_t ire = 1u << 25;    ///< interrupt remapping enable
inline constexpr std::uint32_t sirtp = 1u << 24;  ///< set interrupt remap table pointer (one shot)
inline constexpr std::uint32_t cfi = 1u << 23;    ///< compatibility format interrupts
}  // namespace gcmd

/// FSTS. All but PPF and FRI are cleared by writing 1; PPF follows the F fields of the records.
namespace fsts {
inline constexpr std::uint32_t pfo = 1u << 0;  ///< primary fault overflow
inline constexpr std::uint32_t ppf = 1u << 1;  ///< primary pending fault
inline constexpr std::uint32_t iqe = 1u << 4;  ///< invalidation queue error
inline constexpr std::uint32_t ice = 1u << 5;  ///< invalidation completion error
inline constexpr std::uint32_t ite = 1u << 6;  ///< invalidation time-out error
inline constexpr unsigned fri_shift = 8;       ///< fault record index, 8 bits
}  // namespace fsts

/// FECTL and IECTL.
namespace event_control {
inline constexpr std::uint32_t im = 1u << 31;  ///< interrupt mask
inline constexpr std::uint32_t ip = 1u << 30;  ///< interrupt pending, read only
}  // namespace event_control

inline constexpr std::uint32_t ics_iwc =
    1u << 0;  ///< ICS: invalidation wait descriptor complete, cleared by writing 1

/// IQA: base 63:12, DW bit 11 (256-bit descriptors), QS 2:0. The queue is 2^QS pages.
constexpr std::uint64_t queue_bytes(std::uint64_t iqa) {
  return std::uint64_t{4096} << field(iqa, 2, 0);
}
inline constexpr std::uint64_t iqa_dw = 1u << 11;
inline constexpr std::uint64_t queue_offset_mask = mask(18, 4);  ///< IQH.QH and IQT.QT for 128-bit descriptors
inline constexpr std::uint64_t iqt_misaligned = 1u << 4;         ///< of IQT: reserved for 256-bit descriptors

/// IQERCD.IQEI: why FSTS.IQE is set.
enum class QueueErrorInfo : std::uint8_t {
  none = 0,
  invalid_tail = 1,
  fetch_error = 2,
  invalid_descriptor_type = 3,
  reserved_field = 4,
  invalid_descriptor_width = 5,  ///< DW is 1 without ECAP.SMTS
  tail_not_aligned = 6,          ///< bit 4 of IQT was written as 1 with 256-bit descriptors
};

/// RTADDR.TTM, bits 11:10.
enum class TranslationTableMode : std::uint8_t {
  legacy = 0b00,
  scalable = 0b01,
  reserved = 0b10,
  abort_dma = 0b11
};
constexpr TranslationTableMode ttm_of(std::uint64_t rtaddr) {
  return static_cast<TranslationTableMode>(field(rtaddr, 11, 10));
}

}  // namespace gnomon::vtd
