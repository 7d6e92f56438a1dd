// SPDX-License-Identifier: Apache-2.0
// The request queue of a virtio-iommu as its Linux driver uses it (drivers/iommu/virtio-iommu.c, 6.1 to 7.2).
// One queue and one lock serve all domains and all CPUs of the device.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "guest/kernel/cpu.hpp"
#include "guest/virtio/virtqueue_driver.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/spec/virtio_iommu/requests.hpp"

namespace gnomon::guest {

/// What the event stream says of a request when it is queued.
struct RequestNote {
  std::uint32_t domain = 0;
  Iova iova;
  Gpa gpa;
  std::uint64_t bytes = 0;
  trace::RequestType type = trace::RequestType::map;
};

class ViommuRequestQueue {
 public:
  struct Options {
    Gpa notify;               ///< address of the queue's doorbell
    bool report_errors = false;  ///< a what-if: failures of queued MAPs are kept for take_error; Linux drops them
  };

  ViommuRequestQueue(VirtqueueDriver& queue, GuestRam& ram, LineMonitor& monitor, Lock& lock, Hpa used_index,
                     const Options& options)
      : queue_(queue), ram_(ram), monitor_(monitor), lock_(lock), used_index_(used_index), options_(options),
        notes_(options.report_errors ? queue_capacity : 0) {}

  /// Queues a request without kicking. Its own status is lost (see report_errors). A full ring is synced first.
  /// `queued(cpu)` runs under the lock, at the moment the request is on the ring.
  template <class R, class OnQueued>
  void add(Cpu& cpu, const R& request, const RequestNote& note, OnQueued queued) {
    InterruptsOff off(cpu);
    LockGuard guard(lock_, cpu.processor());
    queued(cpu);
    add_locked(cpu, virtio_iommu::encode(request), note);
  }

  /// Queues, kicks and waits; returns the request's own error, an errno.
  template <class R, class OnQueued>
  int send_sync(Cpu& cpu, const R& request, const RequestNote& note, OnQueued queued) {
    InterruptsOff off(cpu);
    LockGuard guard(lock_, cpu.processor());
    queued(cpu);
    const std::uint16_t head = add_locked(cpu, virtio_iommu::encode(request), note);
    if (options_.report_errors) notes_[head].type = trace::RequestType::probe;  // its error is returned here alone
    sync_locked(cpu);
    return error_of(ram_.read<virtio_iommu::Tail>(queue_.writable(head)).status);
  }

  /// Kicks and waits until the device has answered every request of every CPU. Linux returns 0 whatever they came to.
  void sync(Cpu& cpu);

  /// With report_errors: the error of a drained MAP in [iova, iova + bytes) of the domain, an errno, and forgets it.
  /// Whoever drained it: another CPU's sync, or an interrupt's on this one. 0: none.
  int take_error(std::uint32_t domain, Iova iova, std::uint64_t bytes);

  static int error_of(virtio_iommu::Status status);

 private:
  static constexpr std::size_t queue_capacity = 65536;

  std::uint16_t add_locked(Cpu& cpu, std::span<const std::byte> readable, const RequestNote& note);
  void sync_locked(Cpu& cpu);
  void kick(Cpu& cpu);
  void retire(Cpu& cpu, std::uint16_t head);

  VirtqueueDriver& queue_;
  GuestRam& ram_;
  LineMonitor& monitor_;
  Lock& lock_;
  const Hpa used_index_;
  const Options options_;
  struct Failure {
    RequestNote note;
    int error = 0;
  };
  std::vector<RequestNote> notes_;  // by head, with report_errors
  std::vector<Failure> failures_;   // drained, not yet taken
  std::uint64_t unannounced_ = 0;   // requests added since the last kick
};

}  // namespace gnomon::guest
