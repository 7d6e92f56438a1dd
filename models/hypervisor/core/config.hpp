// SPDX-License-Identifier: Apache-2.0
// What a hypervisor is, and what its work costs. Times are rough figures of an Intel desktop of 2018 to 2023; a
// machine profile brings its own.
#pragma once

#include <cstdint>

#include "models/base/time.hpp"
#include "models/hypervisor/core/vfio_container.hpp"

namespace gnomon::hypervisor {

/// How the virtio-iommu request queue is served.
enum class QueueService : std::uint8_t {
  on_kick,    ///< by the kicking vCPU's thread within the exit, under the big lock (QEMU, virtio-iommu-pci)
  ioeventfd,  ///< by the main loop's thread, woken by an eventfd (QEMU, virtio-mmio)
  worker,     ///< by a thread of the device's own, without the big lock (crosvm)
};

struct HypervisorConfig {
  QueueService service = QueueService::on_kick;
  std::uint16_t request_queue_size = 256;  ///< entries, a power of two
  std::uint16_t event_queue_size = 256;    ///< entries, a power of two
  bool indirect = true;                    ///< VIRTIO_F_INDIRECT_DESC is offered
  bool event_idx = true;                   ///< VIRTIO_F_EVENT_IDX is offered
  bool check_granule = true;               ///< virtio-iommu rejects a MAP off the granule
  VfioConfig vfio;
};

/// Times on the host's CPU, each charged once for what its comment names.
struct HypervisorCosts {
  // From the guest to the VMM and back.
  Time exit = Time::ns(450);            ///< VM exit, and KVM finding out that the exit is the VMM's
  Time entry = Time::ns(350);           ///< VM entry
  Time to_user = Time::ns(450);         ///< return of the KVM_RUN ioctl to the VMM
  Time from_user = Time::ns(300);       ///< next KVM_RUN ioctl
  Time mmio_dispatch = Time::ns(500);   ///< from the exit's record to the device's write handler
  Time eventfd_signal = Time::ns(250);  ///< the kernel signals an ioeventfd instead of leaving to user space
  Time eventfd_wake = Time::us(2);      ///< until the thread that polls the eventfd runs

  // The VMM.
  Time big_lock = Time::ns(40);          ///< taking the big lock, uncontended
  Time big_lock_handover = Time::us(1);  ///< from one thread's release to a sleeping waiter's return
  Time request = Time::ns(350);          ///< pop a chain, decode, answer, push
  Time descriptor_read = Time::ns(15);   ///< one descriptor out of guest memory
  Time mapping_lookup = Time::ns(120);   ///< find and change one record in a domain's tree
  Time command = Time::ns(150);          ///< fetch, decode and dispatch one command of an emulated IOMMU
  Time table_read = Time::ns(80);        ///< one entry of a guest page table, through the VMM's memory map
  Time tree_lookup = Time::ns(60);       ///< one search of a device's IOVA tree
  Time refresh = Time::us(45);           ///< RPCIT: what it takes whatever its range, while no other is served
  Time page_lookup = Time::ns(26);       ///< RPCIT: one search of the hash of a function's mapped pages
  Time notifier = Time::ns(300);         ///< one notifier call down to the container's listener

  // VFIO type1, in the host's kernel.
  Time ioctl_map = Time::ns(1500);           ///< MAP_DMA, whatever its size: entry, checks, slot, lock
  Time ioctl_unmap = Time::ns(1500);         ///< UNMAP_DMA, likewise, without invalidation
  Time ioctl_nest = Time::us(3);             ///< iommufd: a device to another nested table
  Time ioctl_invalidate = Time::ns(900);     ///< iommufd: IOMMU_HWPT_INVALIDATE, without the hardware's part
  Time ioctl_refused = Time::ns(500);        ///< an ioctl that ends in its checks
  Time pin_batch = Time::ns(700);            ///< one get_user_pages call
  Time pin_page = Time::ns(45);              ///< one 4 KiB page in a batch, pinning and accounting
  Time unpin_page = Time::ns(55);            ///< one 4 KiB page, with its dirty mark
  Time map_run = Time::ns(200);              ///< one iommu_map call of a contiguous run
  Time unmap_region = Time::ns(250);         ///< one iommu_unmap_fast call and its record
  Time pte_write = Time::ns(2);              ///< one leaf or link written or cleared, coherent walk
  Time table_page = Time::ns(200);           ///< one page table page allocated and zeroed, or freed
  Time software_walk = Time::ns(20);         ///< one iova_to_phys
};

}  // namespace gnomon::hypervisor
