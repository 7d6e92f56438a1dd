// SPDX-License-Identifier: Apache-2.0
#include "guest/virtio_iommu/driver.hpp"

#include <cerrno>

namespace gnomon::guest {

virtio_iommu::Map ViommuDomain::map_request(const Interval<Mapping>& mapping) const {
  virtio_iommu::Map request;
  request.domain = id_;
  request.virt_start = mapping.first;
  request.virt_end = mapping.last;
  request.phys_start = mapping.payload.gpa.value;
  request.flags = mapping.payload.flags;
  return request;
}

int ViommuDomain::attach(Cpu& cpu, std::uint32_t endpoint) {
  virtio_iommu::Attach request;
  request.domain = id_;
  request.endpoint = endpoint;
  const RequestNote note{id_, {}, {}, 0, trace::RequestType::attach};
  if (const int error = queue_.send_sync(cpu, request, note, [](Cpu&) {}); error != 0) return error;
  if (endpoints_++ > 0) return 0;
  for (const auto& mapping : mappings_) {
    const RequestNote replay{id_, {mapping.first}, mapping.payload.gpa, mapping.bytes(), trace::RequestType::map};
    if (const int error = queue_.send_sync(cpu, map_request(mapping), replay, [](Cpu&) {}); error != 0) return error;
  }
  return 0;
}

IommuDriver::MapOutcome ViommuDomain::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  const std::uint64_t bytes = pages.bytes();
  const std::uint64_t last = iova.value + bytes - 1;
  if (mappings_.first_overlap(iova.value, last) != nullptr) return {EEXIST, 0};
  const std::uint32_t flags =
      (access.read ? virtio_iommu::map_read : 0) | (access.write ? virtio_iommu::map_write : 0);
  cpu.work(cpu.costs().viommu_tree);
  auto* mapping = mappings_.insert(iova.value, last, {gpa, flags});

  const auto added = [&](Cpu& c) {
    c.emit(trace::MappingAdded{iova.value, gpa.value, bytes, id_, c.id(), access.read, access.write});
  };
  if (endpoints_ == 0) {  // the first attach will replay it
    added(cpu);
    return {0, bytes};
  }
  const RequestNote note{id_, iova, gpa, bytes, trace::RequestType::map};
  if (behaviour_.sync_map) {
    queue_.add(cpu, map_request(*mapping), note, added);
    return {0, bytes};
  }
  const int error = queue_.send_sync(cpu, map_request(*mapping), note, added);
  if (error == 0) return {0, bytes};
  cpu.work(cpu.costs().viommu_tree);
  mappings_.erase(mapping);
  cpu.emit(trace::MappingRemoved{iova.value, bytes, id_, cpu.id()});
  return {error, 0};
}

std::uint64_t ViommuDomain::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& /*gather*/) {
  const std::uint64_t last = iova.value + pages.bytes() - 1;
  std::uint64_t removed = 0;
  while (auto* mapping = mappings_.first_overlap(iova.value, last)) {
    if (mapping->first < iova.value) break;  // a MAP is never split
    cpu.work(cpu.costs().viommu_tree);
    removed += mapping->bytes();
    mappings_.erase(mapping);
  }
  // As in Linux to 7.0: the records are gone already, and the device is not told.
  if (removed < pages.bytes()) {
    if (removed > 0) cpu.emit(trace::MappingRemoved{iova.value, removed, id_, cpu.id()});
    return 0;
  }
  const auto gone = [&](Cpu& c) { c.emit(trace::MappingRemoved{iova.value, removed, id_, c.id()}); };
  if (endpoints_ == 0) {
    gone(cpu);
    return removed;
  }
  virtio_iommu::Unmap request;
  request.domain = id_;
  request.virt_start = iova.value;
  request.virt_end = iova.value + removed - 1;
  queue_.add(cpu, request, {id_, iova, {}, removed, trace::RequestType::unmap}, gone);
  return removed;
}

std::optional<Gpa> ViommuDomain::iova_to_phys(Iova iova) const {
  const auto* mapping = mappings_.first_overlap(iova.value, iova.value);
  if (mapping == nullptr) return std::nullopt;
  return mapping->payload.gpa + (iova.value - mapping->first);
}

void ViommuDomain::sync(Cpu& cpu, trace::Sync kind) {
  if (endpoints_ == 0) return;
  cpu.processor().sync();
  const Time began = cpu.now();
  queue_.sync(cpu);
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), kind, 0});
}

void ViommuDomain::iotlb_sync(Cpu& cpu, IotlbGather& /*gather*/) {
  if (!behaviour_.faults.skip_iotlb_sync) sync(cpu, trace::Sync::unmap);
}

int ViommuDomain::iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (!behaviour_.sync_map) return 0;
  sync(cpu, trace::Sync::map);
  return queue_.take_error(id_, iova, bytes);
}

void ViommuDomain::flush_iotlb_all(Cpu& cpu) { sync(cpu, trace::Sync::all); }

}  // namespace gnomon::guest
