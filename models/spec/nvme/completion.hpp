// SPDX-License-Identifier: Apache-2.0
// Completion queue entries and status codes: what the controller answers. Source: NVM Express Base
// Specification 1.4, section 4.6.
#pragma once

#include <cstdint>
#include <type_traits>

namespace gnomon::nvme {

/// Status code type (bits 10:8) and status code (bits 7:0), section 4.6.1.
enum class Status : std::uint16_t {
  // generic, type 0
  success = 0x000,
  invalid_opcode = 0x001,
  invalid_field = 0x002,
  data_transfer_error = 0x004,
  invalid_namespace = 0x00b,
  command_sequence_error = 0x00c,
  prp_offset_invalid = 0x013,
  lba_out_of_range = 0x080,
  // command specific, type 1
  completion_queue_invalid = 0x100,
  invalid_queue_identifier = 0x101,
  invalid_queue_size = 0x102,
  invalid_interrupt_vector = 0x108,
  invalid_queue_deletion = 0x10c,
};

/// 16 bytes, section 4.6.
struct CompletionEntry {
  std::uint32_t result = 0;  ///< DW0, command specific
  std::uint32_t reserved = 0;
  std::uint16_t sq_head = 0;  ///< entries before it are the host's again
  std::uint16_t sq_id = 0;
  std::uint16_t cid = 0;
  std::uint16_t status = 0;  ///< bit 0 phase, 8:1 code, 11:9 type, 14 more, 15 do not retry
  constexpr bool operator==(const CompletionEntry&) const = default;
};
static_assert(sizeof(CompletionEntry) == 16 && std::is_trivially_copyable_v<CompletionEntry>);

/// DW3 bits 31:16.
constexpr std::uint16_t encode_status(Status status, bool do_not_retry, bool phase) {
  return static_cast<std::uint16_t>(std::uint32_t{phase} | static_cast<std::uint32_t>(status) << 1 |
                                    std::uint32_t{do_not_retry} << 15);
}
/// The phase tag: an entry is new when it differs from the last pass's. The first pass writes 1.
constexpr bool phase_of(const CompletionEntry& e) {
  return (e.status & 1) != 0;
}
constexpr Status status_of(const CompletionEntry& e) {
  return static_cast<Status>((e.status >> 1) & 0x7ff);
}
constexpr bool do_not_retry(const CompletionEntry& e) {
  return (e.status >> 15) != 0;
}

}  // namespace gnomon::nvme
