// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/virtio_iommu_queue.hpp"

#include <algorithm>
#include <array>

namespace gnomon::hypervisor {

using virtio_iommu::Tail;

namespace {

constexpr std::size_t max_properties = 512;

// Bytes of the writable part in front of the tail. A property list the driver made too short is passed on as such:
// the device answers INVAL.
std::size_t property_bytes(const VirtqueueDevice::Chain& chain, const virtio_iommu::Request& request,
                           const VirtioIommuDevice& iommu) {
  if (!std::holds_alternative<virtio_iommu::Probe>(request)) return 0;
  const std::uint64_t room = chain.writable_bytes - sizeof(Tail);
  return static_cast<std::size_t>(std::min<std::uint64_t>(room, iommu.config_space().probe_size));
}

}  // namespace

std::optional<ServedRequest> serve_request(VirtqueueDevice& queue, VirtioIommuDevice& iommu) {
  const auto* chain = queue.pop();
  if (chain == nullptr) return std::nullopt;
  if (chain->readable_bytes < sizeof(virtio_iommu::Head) || chain->writable_bytes < sizeof(Tail)) {
    queue.fail(QueueError::bad_request_frame);
    return std::nullopt;
  }
  std::array<std::byte, virtio_iommu::max_readable_bytes> bytes;
  const auto length = static_cast<std::size_t>(queue.read(*chain, 0, bytes));
  ServedRequest served{virtio_iommu::decode(std::span(bytes).first(length)), {}, 0, chain->descriptors_read};

  std::array<std::byte, max_properties> buffer{};  // zeroes are an empty property list
  const auto properties = std::span(buffer).first(property_bytes(*chain, served.request, iommu));
  served.outcome = iommu.execute(served.request, properties);
  if (served.outcome.answered) {
    const Tail tail{served.outcome.status, {}};
    queue.write(*chain, 0, properties);
    queue.write(*chain, properties.size(), std::as_bytes(std::span(&tail, 1)));
    served.written = static_cast<std::uint32_t>(properties.size() + sizeof(Tail));
  }
  if (served.outcome.given_back) queue.push(chain->head, served.written);
  return served;
}

bool report_fault(VirtqueueDevice& event_queue, const virtio_iommu::Fault& fault) {
  const auto* chain = event_queue.pop();
  if (chain == nullptr) return false;
  if (chain->writable_bytes < sizeof(fault)) {
    event_queue.fail(QueueError::bad_request_frame);
    return false;
  }
  event_queue.write(*chain, 0, std::as_bytes(std::span(&fault, 1)));
  event_queue.push(chain->head, sizeof(fault));
  return true;
}

}  // namespace gnomon::hypervisor
