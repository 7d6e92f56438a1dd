// SPDX-License-Identifier: Apache-2.0
// What one step of the invalidation queue did. The shell charges its time and carries out what leaves the unit.
#pragma once

#include <cstdint>
#include <variant>

#include "models/base/address.hpp"
#include "models/spec/vtd/invalidation.hpp"

namespace gnomon::iommu {

/// The queue is empty or disabled: no descriptor was read.
struct QueueIdle {};
/// FSTS.IQE, ICE or ITE is set: nothing is read until software clears it (section 6.5.2.10).
struct QueueStopped {};

/// FSTS.IQE was set by this step; the head still points at the descriptor.
struct QueueError {
  vtd::QueueErrorInfo info = vtd::QueueErrorInfo::none;
  bool fault_event = false;  ///< the fault event interrupt is to be sent
};

struct ContextCacheInvalidated {
  vtd::Granularity granularity = vtd::Granularity::global;
  DomainId domain{};  ///< unless global
  SourceId source{};  ///< device-selective only
  std::uint8_t function_mask = 0;
  std::uint32_t dropped = 0;  ///< context-cache entries
};

struct IotlbInvalidated {
  vtd::Granularity granularity = vtd::Granularity::global;
  DomainId domain{};  ///< unless global
  Iova iova{};        ///< block the descriptor covers, mask applied; the whole input space unless page-selective
  std::uint64_t bytes = 0;
  bool invalidation_hint = false;  ///< IH of a page-selective one: paging-structure caches were kept
  bool drain_reads = false;
  bool drain_writes = false;
  std::uint32_t iotlb_dropped = 0;
  std::uint32_t walk_cache_dropped = 0;
};

/// To be sent to the device; a later wait completes when the device has answered.
struct DeviceTlbInvalidation {
  SourceId source{};
  std::uint8_t max_pending = 0;
  Iova iova{};
  std::uint64_t bytes = 0;  ///< 0: the whole address space
};

struct InterruptEntriesInvalidated {
  bool global = true;
  std::uint16_t first = 0;
  std::uint32_t count = 0;  ///< entries, index-selective only
};

struct WaitReached {
  bool status_write = false;
  Hpa status_address{};
  std::uint32_t status_data = 0;
  bool fence = false;  ///< later descriptors start only after the earlier ones are complete
  bool page_request_drain = false;
  bool completion_event = false;  ///< the invalidation completion interrupt is to be sent
};

using InvalidationStep =
    std::variant<QueueIdle, QueueStopped, QueueError, ContextCacheInvalidated, IotlbInvalidated,
                 DeviceTlbInvalidation, InterruptEntriesInvalidated, WaitReached>;

}  // namespace gnomon::iommu
