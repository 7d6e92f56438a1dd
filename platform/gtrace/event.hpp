// SPDX-License-Identifier: Apache-2.0
// One event of a recorded workload, whatever tool recorded it, and which fields an event of each kind has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gnomon::gtrace {

enum class EventKind : std::uint8_t {
  map,              ///< a DMA mapping came to be, with its physical runs
  unmap,            ///< it went
  io_queue,         ///< a request reached the block layer
  io_submit,        ///< a request went to the device; in QEMU's log, the device fetched it
  io_complete,      ///< its completion was seen
  attach,           ///< a device joined a domain
  detach,           ///< it left
  command,          ///< one entry of an IOMMU's command queue, as it was encoded
  invalidation,     ///< an invalidation as QEMU understood it
  wait,             ///< a completion wait: address and value of its status write
  map_request,      ///< virtio-iommu MAP
  unmap_request,    ///< virtio-iommu UNMAP
  register_access,  ///< a register of the emulated IOMMU
  kick,             ///< the emulated IOMMU was told of new commands: tail write or virtqueue notification
  doorbell,         ///< an NVMe doorbell
  interrupt,        ///< the device raised an interrupt
  vm_exit,
  vm_entry,
  mmio,  ///< an emulated access to device memory
  mark,  ///< an event kept by name: when it happened, nothing else
};
inline constexpr std::size_t event_kinds = 20;
std::string_view name_of(EventKind kind);
std::string_view meaning_of(EventKind kind);

enum class Direction : std::uint8_t { unknown, to_device, from_device, bidirectional, none };
inline constexpr std::size_t directions = 5;
std::string_view name_of(Direction direction);

enum class Operation : std::uint8_t { unknown, read, write, flush, trim, other };
inline constexpr std::size_t operations = 6;
std::string_view name_of(Operation operation);

/// Consecutive physical memory. Over all runs of a mapping the bytes add up to the mapping's.
struct Run {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  bool operator==(const Run&) const = default;
};
inline constexpr std::size_t most_runs = 65'536;

/// Flags of map and unmap: what the trace showed of them.
inline constexpr std::uint64_t seen_by_iommu = 1;  ///< iommu:map, iommu:unmap; address and bytes are whole pages
inline constexpr std::uint64_t seen_by_dma = 2;    ///< an event of the DMA API, which names the device
inline constexpr std::uint64_t coherent = 4;       ///< dma_alloc or dma_free: long-lived memory, not a request's
inline constexpr std::uint64_t runs_unknown = 8;   ///< the trace does not tell the runs; there are none

inline constexpr std::uint64_t unknown = ~std::uint64_t{0};  ///< of a field that may be unknown

/// `device` and `name` are numbers of strings of the file; 0 is "", which is: not known. Fields an event's kind
/// does not have are zero.
struct Event {
  EventKind kind = EventKind::mark;
  Direction direction = Direction::unknown;
  Operation operation = Operation::unknown;
  std::uint64_t time_ns = 0;  ///< by the stream's clock
  std::uint64_t lane = 0;     ///< what the stream calls its lanes: a CPU, a thread of QEMU
  std::uint64_t task = 0;     ///< pid of the task that ran; 0 where it is not known
  std::uint64_t device = 0;
  std::uint64_t name = 0;
  std::uint64_t address = 0;  ///< an IOVA, a register's offset, or a guest-physical address
  std::uint64_t bytes = 0;
  std::uint64_t target = 0;   ///< physical address a virtio-iommu MAP leads to
  std::uint64_t span_ns = 0;  ///< map: from the event of its first run to that of its last
  std::uint64_t flags = 0;
  std::uint64_t domain = 0;
  std::uint64_t mask = 0;
  std::uint64_t queue = 0;
  std::uint64_t command = 0;  ///< command identifier of an NVMe request
  std::uint64_t lba = 0, blocks = 0;
  std::uint64_t block_bytes = 0;  ///< unit of lba and blocks; 0 where the trace does not tell
  std::uint64_t status = 0;
  std::uint64_t value = 0;
  std::uint64_t vcpu = 0;
  std::array<std::uint64_t, 4> word{};
  std::vector<Run> runs;

  bool operator==(const Event&) const = default;
};

/// Every field back to its default; the memory of `runs` stays.
void clear(Event& event);

}  // namespace gnomon::gtrace
