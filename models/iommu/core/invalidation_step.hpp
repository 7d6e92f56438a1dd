// SPDX-License-Identifier: Apache-2.0
// What one step of an IOMMU's command queue did, whatever its maker. The shell charges its time and carries out
// what leaves the unit.
#pragma once

#include <cstdint>
#include <type_traits>
#include <variant>

#include "models/base/address.hpp"
#include "models/iommu/core/pasid.hpp"

namespace gnomon::iommu {

/// What an invalidation selects.
enum class Granularity : std::uint8_t { global, domain, device, pages, pasid };

/// A number of the unit's own specification: a fault reason, an event code, an error of its queue.
struct UnitCode {
  std::uint16_t value = 0;
  constexpr UnitCode() = default;
  template <class Enum>
  requires std::is_enum_v<Enum>
  constexpr UnitCode(Enum code) : value(static_cast<std::uint16_t>(code)) {}
  template <class Enum>
  requires std::is_enum_v<Enum>
  constexpr bool operator==(Enum code) const { return value == static_cast<std::uint16_t>(code); }
};

/// The queue is empty or disabled: no descriptor was read.
struct QueueIdle {};
/// An error stopped the queue: nothing is read until software clears it.
struct QueueStopped {};

/// This step met a command it cannot execute and stopped the queue; the head still points at it.
struct QueueError {
  UnitCode info;
  bool fault_event = false;  ///< the fault event interrupt is to be sent
};

/// Context entries (VT-d), device table entries (AMD-Vi), stream table entries (SMMUv3).
struct ContextCacheInvalidated {
  Granularity granularity = Granularity::global;
  DomainId domain{};  ///< unless global
  SourceId source{};  ///< device-selective only
  std::uint8_t function_mask = 0;
  std::uint32_t dropped = 0;  ///< context-cache entries
};

struct IotlbInvalidated {
  Granularity granularity = Granularity::global;
  DomainId domain{};  ///< unless global
  Iova iova{};        ///< block the descriptor covers, mask applied; the whole input space unless page-selective
  std::uint64_t bytes = 0;
  bool invalidation_hint = false;  ///< leaves only: the paging-structure caches were kept
  bool drain_reads = false;
  bool drain_writes = false;
  std::uint32_t iotlb_dropped = 0;
  std::uint32_t walk_cache_dropped = 0;
  Pasid pasid = no_pasid;  ///< of a PASID-based invalidation: only what is tagged with it
};

/// To be sent to the device; a later wait completes when the device has answered.
struct DeviceTlbInvalidation {
  SourceId source{};
  std::uint8_t max_pending = 0;
  Iova iova{};
  std::uint64_t bytes = 0;  ///< 0: the whole address space
  Pasid pasid = no_pasid;   ///< of a PASID-based invalidation
  bool all_pasids = false;
};

/// PASID table entries (VT-d scalable mode).
struct PasidCacheInvalidated {
  Granularity granularity = Granularity::global;  ///< global, domain or pasid
  DomainId domain{};                              ///< unless global
  Pasid pasid = no_pasid;                         ///< PASID-selective only
  std::uint32_t dropped = 0;
};

struct InterruptEntriesInvalidated {
  bool global = true;
  std::uint16_t first = 0;
  std::uint32_t count = 0;  ///< entries, index-selective only
};

struct WaitReached {
  bool status_write = false;
  Hpa status_address{};
  std::uint64_t status_data = 0;
  bool fence = false;  ///< later descriptors start only after the earlier ones are complete
  bool page_request_drain = false;
  bool completion_event = false;  ///< the invalidation completion interrupt is to be sent
  std::uint8_t status_bytes = 4;  ///< of status_data
};

using InvalidationStep =
    std::variant<QueueIdle, QueueStopped, QueueError, ContextCacheInvalidated, IotlbInvalidated,
                 DeviceTlbInvalidation, InterruptEntriesInvalidated, WaitReached, PasidCacheInvalidated>;

}  // namespace gnomon::iommu
