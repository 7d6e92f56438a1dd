// SPDX-License-Identifier: Apache-2.0
#include "models/spec/vtd/invalidation.hpp"

#include <bit>

namespace gnomon::vtd {
namespace {

enum : std::uint64_t {
  context_cache = 1,
  iotlb = 2,
  device_tlb = 3,
  interrupt_entry_cache = 4,
  wait = 5,
  pasid_iotlb = 6,
  pasid_cache = 7,
  pasid_device_tlb = 8
};

// The type is 7 bits, in two places: 11:9 and 3:0.
constexpr std::uint64_t type_of(Bits128 d) {
  return field(d.lo, 11, 9) << 4 | field(d.lo, 3, 0);
}

struct Reserved {
  std::uint64_t lo;
  std::uint64_t hi;
};
constexpr Reserved context_cache_reserved{mask(8, 6) | mask(15, 12) | mask(63, 50), mask(63, 0)};
constexpr Reserved iotlb_reserved{mask(8, 8) | mask(15, 12) | mask(63, 32), mask(11, 7)};
constexpr Reserved device_tlb_reserved{mask(8, 4) | mask(31, 21) | mask(51, 48), mask(11, 1)};
constexpr Reserved interrupt_entry_cache_reserved{mask(8, 5) | mask(26, 12) | mask(63, 48), mask(63, 0)};
constexpr Reserved wait_reserved{mask(8, 8) | mask(31, 12), mask(1, 0)};
constexpr Reserved pasid_iotlb_reserved{mask(8, 6) | mask(15, 12) | mask(63, 52), mask(11, 7)};
constexpr Reserved pasid_cache_reserved{mask(8, 6) | mask(15, 12) | mask(63, 52), mask(63, 0)};
constexpr Reserved pasid_device_tlb_reserved{0, mask(10, 1)};

constexpr bool violates(Bits128 d, Reserved r) {
  return (d.lo & r.lo) != 0 || (d.hi & r.hi) != 0;
}
constexpr bool bit(std::uint64_t word, unsigned n) {
  return field(word, n, n) != 0;
}
constexpr std::uint64_t at(bool value, unsigned n) {
  return std::uint64_t{value} << n;
}
constexpr std::uint16_t u16(std::uint64_t v) {
  return static_cast<std::uint16_t>(v);
}
constexpr std::uint8_t u8(std::uint64_t v) {
  return static_cast<std::uint8_t>(v);
}
constexpr std::uint32_t pasid_of(Bits128 d) {
  return static_cast<std::uint32_t>(field(d.lo, 51, 32));
}
constexpr std::uint64_t pasid_at(std::uint32_t pasid) {
  return std::uint64_t{pasid & 0xfffffu} << 32;
}
/// PFSID's halves lie in 15:12 and 63:52.
constexpr std::uint64_t pfsid_at(SourceId pfsid) {
  return field(pfsid.value, 3, 0) << 12 | field(pfsid.value, 15, 4) << 52;
}
constexpr SourceId pfsid_of(Bits128 d) {
  return {u16(field(d.lo, 63, 52) << 4 | field(d.lo, 15, 12))};
}

struct Encoder {
  Bits128 operator()(const ContextCacheInvalidate& d) const {
    return {context_cache | static_cast<std::uint64_t>(d.g) << 4 | std::uint64_t{d.did.value} << 16 |
                std::uint64_t{d.sid.value} << 32 | std::uint64_t{d.fm & 3u} << 48,
            0};
  }
  Bits128 operator()(const IotlbInvalidate& d) const {
    return {
        iotlb | static_cast<std::uint64_t>(d.g) << 4 | at(d.dw, 6) | at(d.dr, 7) | std::uint64_t{d.did.value} << 16,
        (d.addr.value & mask(63, 12)) | at(d.ih, 6) | (d.am & 0x3fu)};
  }
  Bits128 operator()(const DeviceTlbInvalidate& d) const {
    return {device_tlb | pfsid_at(d.pfsid) | std::uint64_t{d.mip & 0x1fu} << 16 | std::uint64_t{d.sid.value} << 32,
            (d.addr.value & mask(63, 12)) | at(d.s, 0)};
  }
  Bits128 operator()(const InterruptEntryCacheInvalidate& d) const {
    return {interrupt_entry_cache | at(d.g, 4) | std::uint64_t{d.im & 0x1fu} << 27 | std::uint64_t{d.iidx} << 32,
            0};
  }
  Bits128 operator()(const InvalidationWait& d) const {
    return {wait | at(d.if_, 4) | at(d.sw, 5) | at(d.fn, 6) | at(d.pd, 7) | std::uint64_t{d.status_data} << 32,
            d.status_address.value & mask(63, 2)};
  }
  Bits128 operator()(const PasidIotlbInvalidate& d) const {
    return {
        pasid_iotlb | static_cast<std::uint64_t>(d.g) << 4 | std::uint64_t{d.did.value} << 16 | pasid_at(d.pasid),
        (d.addr.value & mask(63, 12)) | at(d.ih, 6) | (d.am & 0x3fu)};
  }
  Bits128 operator()(const PasidCacheInvalidate& d) const {
    return {
        pasid_cache | static_cast<std::uint64_t>(d.g) << 4 | std::uint64_t{d.did.value} << 16 | pasid_at(d.pasid),
        0};
  }
  Bits128 operator()(const PasidDeviceTlbInvalidate& d) const {
    return {pasid_device_tlb | std::uint64_t{d.mip & 0x1fu} << 4 | pfsid_at(d.pfsid) |
                std::uint64_t{d.sid.value} << 16 | pasid_at(d.pasid),
            (d.addr.value & mask(63, 12)) | at(d.s, 11) | at(d.g, 0)};
  }
  Bits128 operator()(const IllegalDescriptor& d) const { return d.raw; }
};

/// The types that exist in 256 bits only.
InvalidationDescriptor decode_pasid_based(Bits128 d) {
  const auto reserved = IllegalDescriptor{QueueErrorInfo::reserved_field, d, {}};
  const auto g = field(d.lo, 5, 4);
  const DomainId did{u16(field(d.lo, 31, 16))};
  switch (type_of(d)) {
    case pasid_iotlb:
      if (violates(d, pasid_iotlb_reserved) || g < 0b10) return reserved;
      return PasidIotlbInvalidate{
          static_cast<PasidGranularity>(g), did, pasid_of(d), u8(field(d.hi, 5, 0)), bit(d.hi, 6),
          Iova{d.hi & mask(63, 12)}};
    case pasid_cache:
      if (violates(d, pasid_cache_reserved) || g == 0b10) return reserved;
      return PasidCacheInvalidate{static_cast<PasidCacheGranularity>(g), did, pasid_of(d)};
    default:
      if (violates(d, pasid_device_tlb_reserved)) return reserved;
      return PasidDeviceTlbInvalidate{
          u8(field(d.lo, 8, 4)), SourceId{u16(field(d.lo, 31, 16))}, pfsid_of(d), pasid_of(d), bit(d.hi, 0),
          bit(d.hi, 11),         Iova{d.hi & mask(63, 12)}};
  }
}

}  // namespace

InvalidationDescriptor decode_wide_invalidation_descriptor(const Bits256& raw) {
  const Bits128 lower{raw.word[0], raw.word[1]};
  const Bits128 upper{raw.word[2], raw.word[3]};
  const std::uint64_t type = type_of(lower);
  const bool pasid_based = type >= pasid_iotlb && type <= pasid_device_tlb;
  InvalidationDescriptor d = pasid_based ? decode_pasid_based(lower) : decode_invalidation_descriptor(lower);
  if (auto* illegal = std::get_if<IllegalDescriptor>(&d)) {
    illegal->upper = upper;
  } else if (upper != Bits128{}) {
    return IllegalDescriptor{QueueErrorInfo::reserved_field, lower, upper};
  }
  return d;
}

Bits256 encode_wide(const InvalidationDescriptor& descriptor) {
  const Bits128 lower = encode(descriptor);
  const auto* illegal = std::get_if<IllegalDescriptor>(&descriptor);
  const Bits128 upper = illegal != nullptr ? illegal->upper : Bits128{};
  return {{lower.lo, lower.hi, upper.lo, upper.hi}};
}

InvalidationDescriptor decode_invalidation_descriptor(Bits128 d) {
  const auto reserved = IllegalDescriptor{QueueErrorInfo::reserved_field, d, {}};
  const auto g = static_cast<Granularity>(field(d.lo, 5, 4));
  const bool g_reserved = field(d.lo, 5, 4) == 0;
  switch (type_of(d)) {
    case context_cache:
      if (violates(d, context_cache_reserved) || g_reserved) return reserved;
      return ContextCacheInvalidate{g, DomainId{u16(field(d.lo, 31, 16))}, SourceId{u16(field(d.lo, 47, 32))},
                                    u8(field(d.lo, 49, 48))};
    case iotlb:
      if (violates(d, iotlb_reserved) || g_reserved) return reserved;
      return IotlbInvalidate{g,
                             bit(d.lo, 6),
                             bit(d.lo, 7),
                             DomainId{u16(field(d.lo, 31, 16))},
                             u8(field(d.hi, 5, 0)),
                             bit(d.hi, 6),
                             Iova{d.hi & mask(63, 12)}};
    case device_tlb:
      if (violates(d, device_tlb_reserved)) return reserved;
      return DeviceTlbInvalidate{u8(field(d.lo, 20, 16)), SourceId{u16(field(d.lo, 47, 32))}, pfsid_of(d),
                                 bit(d.hi, 0), Iova{d.hi & mask(63, 12)}};
    case interrupt_entry_cache:
      if (violates(d, interrupt_entry_cache_reserved)) return reserved;
      return InterruptEntryCacheInvalidate{bit(d.lo, 4), u8(field(d.lo, 31, 27)), u16(field(d.lo, 47, 32))};
    case wait:
      if (violates(d, wait_reserved)) return reserved;
      return InvalidationWait{bit(d.lo, 4),
                              bit(d.lo, 5),
                              bit(d.lo, 6),
                              bit(d.lo, 7),
                              static_cast<std::uint32_t>(field(d.lo, 63, 32)),
                              Hpa{d.hi & mask(63, 2)}};
    default: return IllegalDescriptor{QueueErrorInfo::invalid_descriptor_type, d, {}};
  }
}

Bits128 encode(const InvalidationDescriptor& descriptor) {
  return std::visit(Encoder{}, descriptor);
}

PageBlock page_block(Iova addr, std::uint8_t am) {
  const std::uint64_t bytes = am >= 52 ? 0 : page_size << am;
  return {Iova{addr.value & (0 - bytes)}, bytes};
}

namespace {

PageBlock ats_block(Iova addr, bool s) {
  if (!s) return page_block(addr, 0);
  // ATS: the number of ones from bit 12 up is one less than log2 of the pages.
  const int ones = std::countr_one(addr.value >> page_shift);
  return page_block(addr, u8(static_cast<std::uint64_t>(ones) + 1));
}

}  // namespace

PageBlock page_block(const DeviceTlbInvalidate& d) {
  return ats_block(d.addr, d.s);
}

PageBlock page_block(const PasidDeviceTlbInvalidate& d) {
  return ats_block(d.addr, d.s);
}

}  // namespace gnomon::vtd
