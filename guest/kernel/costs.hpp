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
  Time scatter_element;                      ///< one element of a scatterlist taken up by iommu_map_sg
  Time memset_page = Time::ns(60);           ///< 4 KiB filled or cleaned, in the cache
  // virtio-iommu driver
  Time viommu_tree = Time::ns(80);           ///< its interval tree: one insertion or removal
  Time viommu_request = Time::ns(100);       ///< one request built and added to the virtqueue
  Time viommu_poll = Time::ns(50);           ///< used ring found non-empty, one request retired
  // AMD IOMMU driver. The table work is fit to Linux 6.12's page-table benchmark on an i7-12700: 66 ns to map a page
  // and 1.9 us to map 256, 88 ns and 6.5 us to unmap, less iommu_call
  Time amd_command = Time::ns(60);           ///< one command built, copied to the ring, its doorbell stored
  Time amd_poll = Time::ns(10);              ///< one look at the completion number
  Time table_call = Time::ns(30);            ///< one call of the page-table code, whatever it maps or unmaps
  Time table_level = Time::ns(2);            ///< one level of a walk
  Time table_entry = Time::ns(1);            ///< one entry written or cleared
  Time table_unmap = Time::ns(18);           ///< one leaf found and its size worked out, before it is cleared
  Time table_page = Time::ns(250);           ///< one table page allocated and zeroed, or freed
  // Intel IOMMU driver, beside the table work. The same benchmark: 65 ns to map a page and 518 ns to map 256, 87 ns and
  // 321 ns to unmap, on a unit that snoops; with cache flushes 249 ns to map a page, 272 ns to unmap
  Time intel_leaf = Time::ns(1);             ///< a leaf mapped: compare and exchange of its entry
  Time intel_cache_flush = Time::ns(185);    ///< the changed entries of one table written back, with the fence
  Time intel_submit = Time::ns(120);         ///< one submission: slots, the wait descriptor, its status, the tail's store
  Time intel_descriptor = Time::ns(20);      ///< one descriptor built and copied to the queue
  Time intel_poll = Time::ns(10);            ///< one look at the status word
  Time intel_relax = Time::ns(40);           ///< the lock dropped and taken again between two looks
  // SMMUv3 driver, beside the table work. On a Kunpeng 920 (B. Song, May 2020) a strict 4 KiB unmap is 1,956 ns for one
  // thread, 1,328 of it in the command queue and 883 of that in the wait for CMD_SYNC: the queue's own 445 ns are split
  // by assumption
  Time smmu_command = Time::ns(40);          ///< one command built and copied to the queue
  Time smmu_atomic = Time::ns(15);           ///< an atomic operation on a cache line this CPU has
  Time smmu_line_transfer = Time::ns(60);    ///< a cache line that somebody else wrote, fetched
  Time smmu_prod_write = Time::ns(245);      ///< barrier and store to PROD
  Time smmu_cons_read = Time::ns(250);       ///< load of CONS, where it does not exit
  Time smmu_relax = Time::ns(10);            ///< one turn of a polling loop
};

}  // namespace gnomon::guest
