// SPDX-License-Identifier: Apache-2.0
// Commands of 128 bits. Decoding is total: what hardware would refuse is an IllegalCommand. Source: AMD IOMMU
// specification 48882 rev 3, section 2.4. Field names are the specification's.
#pragma once

#include <bit>
#include <cstdint>
#include <variant>

#include "models/base/address.hpp"
#include "models/spec/amdvi/bits.hpp"

namespace gnomon::amdvi {

/// Bits 63:60. PREFETCH_IOMMU_PAGES is illegal in units without PreFSup, as all modelled ones are.
enum class Opcode : std::uint8_t {
  completion_wait = 1,
  invalidate_devtab_entry = 2,
  invalidate_iommu_pages = 3,
  invalidate_iotlb_pages = 4,
  invalidate_interrupt_table = 5,
  prefetch_iommu_pages = 6,
  complete_ppr_request = 7,
  invalidate_iommu_all = 8,
};

/// The address operand of an invalidation. S clear: the page. S set: the lowest zero at or above bit 12, bit k,
/// says that 2^(k+1) bytes are meant, naturally aligned; no zero, or bit 63: everything.
struct RangeOperand {
  Iova address{};  ///< 63:12
  bool s = false;
  constexpr bool operator==(const RangeOperand&) const = default;
  constexpr std::uint64_t raw() const { return (address.value & mask(63, 12)) | at(s, 0); }
};
inline constexpr RangeOperand every_page{Iova{0x7fff'ffff'ffff'f000}, true};

/// What an operand covers.
struct CoveredRange {
  Iova base{};
  std::uint64_t bytes = 0;  ///< a power of two; 0 is the whole address space
  constexpr bool operator==(const CoveredRange&) const = default;
  constexpr bool everything() const { return bytes == 0; }
};

/// The smallest operand that covers [iova, iova + bytes), bytes > 0 and no wrap: often far more, as blocks are
/// aligned ({255, 256} is 512 pages). Blocks above 2^52 become every_page, as in Linux (build_inv_address, v5.15
/// on).
constexpr RangeOperand encode_range(Iova iova, std::uint64_t bytes) {
  const std::uint64_t last = iova.value + (bytes - 1);
  if (iova.page() == last >> page_shift) return {Iova::from_page(iova.page()), false};
  const auto differs = static_cast<unsigned>(std::bit_width(iova.value ^ last)) - 1;  // 0 in iova, 1 in last
  if (differs > 51) return every_page;
  return {Iova{(iova.value | ((std::uint64_t{1} << differs) - 1)) & mask(63, 12)}, true};
}

constexpr CoveredRange decode_range(RangeOperand operand) {
  if (!operand.s) return {Iova::from_page(operand.address.page()), page_size};
  const auto lowest_zero = static_cast<unsigned>(std::countr_one(operand.address.value | (page_size - 1)));
  if (lowest_zero >= 63) return {};
  const std::uint64_t bytes = std::uint64_t{2} << lowest_zero;
  return {Iova{operand.address.value & ~(bytes - 1)}, bytes};
}

/// Completes when all earlier commands are. Section 2.4.1.
struct CompletionWait {
  bool s = false;       ///< store store_data to store_address
  bool i = false;       ///< interrupt: ComWaitInt
  bool f = false;       ///< flush queue: later commands start only afterwards
  Hpa store_address{};  ///< 51:3
  std::uint64_t store_data = 0;
  constexpr bool operator==(const CompletionWait&) const = default;
};

struct InvalidateDevtabEntry {
  SourceId device{};
  constexpr bool operator==(const InvalidateDevtabEntry&) const = default;
};

/// Section 2.4.3. PASID means something with GN only.
struct InvalidateIommuPages {
  DomainId domain{};
  RangeOperand range{};
  bool pde = false;  ///< directory entries of the range too
  bool gn = false;   ///< guest translations of `pasid` instead of host ones
  std::uint32_t pasid = 0;
  constexpr bool operator==(const InvalidateIommuPages&) const = default;
};

/// To a device's own IOTLB (ATS). Section 2.4.4.
struct InvalidateIotlbPages {
  SourceId device{};
  std::uint8_t maxpend = 0;    ///< invalidations the device may have pending
  std::uint16_t queue_id = 0;  ///< requests with equal ids are limited together
  RangeOperand range{};
  bool gn = false;
  std::uint32_t pasid = 0;
  std::uint8_t type = 0;  ///< 2 bits
  constexpr bool operator==(const InvalidateIotlbPages&) const = default;
};

struct InvalidateInterruptTable {
  SourceId device{};
  constexpr bool operator==(const InvalidateInterruptTable&) const = default;
};

struct CompletePprRequest {
  SourceId device{};
  bool gn = false;
  std::uint32_t pasid = 0;
  std::uint16_t completion_tag = 0;  ///< with the response code in 15:12
  constexpr bool operator==(const CompletePprRequest&) const = default;
};

/// Every cached entry of the unit; legal with EFR.IASup. Section 2.4.8.
struct InvalidateIommuAll {
  constexpr bool operator==(const InvalidateIommuAll&) const = default;
};

/// Unknown opcode or a reserved bit set: ILLEGAL_COMMAND_ERROR, and the unit stops fetching.
struct IllegalCommand {
  Bits128 raw{};
  constexpr bool operator==(const IllegalCommand&) const = default;
};

using Command = std::variant<CompletionWait, InvalidateDevtabEntry, InvalidateIommuPages, InvalidateIotlbPages,
                             InvalidateInterruptTable, CompletePprRequest, InvalidateIommuAll, IllegalCommand>;

inline constexpr std::uint64_t command_bytes = sizeof(Bits128);

Command decode_command(Bits128 raw);
Bits128 encode(const Command& command);

}  // namespace gnomon::amdvi
