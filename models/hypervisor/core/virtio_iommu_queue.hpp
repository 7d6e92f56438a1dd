// SPDX-License-Identifier: Apache-2.0
// Serves virtio-iommu's request queue: from a chain in guest memory to an executed request and its answer.
#pragma once

#include <cstdint>
#include <optional>

#include "models/hypervisor/core/virtio_iommu_device.hpp"
#include "models/hypervisor/core/virtqueue_device.hpp"
#include "models/spec/virtio_iommu/requests.hpp"

namespace gnomon::hypervisor {

struct ServedRequest {
  virtio_iommu::Request request;
  VirtioIommuOutcome outcome;
  std::uint32_t written = 0;           ///< used length: 0 if not answered
  std::uint32_t descriptors_read = 0;  ///< from guest memory
};

/// Takes the next request, executes it, writes properties and tail into the writable part, gives the chain back.
/// Empty: nothing available, or queue.error(); a chain without room for a tail, or without a head, is one
/// (bad_request_frame). Whether to interrupt is the caller's to ask.
std::optional<ServedRequest> serve_request(VirtqueueDevice& queue, VirtioIommuDevice& iommu);

/// Reports a fault on the event queue. False: no buffer, the event is dropped (5.13.6.9).
bool report_fault(VirtqueueDevice& event_queue, const virtio_iommu::Fault& fault);

}  // namespace gnomon::hypervisor
