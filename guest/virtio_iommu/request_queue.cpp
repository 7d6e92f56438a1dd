// SPDX-License-Identifier: Apache-2.0
#include "guest/virtio_iommu/request_queue.hpp"

#include <cerrno>
#include <vector>

namespace gnomon::guest {

int ViommuRequestQueue::error_of(virtio_iommu::Status status) {
  using virtio_iommu::Status;
  switch (status) {  // viommu_get_req_errno
    case Status::ok: return 0;
    case Status::unsupp: return ENOSYS;
    case Status::inval: return EINVAL;
    case Status::range: return ERANGE;
    case Status::noent: return ENOENT;
    case Status::fault: return EFAULT;
    case Status::nomem: return ENOMEM;
    case Status::ioerr:
    case Status::deverr: return EIO;
  }
  return EIO;
}

std::uint16_t ViommuRequestQueue::add_locked(Cpu& cpu, std::span<const std::byte> readable, const RequestNote& note) {
  cpu.work(cpu.costs().viommu_request);
  auto head = queue_.add(readable, sizeof(virtio_iommu::Tail));
  if (!head) {  // ring full: drain it, then there is room
    cpu.processor().sync();
    const Time began = cpu.now();
    sync_locked(cpu);
    cpu.emit(trace::SyncDone{began.ps(), note.domain, cpu.id(), trace::Sync::early, 0});
    head = queue_.add(readable, sizeof(virtio_iommu::Tail));
  }
  if (options_.report_errors) notes_[*head] = note;
  ++unannounced_;
  cpu.emit(trace::GuestRequest{note.iova.value, note.bytes, note.gpa.value, note.domain, cpu.id(), note.type, 0});
  return *head;
}

void ViommuRequestQueue::sync(Cpu& cpu) {
  InterruptsOff off(cpu);
  LockGuard guard(lock_, cpu.processor());
  sync_locked(cpu);
}

int ViommuRequestQueue::take_error(std::uint32_t domain, Iova iova, std::uint64_t bytes) {
  int first = 0;
  std::erase_if(failures_, [&](const Failure& failure) {
    const bool ours = failure.note.domain == domain && failure.note.iova.value - iova.value < bytes;
    if (ours && first == 0) first = failure.error;
    return ours;
  });
  return first;
}

void ViommuRequestQueue::kick(Cpu& cpu) {
  cpu.processor().sync();
  const bool wanted = queue_.kick_needed();  // with EVENT_IDX: only if something is new
  cpu.emit(trace::GuestKick{unannounced_, cpu.id(), wanted ? 0u : 1u});
  unannounced_ = 0;
  if (wanted) cpu.processor().write_mmio(options_.notify, virtio_iommu::request_queue, 2);
}

void ViommuRequestQueue::sync_locked(Cpu& cpu) {
  kick(cpu);
  while (queue_.in_flight() > 0) {  // a tight loop on the used ring, lock held, interrupts off
    cpu.processor().sync();
    if (!queue_.has_used()) {
      monitor_.watch(used_index_, cpu.processor());
      cpu.processor().park();
    }
    while (const auto used = queue_.pop_used()) retire(cpu, used->head);
  }
}

void ViommuRequestQueue::retire(Cpu& cpu, std::uint16_t head) {
  cpu.work(cpu.costs().viommu_poll);
  if (!options_.report_errors) return;
  const int error = error_of(ram_.read<virtio_iommu::Tail>(queue_.writable(head)).status);
  if (error != 0 && notes_[head].type == trace::RequestType::map) failures_.push_back({notes_[head], error});
}

}  // namespace gnomon::guest
