// SPDX-License-Identifier: Apache-2.0
// Queued-invalidation descriptors of 128 bits. Decoding is total: what hardware would refuse is an
// IllegalDescriptor. Source: Intel VT-d specification rev 4.1, section 6.5.2. Field names are the specification's.
#pragma once

#include <cstdint>
#include <variant>

#include "models/base/address.hpp"
#include "models/spec/vtd/bits128.hpp"
#include "models/spec/vtd/registers.hpp"

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

/// Sets FSTS.IQE (section 6.5.2.10).
struct IllegalDescriptor {
  QueueErrorInfo reason = QueueErrorInfo::invalid_descriptor_type;
  Bits128 raw{};
  constexpr bool operator==(const IllegalDescriptor&) const = default;
};

using InvalidationDescriptor = std::variant<ContextCacheInvalidate, IotlbInvalidate, DeviceTlbInvalidate,
                                            InterruptEntryCacheInvalidate, InvalidationWait, IllegalDescriptor>;

inline constexpr std::uint64_t descriptor_bytes = sizeof(Bits128);

/// Any 128 bits. Types that need 256-bit descriptors (PASID-based ones) are illegal in this width.
InvalidationDescriptor decode_invalidation_descriptor(Bits128 raw);
Bits128 encode(const InvalidationDescriptor& descriptor);

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

}  // namespace gnomon::vtd
