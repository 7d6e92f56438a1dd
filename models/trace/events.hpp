// SPDX-License-Identifier: Apache-2.0
// The one typed stream of timed events. Metrics, sanitizer, timeline, log and hash are all its observers.
//
// Every member is a whole number of known width and no event has padding, so that an event's bytes are its value:
// that is what the trace hash hashes. Addresses and sizes are in bytes, times in picoseconds (`*_ps`).
#pragma once

#include <cstdint>
#include <type_traits>
#include <variant>

namespace gnomon::trace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

enum class Direction : u32 { read, write };  ///< of an I/O as the workload sees it

// ---- workload ------------------------------------------------------------------------------------------------------
/// The measured window opens (after ramp-up) or closes.
struct WindowOpened { u64 jobs; };
struct WindowClosed { u64 jobs; };
/// fio took an I/O in hand: its latency starts. `io` numbers the run's I/Os from 1.
struct IoSubmitted { u64 io; u64 offset; u64 bytes; u32 job; u32 cpu; Direction direction; u32 device; };
/// The driver gave the I/O to a queue as `command`; a large I/O is several commands.
struct IoDispatched { u64 io; u32 cpu; u32 device; u32 queue; u32 command; };
/// The kernel completed the I/O. `status`: 0, or an errno.
struct IoCompleted { u64 io; u32 cpu; u32 status; };
/// fio reaped the I/O: its latency ends.
struct IoReaped { u64 io; u64 bytes; u64 latency_ps; u32 job; u32 cpu; Direction direction; u32 status; };
/// A DMA mapping failed and the request went back to the queue.
struct IoRequeued { u64 io; u32 cpu; u32 status; };

// ---- guest: DMA API and IOMMU API -----------------------------------------------------------------------------------
enum class Sync : u32 { unmap, map, early, all };          ///< which of the driver's sync operations
enum class FlushCause : u32 { full, timer };               ///< why a flush queue drained
/// What the guest asks of its IOMMU. `invalidate`: of pages, a domain or everything; `wait`: told when all before it is
/// done; `configure`: of a device's entry, its device TLB, interrupts.
enum class RequestType : u32 { attach, detach, map, unmap, probe, invalidate, wait, configure };
/// `bytes` of a request that covers its whole domain; of every domain where `domain` is `all_domains`.
inline constexpr u64 whole_domain = ~u64{0};
inline constexpr u32 all_domains = ~u32{0};
inline constexpr u32 request_leaf_only = 1;

/// The guest's own table now maps the run; `writable` and `readable` as the device may use it.
struct MappingAdded { u64 iova; u64 gpa; u64 bytes; u32 domain; u32 cpu; u32 readable; u32 writable; };
/// The guest's own table no longer maps the range.
struct MappingRemoved { u64 iova; u64 bytes; u32 domain; u32 cpu; };
/// One iommu_map or iommu_map_sg of `bytes` returned. `status`: 0, and from here the device must see the mapping, or
/// an errno, and from here it must see nothing of it.
struct MapReturned { u64 iova; u64 bytes; u64 took_ps; u32 domain; u32 cpu; u32 runs; u32 status; };
/// One round of dma_map_benchmark: what its timers around dma_map and dma_unmap read.
struct DmaApiRound { u64 map_ps; u64 unmap_ps; u32 thread; u32 cpu; };
/// How often the IOMMU core called its driver in the window that closes now.
struct DriverCallsMade { u64 map; u64 unmap; };
/// A VFIO container mapped a guest's memory and took the mapping down again.
struct VfioTornDown { u64 map_ps; u64 unmap_ps; u64 runs; u64 regions; u64 syncs; u64 software_walks; };
/// One unmap returned. `deferred`: the invalidation is owed by the flush queue; else no cache may hold the range now.
struct UnmapReturned { u64 iova; u64 bytes; u64 took_ps; u32 domain; u32 cpu; u32 deferred; u32 reserved; };
/// The flush queue's invalidation is done; ranges deferred before it began are clean from here.
struct FlushQueueFlushed { u64 began_ps; u32 domain; u32 cpu; FlushCause cause; u32 reserved; };
/// A sync operation of the IOMMU driver returned.
struct SyncDone { u64 began_ps; u32 domain; u32 cpu; Sync kind; u32 reserved; };
/// The guest's driver put one request or command on its queue. `bytes` are what it covers.
/// `flags` of an invalidation: request_leaf_only, where the unit may keep its non-leaf entries (VT-d IH).
struct GuestRequest { u64 iova; u64 bytes; u64 gpa; u32 domain; u32 cpu; RequestType type; u32 flags; };
/// The guest rang the vIOMMU's doorbell.
struct GuestKick { u64 requests; u32 cpu; u32 suppressed; };

// ---- processors and locks -------------------------------------------------------------------------------------------
enum class ExitReason : u32 { ept_misconfig, external_interrupt, hlt, msr_write, preemption_timer, ept_violation, instruction };
enum class Activity : u32 { task, interrupt, softirq, idle, host };

/// A VM exit, told at the VM entry that ends it.
struct VmExit { u64 began_ps; u32 cpu; ExitReason reason; };
/// A processor did one kind of thing from `began_ps` until now.
struct CpuSpan { u64 began_ps; u32 cpu; Activity activity; };
struct LockAcquired { u64 waited_ps; u32 lock; u32 cpu; };
struct LockReleased { u64 held_ps; u32 lock; u32 cpu; };
struct InterruptRaised { u32 cpu; u32 vector; };
struct InterruptTaken { u64 raised_ps; u32 cpu; u32 vector; };

// ---- hypervisor -----------------------------------------------------------------------------------------------------
/// The vIOMMU device answered one request of the guest.
struct RequestServed { u64 iova; u64 bytes; u32 domain; u32 thread; RequestType type; u32 status; };
/// One VFIO MAP ioctl returned. `status`: 0, or an errno.
struct ShadowMapped { u64 iova; u64 gpa; u64 bytes; u64 took_ps; u32 container; u32 status; };
/// One VFIO UNMAP ioctl returned.
struct ShadowUnmapped { u64 iova; u64 bytes; u64 took_ps; u32 container; u32 status; };
/// The emulation read entries of the guest's page tables to serve the command before.
struct GuestTableRead { u64 entries; };
struct PagesPinned { u64 pages; u64 pinned_now; };
struct PagesUnpinned { u64 pages; u64 pinned_now; };
/// An eventfd woke the I/O thread.
struct IoThreadWoken { u64 signalled_ps; u32 thread; u32 reserved; };

// ---- physical IOMMU -------------------------------------------------------------------------------------------------
enum class Granularity : u32 { page, range, domain, global };

/// A train of bursts inside one page crossed the IOMMU: translated at this instant, the last beat lands at `ends_ps`.
struct DmaBurst {
  u64 iova; u64 hpa; u64 bytes; u64 ends_ps;
  u32 source; u32 domain; u32 write; u32 iotlb_hit; u32 walk_reads; u32 evicted;
};
struct DmaFault { u64 iova; u32 source; u32 write; u32 reason; u32 reserved; };
/// The IOMMU executed one invalidation descriptor: from now on it holds nothing of the range.
struct IotlbInvalidated { u64 iova; u64 bytes; u32 domain; Granularity granularity; u32 dropped; u32 hint_leaf_only; };
/// Software rang the invalidation queue's tail.
struct InvalidationSubmitted { u32 cpu; u32 descriptors; };
/// An invalidation wait descriptor wrote its status.
struct InvalidationWaitDone { u64 submitted_ps; };

// ---- devices --------------------------------------------------------------------------------------------------------
struct Doorbell { u32 device; u32 queue; u32 completion; u32 value; };
struct CommandFetched { u32 device; u32 queue; u32 command; u32 reserved; };
struct MediaBusy { u64 began_ps; u64 ends_ps; u32 device; u32 queue; u32 command; u32 channel; };
struct CommandCompleted { u32 device; u32 queue; u32 command; u32 status; };
/// What an I/O command's time on the device went into, told just before its CommandCompleted. Of what lay one behind
/// the other only: `queued_ps`, waits for other commands at the fetch, the link, the flash; `translation_ps`, its DMA
/// inside the IOMMU; `media_ps`, the drive's own work. The rest is the doorbell's and its DMA's way across the link.
struct CommandTimes { u64 queued_ps; u64 translation_ps; u64 media_ps; u32 device; u32 queue; u32 command; u32 reserved; };

/// A misbehaving device used memory of a command it has finished, just now. `landed`: nothing stopped it.
struct StrayAccess { u64 iova; u64 bytes; u32 device; u32 write; u32 landed; u32 reserved; };

// ---- network --------------------------------------------------------------------------------------------------------
/// Packets found no receive buffer, or no room to wait for one. `bytes` of payload.
struct PacketsDropped { u64 bytes; u32 device; u32 queue; u32 packets; u32 reserved; };
/// The sender at the other end sends packets of `bytes` payload once more, to this queue.
struct Retransmitted { u64 bytes; u32 device; u32 queue; u32 packets; u32 reserved; };
/// One poll of a queue pair (NAPI) returned: what it took from the ring since `began_ps`. `bytes` of payload.
/// `frames`: sent ones retired. `rearmed`: the ring was empty, and the next completion interrupts.
struct PollReturned {
  u64 began_ps; u64 bytes;
  u32 device; u32 queue; u32 cpu; u32 packets; u32 buffers; u32 frames; u32 rearmed; u32 reserved;
};
/// iperf read, or had acknowledged, `bytes` of a stream: goodput.
struct StreamMoved { u64 bytes; u32 stream; u32 cpu; Direction direction; u32 reserved; };

// ---- devices behind a Tegra SMMU -----------------------------------------------------------------------------------
/// One stretch of maintenance by the Tegra SMMU's driver: the times of its register writes, of cleaning CPU cache lines,
/// of the barriers that wait for the cleaning, and of reads that wait for the writes.
struct SmmuMaintained {
  u64 tlb_ps; u64 cache_ps; u64 barrier_ps; u64 read_back_ps;
  u32 domain; u32 cpu; Sync kind; u32 lines_cleaned; u32 barriers; u32 register_writes; u32 register_reads; u32 reserved;
};
/// A streaming device needed data at `needed_ps`, or by then room for more to write, and got it at `came_ps` only. Told
/// when the request goes out.
struct StreamUnderrun { u64 iova; u64 needed_ps; u64 came_ps; u32 device; u32 write; };

// ---- s390 PCI -------------------------------------------------------------------------------------------------------
/// Why a guest refreshed translations: a map, a strict unmap, a flush of everything, a map that found the hypervisor out
/// of resources.
enum class RefreshCause : u32 { map, unmap, flush, exhaustion };
/// A guest's RPCIT returned; of its whole aperture where `bytes` is whole_domain. `status`: 0, or an errno.
struct TranslationsRefreshed { u64 iova; u64 bytes; u64 began_ps; u32 domain; u32 cpu; RefreshCause cause; u32 status; };

// ---- the sanitizer's own voice --------------------------------------------------------------------------------------
enum class Verdict : u32 {
  stale_dma, missing_invalidation, shadow_divergence, map_invisible, early_reuse, spurious_fault, pin_leak
};
struct VerdictRaised { u64 iova; u64 bytes; Verdict verdict; u32 domain; };

using Event = std::variant<
    WindowOpened, WindowClosed, IoSubmitted, IoDispatched, IoCompleted, IoReaped, IoRequeued, MappingAdded, MappingRemoved, MapReturned, UnmapReturned, FlushQueueFlushed, SyncDone, GuestRequest, GuestKick,
    VmExit, CpuSpan, LockAcquired, LockReleased, InterruptRaised, InterruptTaken, RequestServed, ShadowMapped,
    ShadowUnmapped, PagesPinned, PagesUnpinned, IoThreadWoken, DmaBurst, DmaFault, IotlbInvalidated,
    InvalidationSubmitted, InvalidationWaitDone, Doorbell, CommandFetched, MediaBusy, CommandCompleted, VerdictRaised, GuestTableRead, DmaApiRound, VfioTornDown,
    PacketsDropped, PollReturned, StreamMoved, DriverCallsMade, SmmuMaintained, StreamUnderrun, CommandTimes,
    Retransmitted, StrayAccess, TranslationsRefreshed>;

namespace detail {
template <class... E>
constexpr bool padding_free(const std::variant<E...>*) {
  return (std::has_unique_object_representations_v<E> && ...);
}
}  // namespace detail
static_assert(detail::padding_free(static_cast<const Event*>(nullptr)), "an event's bytes must be its value");

}  // namespace gnomon::trace
