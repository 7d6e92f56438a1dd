// SPDX-License-Identifier: Apache-2.0
// Queued-invalidation descriptors of 128 and of 256 bits. Decoding is total: what hardware would refuse is an
// IllegalDescriptor. Source: Intel VT-d specification rev 4.1, section 6.5.2. Field names are the specification's.
#pragma once

#include <cstdint>
#include <variant>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"
#include "models/spec/vtd/registers.hpp"
#include "models/spec/vtd/scalable_tables.hpp"

namespace gnomon::vtd {

/// G of context-cache and IOTLB descriptors. 00b is reserved.
enum class Granularity : std::uint8_t {
  global = 0b01,
  domain = 0b10,
  device_or_page = 0b11,  ///< device-selective (context cache), page-selective-within-domain (IOTLB)
};

/// Section 6.5.2.1.
struct ContextCacheInvalidate {
  Granularity g = Granularity::global;
  DomainId did{};
  SourceId sid{};
  std::uint8_t fm = 0;  ///< function mask, 2 bits: how many of SID's bits 2:0, from bit 2 down, are not compared
  constexpr bool operator==(const ContextCacheInvalidate&) const = default;
};

/// Section 6.5.2.3. ADDR, AM and IH mean something only when page-selective.
struct IotlbInvalidate {
  Granularity g = Granularity::global;
  bool dw = false;  ///< drain writes
  bool dr = false;  ///< drain reads
  DomainId did{};
  std::uint8_t am = 0;  ///< address mask, 6 bits: 2^AM pages, the low AM bits of the page number are ignored
  bool ih = false;      ///< invalidation hint: no non-leaf entry was modified
  Iova addr{};          ///< page aligned
  constexpr bool operator==(const IotlbInvalidate&) const = default;
};

/// Section 6.5.2.5.
struct DeviceTlbInvalidate {
  std::uint8_t mip = 0;  ///< maximum invalidations pending, 5 bits
  SourceId sid{};
  SourceId pfsid{};  ///< physical function whose invalidations are throttled together
  bool s = false;    ///< more than a page: the lowest zero bit of ADDR from bit 12 up gives the size
  Iova addr{};
  constexpr bool operator==(const DeviceTlbInvalidate&) const = default;
};

/// Section 6.5.2.7.
struct InterruptEntryCacheInvalidate {
  bool g = false;       ///< false: global, true: index-selective
  std::uint8_t im = 0;  ///< index mask, 5 bits
  std::uint16_t iidx = 0;
  constexpr bool operator==(const InterruptEntryCacheInvalidate&) const = default;
};

/// Section 6.5.2.8.
struct InvalidationWait {
  bool if_ = false;  ///< interrupt flag: completion event
  bool sw = false;   ///< status write
  bool fn = false;   ///< fence
  bool pd = false;   ///< page-request drain
  std::uint32_t status_data = 0;
  Hpa status_address{};  ///< dword aligned
  constexpr bool operator==(const InvalidationWait&) const = default;
};

/// Section 6.5.2.4: first-stage and nested translations. 256 bits. 00b and 01b are reserved.
enum class PasidGranularity : std::uint8_t { pasid = 0b10, pages = 0b11 };
struct PasidIotlbInvalidate {
  PasidGranularity g = PasidGranularity::pasid;
  DomainId did{};
  std::uint32_t pasid = 0;  ///< 20 bits
  std::uint8_t am = 0;      ///< address mask, as of IotlbInvalidate
  bool ih = false;          ///< invalidation hint
  Iova addr{};              ///< page aligned
  constexpr bool operator==(const PasidIotlbInvalidate&) const = default;
};

/// Section 6.5.2.2. 256 bits. 10b is reserved.
enum class PasidCacheGranularity : std::uint8_t { domain = 0b00, pasid = 0b01, global = 0b11 };
struct PasidCacheInvalidate {
  PasidCacheGranularity g = PasidCacheGranularity::global;
  DomainId did{};
  std::uint32_t pasid = 0;  ///< 20 bits
  constexpr bool operator==(const PasidCacheInvalidate&) const = default;
};

/// Section 6.5.2.6. 256 bits.
struct PasidDeviceTlbInvalidate {
  std::uint8_t mip = 0;  ///< maximum invalidations pending, 5 bits
  SourceId sid{};
  SourceId pfsid{};
  std::uint32_t pasid = 0;  ///< 20 bits
  bool g = false;           ///< of all PASIDs
  bool s = false;           ///< more than a page, as of DeviceTlbInvalidate
  Iova addr{};
  constexpr bool operator==(const PasidDeviceTlbInvalidate&) const = default;
};

/// Sets FSTS.IQE (section 6.5.2.10).
struct IllegalDescriptor {
  QueueErrorInfo reason = QueueErrorInfo::invalid_descriptor_type;
  Bits128 raw{};
  Bits128 upper{};  ///< bits 255:128 where it is so wide
  constexpr bool operator==(const IllegalDescriptor&) const = default;
};

using InvalidationDescriptor = std::variant<ContextCacheInvalidate, IotlbInvalidate, DeviceTlbInvalidate,
                                            InterruptEntryCacheInvalidate, InvalidationWait, PasidIotlbInvalidate,
                                            PasidCacheInvalidate, PasidDeviceTlbInvalidate, IllegalDescriptor>;

inline constexpr std::uint64_t descriptor_bytes = sizeof(Bits128);
inline constexpr std::uint64_t wide_descriptor_bytes = sizeof(Bits256);

/// Any 128 bits. Types that need 256-bit descriptors (PASID-based ones) are illegal in this width.
InvalidationDescriptor decode_invalidation_descriptor(Bits128 raw);
/// Bits 127:0: all of a 128-bit descriptor.
Bits128 encode(const InvalidationDescriptor& descriptor);

/// Any 256 bits, IQA.DW = 1. Every type is legal in this width; bits 255:128 are reserved in all.
InvalidationDescriptor decode_wide_invalidation_descriptor(const Bits256& raw);
Bits256 encode_wide(const InvalidationDescriptor& descriptor);

/// The block of pages an invalidation covers.
struct PageBlock {
  Iova base{};
  std::uint64_t bytes = page_size;
  constexpr bool operator==(const PageBlock&) const = default;
};

/// 2^am pages around `addr`, naturally aligned. Requires am <= 51; a block that is the whole space has 0 bytes
/// at 52.
PageBlock page_block(Iova addr, std::uint8_t am);
PageBlock page_block(const DeviceTlbInvalidate& d);
PageBlock page_block(const PasidDeviceTlbInvalidate& d);

}  // namespace gnomon::vtd
