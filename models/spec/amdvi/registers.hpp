// SPDX-License-Identifier: Apache-2.0
// MMIO registers of a unit, all of 64 bits. Source: AMD IOMMU specification 48882 rev 3, section 3.4.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/amdvi/bits.hpp"

namespace gnomon::amdvi {

/// Byte offsets in the register space.
namespace reg {
inline constexpr std::uint32_t device_table = 0x0000;
inline constexpr std::uint32_t command_buffer = 0x0008;
inline constexpr std::uint32_t event_log = 0x0010;
inline constexpr std::uint32_t control = 0x0018;
inline constexpr std::uint32_t exclusion_base = 0x0020;
inline constexpr std::uint32_t exclusion_limit = 0x0028;
inline constexpr std::uint32_t extended_features = 0x0030;  // read only
inline constexpr std::uint32_t command_head = 0x2000;
inline constexpr std::uint32_t command_tail = 0x2008;
inline constexpr std::uint32_t event_head = 0x2010;
inline constexpr std::uint32_t event_tail = 0x2018;
inline constexpr std::uint32_t status = 0x2020;
}  // namespace reg
inline constexpr std::uint32_t register_space_bytes = 0x4000;

namespace control {
inline constexpr std::uint64_t iommu_en = 1u << 0;      ///< IommuEn: translate
inline constexpr std::uint64_t ht_tun_en = 1u << 1;     ///< HtTunEn
inline constexpr std::uint64_t event_log_en = 1u << 2;  ///< EventLogEn
inline constexpr std::uint64_t event_int_en = 1u << 3;  ///< EventIntEn: interrupt on EventLogInt or EventOverflow
inline constexpr std::uint64_t com_wait_int_en = 1u << 4;  ///< ComWaitIntEn
inline constexpr std::uint64_t pass_pw = 1u << 8;          ///< PassPW
inline constexpr std::uint64_t res_pass_pw = 1u << 9;      ///< ResPassPW
inline constexpr std::uint64_t coherent = 1u << 10;        ///< Coherent: table reads snoop
inline constexpr std::uint64_t isoc = 1u << 11;            ///< Isoc
inline constexpr std::uint64_t cmd_buf_en = 1u << 12;      ///< CmdBufEn: fetch commands
}  // namespace control

namespace status {
inline constexpr std::uint64_t event_overflow = 1u << 0;  ///< EventOverflow, cleared by writing 1
inline constexpr std::uint64_t event_log_int = 1u << 1;   ///< EventLogInt, cleared by writing 1
inline constexpr std::uint64_t com_wait_int = 1u << 2;    ///< ComWaitInt, cleared by writing 1
inline constexpr std::uint64_t event_log_run = 1u << 3;   ///< EventLogRun, read only
inline constexpr std::uint64_t cmd_buf_run = 1u << 4;     ///< CmdBufRun, read only
inline constexpr std::uint64_t write_1_to_clear = event_overflow | event_log_int | com_wait_int;
}  // namespace status

/// Device table base: DevTabBase 51:12, Size 8:0 in pages, minus one. 128 entries a page, at most 65536.
inline constexpr std::uint64_t device_table_writable = page_address_mask | mask(8, 0);
constexpr Hpa device_table_base(std::uint64_t raw) {
  return {raw & page_address_mask};
}
constexpr std::uint64_t device_table_bytes(std::uint64_t raw) {
  return (field(raw, 8, 0) + 1) * page_size;
}
constexpr std::uint64_t device_table_register(Hpa base, std::uint64_t bytes) {
  return (base.value & page_address_mask) | ((bytes / page_size - 1) & mask(8, 0));
}

/// Command buffer base and event log base: base 51:12, log2 of the entries 59:56; entries of 16 bytes.
/// Lengths below 8 (256 entries, one page) are reserved.
inline constexpr std::uint64_t ring_writable = page_address_mask | mask(59, 56);
inline constexpr std::uint64_t ring_entry_bytes = sizeof(Bits128);
inline constexpr unsigned shortest_ring = 8;  ///< ComLen and EventLen
constexpr Hpa ring_base(std::uint64_t raw) {
  return {raw & page_address_mask};
}
constexpr bool ring_length_reserved(std::uint64_t raw) {
  return field(raw, 59, 56) < shortest_ring;
}
constexpr std::uint64_t ring_bytes(std::uint64_t raw) {
  return ring_entry_bytes << field(raw, 59, 56);
}
/// `log2_entries`: 8 to 15. Linux takes 9, 512 entries in 8 KiB.
constexpr std::uint64_t ring_register(Hpa base, unsigned log2_entries) {
  return (base.value & page_address_mask) | placed(log2_entries, 59, 56);
}
inline constexpr std::uint64_t ring_pointer_mask = mask(18, 4);  ///< head and tail: byte offsets in the ring

}  // namespace gnomon::amdvi
