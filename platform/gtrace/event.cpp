// SPDX-License-Identifier: Apache-2.0
// Names and meanings.
#include "platform/gtrace/event.hpp"

#include <utility>

namespace gnomon::gtrace {
namespace {

struct Said {
  std::string_view name, meaning;
};

constexpr std::array<Said, event_kinds> said{{
    {"map", "a DMA mapping came to be, with its physical runs"},
    {"unmap", "a DMA mapping went"},
    {"io_queue", "a request reached the block layer"},
    {"io_submit", "a request went to the device; in a QEMU log, the device fetched it"},
    {"io_complete", "the completion of a request was seen"},
    {"attach", "a device joined a domain"},
    {"detach", "a device left its domain"},
    {"command", "one entry of an IOMMU's command queue, as it was encoded"},
    {"invalidation", "an invalidation as QEMU understood it"},
    {"wait", "a completion wait: address and value of its status write"},
    {"map_request", "a MAP request of virtio-iommu"},
    {"unmap_request", "an UNMAP request of virtio-iommu"},
    {"register_access", "an access to a register of the emulated IOMMU"},
    {"kick", "the emulated IOMMU was told of new commands: a tail write, or a virtqueue notification"},
    {"doorbell", "a write to an NVMe doorbell: sq or cq, and the new tail or head"},
    {"interrupt", "the device raised an interrupt"},
    {"vm_exit", "a vCPU left the guest"},
    {"vm_entry", "a vCPU entered the guest"},
    {"mmio", "an access to emulated device memory"},
    {"mark", "an event kept by its name: when it happened, nothing else"},
}};

}  // namespace

std::string_view name_of(EventKind kind) {
  return said[static_cast<std::size_t>(kind)].name;
}

std::string_view meaning_of(EventKind kind) {
  return said[static_cast<std::size_t>(kind)].meaning;
}

std::string_view name_of(Direction direction) {
  constexpr std::array<std::string_view, directions> names{"unknown", "to_device", "from_device", "bidirectional",
                                                           "none"};
  return names[static_cast<std::size_t>(direction)];
}

std::string_view name_of(Operation operation) {
  constexpr std::array<std::string_view, operations> names{"unknown", "read", "write", "flush", "trim", "other"};
  return names[static_cast<std::size_t>(operation)];
}

void clear(Event& event) {
  auto runs = std::move(event.runs);
  runs.clear();
  event = Event{};
  event.runs = std::move(runs);
}

}  // namespace gnomon::gtrace
