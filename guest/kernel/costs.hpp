// SPDX-License-Identifier: Apache-2.0
// What the guest's software costs in CPU time. Values come from the machine profile, each with its source.
#pragma once

#include "models/base/time.hpp"

namespace gnomon::guest {

/// CPU time of code paths, without what they wait for. On bare metal; in a guest nested paging makes them dearer
/// by MachineConfig's nested_paging_tax.
struct GuestCosts {
  // fio and the block layer
  Time fio_per_io = Time::ns(300);           ///< fio's own work on one I/O: pick, account, read the clock
  Time io_submit = Time::ns(250);            ///< io_submit() of one I/O: system call, kernel aio
  Time io_getevents = Time::ns(200);         ///< io_getevents() that finds an event: system call and copy
  Time block_submit = Time::ns(300);         ///< bio, request, tag
  Time direct_io_per_page = Time::ns(60);    ///< pin and unpin one user page of an O_DIRECT I/O
  Time block_complete = Time::ns(150);       ///< end_io, request freed
  Time aio_complete = Time::ns(100);         ///< event into the aio ring, wake test
  // NVMe driver
  Time nvme_submit = Time::ns(120);          ///< build the command, PRPs
  Time nvme_doorbell = Time::ns(40);         ///< an uncached store posted to the device
  Time nvme_complete = Time::ns(100);        ///< one completion queue entry
  // kernel
  Time interrupt = Time::ns(250);            ///< entry and exit of a hard interrupt
  Time softirq = Time::ns(100);              ///< entry and exit of softirq processing
  Time tick = Time::ns(800);                 ///< scheduler tick
  Time context_switch = Time::ns(1000);      ///< one thread to another, or out of idle
  Time wake_up = Time::ns(300);              ///< make a blocked thread runnable
  // DMA API and IOMMU API
  Time dma_map = Time::ns(60);               ///< dma_map_* around the IOVA and the IOMMU call
  Time dma_unmap = Time::ns(60);             ///< dma_unmap_* likewise
  Time iova_cached = Time::ns(30);           ///< an IOVA from or to this CPU's magazines
  Time iova_depot = Time::ns(150);           ///< exchange of a magazine with the depot
  Time iova_tree_step = Time::ns(15);        ///< one node of the IOVA tree visited
  Time flush_queue_entry = Time::ns(40);     ///< one entry into or out of a flush queue
  Time iommu_call = Time::ns(30);            ///< one call of the IOMMU driver's map_pages or unmap_pages
  // virtio-iommu driver
  Time viommu_tree = Time::ns(80);           ///< its interval tree: one insertion or removal
  Time viommu_request = Time::ns(100);       ///< one request built and added to the virtqueue
  Time viommu_poll = Time::ns(50);           ///< used ring found non-empty, one request retired
};

}  // namespace gnomon::guest
