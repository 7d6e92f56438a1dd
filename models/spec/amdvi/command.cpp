// SPDX-License-Identifier: Apache-2.0
#include "models/spec/amdvi/command.hpp"

namespace gnomon::amdvi {
namespace {

constexpr std::uint64_t opcode(Opcode o) {
  return static_cast<std::uint64_t>(o) << 60;
}

struct Reserved {
  std::uint64_t lo;
  std::uint64_t hi;
};
constexpr Reserved completion_wait_reserved{mask(59, 52), 0};
constexpr Reserved device_only_reserved{mask(59, 16), mask(63, 0)};
constexpr Reserved iommu_pages_reserved{mask(31, 20) | mask(59, 48), mask(11, 3)};
constexpr Reserved iotlb_pages_reserved{0, mask(1, 1) | mask(3, 3) | mask(11, 6)};
constexpr Reserved complete_ppr_reserved{mask(31, 16) | mask(59, 52), mask(1, 0) | mask(31, 3) | mask(63, 48)};
constexpr Reserved all_reserved{mask(59, 0), mask(63, 0)};

constexpr bool violates(Bits128 c, Reserved r) {
  return (c.lo & r.lo) != 0 || (c.hi & r.hi) != 0;
}
constexpr std::uint16_t u16(std::uint64_t v) {
  return static_cast<std::uint16_t>(v);
}
constexpr std::uint8_t u8(std::uint64_t v) {
  return static_cast<std::uint8_t>(v);
}
constexpr std::uint32_t u32(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}

constexpr RangeOperand range_of(Bits128 c) {
  return {Iova{c.hi & mask(63, 12)}, bit(c.hi, 0)};
}

struct Encoder {
  Bits128 operator()(const CompletionWait& c) const {
    return {opcode(Opcode::completion_wait) | at(c.s, 0) | at(c.i, 1) | at(c.f, 2) |
                (c.store_address.value & mask(51, 3)),
            c.store_data};
  }
  Bits128 operator()(const InvalidateDevtabEntry& c) const {
    return {opcode(Opcode::invalidate_devtab_entry) | c.device.value, 0};
  }
  Bits128 operator()(const InvalidateIommuPages& c) const {
    return {opcode(Opcode::invalidate_iommu_pages) | placed(c.pasid, 19, 0) | placed(c.domain.value, 47, 32),
            c.range.raw() | at(c.pde, 1) | at(c.gn, 2)};
  }
  // The PASID is in three places: 15:8 at 23:16, 7:0 at 55:48, 19:16 at 59:56.
  Bits128 operator()(const InvalidateIotlbPages& c) const {
    return {opcode(Opcode::invalidate_iotlb_pages) | c.device.value | placed(field(c.pasid, 15, 8), 23, 16) |
                placed(c.maxpend, 31, 24) | placed(c.queue_id, 47, 32) | placed(field(c.pasid, 7, 0), 55, 48) |
                placed(field(c.pasid, 19, 16), 59, 56),
            c.range.raw() | at(c.gn, 2) | placed(c.type, 5, 4)};
  }
  Bits128 operator()(const InvalidateInterruptTable& c) const {
    return {opcode(Opcode::invalidate_interrupt_table) | c.device.value, 0};
  }
  Bits128 operator()(const CompletePprRequest& c) const {
    return {opcode(Opcode::complete_ppr_request) | c.device.value | placed(c.pasid, 51, 32),
            at(c.gn, 2) | placed(c.completion_tag, 47, 32)};
  }
  Bits128 operator()(const InvalidateIommuAll&) const { return {opcode(Opcode::invalidate_iommu_all), 0}; }
  Bits128 operator()(const IllegalCommand& c) const { return c.raw; }
};

}  // namespace

Command decode_command(Bits128 c) {
  const IllegalCommand illegal{c};
  const SourceId device{u16(field(c.lo, 15, 0))};
  switch (static_cast<Opcode>(field(c.lo, 63, 60))) {
    case Opcode::completion_wait:
      if (violates(c, completion_wait_reserved)) return illegal;
      return CompletionWait{bit(c.lo, 0), bit(c.lo, 1), bit(c.lo, 2), Hpa{c.lo & mask(51, 3)}, c.hi};
    case Opcode::invalidate_devtab_entry:
      if (violates(c, device_only_reserved)) return illegal;
      return InvalidateDevtabEntry{device};
    case Opcode::invalidate_iommu_pages:
      if (violates(c, iommu_pages_reserved)) return illegal;
      return InvalidateIommuPages{DomainId{u16(field(c.lo, 47, 32))}, range_of(c), bit(c.hi, 1), bit(c.hi, 2),
                                  u32(field(c.lo, 19, 0))};
    case Opcode::invalidate_iotlb_pages:
      if (violates(c, iotlb_pages_reserved)) return illegal;
      return InvalidateIotlbPages{device,
                                  u8(field(c.lo, 31, 24)),
                                  u16(field(c.lo, 47, 32)),
                                  range_of(c),
                                  bit(c.hi, 2),
                                  u32(field(c.lo, 59, 56) << 16 | field(c.lo, 23, 16) << 8 | field(c.lo, 55, 48)),
                                  u8(field(c.hi, 5, 4))};
    case Opcode::invalidate_interrupt_table:
      if (violates(c, device_only_reserved)) return illegal;
      return InvalidateInterruptTable{device};
    case Opcode::complete_ppr_request:
      if (violates(c, complete_ppr_reserved)) return illegal;
      return CompletePprRequest{device, bit(c.hi, 2), u32(field(c.lo, 51, 32)), u16(field(c.hi, 47, 32))};
    case Opcode::invalidate_iommu_all:
      if (violates(c, all_reserved)) return illegal;
      return InvalidateIommuAll{};
    case Opcode::prefetch_iommu_pages: break;
  }
  return illegal;
}

Bits128 encode(const Command& command) {
  return std::visit(Encoder{}, command);
}

}  // namespace gnomon::amdvi
