// SPDX-License-Identifier: Apache-2.0
// Submission queue entries: what the host writes. Source: NVM Express Base Specification 1.4, section 4.2; admin
// commands section 5, NVM commands section 6.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace gnomon::nvme {

static_assert(std::endian::native == std::endian::little, "structures are used as they lie in memory");

/// The NVM command set, section 6.
enum class IoOpcode : std::uint8_t { flush = 0x00, write = 0x01, read = 0x02 };

/// Admin commands, section 5.
enum class AdminOpcode : std::uint8_t {
  delete_io_sq = 0x00,
  create_io_sq = 0x01,
  delete_io_cq = 0x04,
  create_io_cq = 0x05,
  identify = 0x06,
  set_features = 0x09,
  get_features = 0x0a,
};

/// Feature identifiers, section 5.21.1.
enum class Feature : std::uint8_t { arbitration = 0x01, number_of_queues = 0x07, interrupt_coalescing = 0x08 };

/// CNS of Identify, section 5.15.
enum class IdentifyPage : std::uint8_t { identify_namespace = 0x00, controller = 0x01, active_namespaces = 0x02 };

/// 64 bytes, section 4.2.
struct SubmissionEntry {
  std::uint8_t opcode = 0;
  std::uint8_t flags = 0;  ///< FUSE in bits 1:0, PSDT in 7:6; both 0 for a plain command with PRPs
  std::uint16_t cid = 0;   ///< command identifier, unique among the queue's outstanding commands
  std::uint32_t nsid = 0;
  std::uint64_t reserved = 0;
  std::uint64_t mptr = 0;  ///< metadata
  std::uint64_t prp1 = 0;
  std::uint64_t prp2 = 0;
  std::uint32_t cdw10 = 0;
  std::uint32_t cdw11 = 0;
  std::uint32_t cdw12 = 0;
  std::uint32_t cdw13 = 0;
  std::uint32_t cdw14 = 0;
  std::uint32_t cdw15 = 0;
  constexpr bool operator==(const SubmissionEntry&) const = default;
};
static_assert(sizeof(SubmissionEntry) == 64 && std::is_trivially_copyable_v<SubmissionEntry>);

/// SLBA of Read and Write, sections 6.9 and 6.15: the first logical block.
constexpr std::uint64_t starting_lba(const SubmissionEntry& e) {
  return e.cdw10 | std::uint64_t{e.cdw11} << 32;
}
/// NLB: number of logical blocks, 1 to 65536; on the wire one less.
constexpr std::uint32_t block_count(const SubmissionEntry& e) {
  return (e.cdw12 & 0xffff) + 1;
}

/// Read or Write of `blocks` (1 to 65536) logical blocks from `lba`.
constexpr SubmissionEntry io_command(IoOpcode opcode, std::uint16_t cid, std::uint64_t lba, std::uint32_t blocks,
                                     std::uint64_t prp1, std::uint64_t prp2) {
  SubmissionEntry e;
  e.opcode = static_cast<std::uint8_t>(opcode);
  e.cid = cid;
  e.nsid = 1;
  e.prp1 = prp1;
  e.prp2 = prp2;
  e.cdw10 = static_cast<std::uint32_t>(lba);
  e.cdw11 = static_cast<std::uint32_t>(lba >> 32);
  e.cdw12 = blocks - 1;
  return e;
}

/// Create I/O Completion Queue, section 5.3: `entries` 2 to 65536, physically contiguous from `base`.
constexpr SubmissionEntry create_io_cq(std::uint16_t cid, std::uint16_t queue, std::uint32_t entries,
                                       std::uint64_t base, std::uint16_t vector, bool interrupts = true) {
  SubmissionEntry e;
  e.opcode = static_cast<std::uint8_t>(AdminOpcode::create_io_cq);
  e.cid = cid;
  e.prp1 = base;
  e.cdw10 = queue | (entries - 1) << 16;
  e.cdw11 = 1u | std::uint32_t{interrupts} << 1 | std::uint32_t{vector} << 16;
  return e;
}

/// Create I/O Submission Queue, section 5.4.
constexpr SubmissionEntry create_io_sq(std::uint16_t cid, std::uint16_t queue, std::uint32_t entries,
                                       std::uint64_t base, std::uint16_t completion_queue) {
  SubmissionEntry e;
  e.opcode = static_cast<std::uint8_t>(AdminOpcode::create_io_sq);
  e.cid = cid;
  e.prp1 = base;
  e.cdw10 = queue | (entries - 1) << 16;
  e.cdw11 = 1u | std::uint32_t{completion_queue} << 16;
  return e;
}

/// Set Features, Number of Queues, section 5.21.1.7; 1 to 65535 of each.
constexpr SubmissionEntry set_number_of_queues(std::uint16_t cid, std::uint32_t submission,
                                               std::uint32_t completion) {
  SubmissionEntry e;
  e.opcode = static_cast<std::uint8_t>(AdminOpcode::set_features);
  e.cid = cid;
  e.cdw10 = static_cast<std::uint32_t>(Feature::number_of_queues);
  e.cdw11 = (submission - 1) | (completion - 1) << 16;
  return e;
}

}  // namespace gnomon::nvme
