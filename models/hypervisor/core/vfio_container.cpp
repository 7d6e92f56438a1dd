// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/vfio_container.hpp"

#include <algorithm>
#include <bit>

namespace gnomon::hypervisor {
namespace {

struct Chunk {
  std::uint64_t leaf_bytes;
  std::uint64_t bytes;
};

// iommu_pgsize(): the largest leaf both addresses allow, and as many of it as come before a still larger one fits.
Chunk choose_chunk(std::uint64_t sizes, Iova iova, Hpa hpa, std::uint64_t bytes) {
  const std::uint64_t addresses = iova.value | hpa.value;
  std::uint64_t fitting = sizes & (2 * std::bit_floor(bytes) - 1);
  if (addresses != 0) fitting &= 2 * (addresses & (~addresses + 1)) - 1;
  const std::uint64_t leaf = std::bit_floor(fitting);
  const std::uint64_t larger = sizes & ~(2 * leaf - 1);
  if (const std::uint64_t next = larger & (~larger + 1);
      next != 0 && ((iova.value ^ hpa.value) & (next - 1)) == 0) {
    const std::uint64_t to_boundary = next - (addresses & (next - 1));
    if (next <= bytes && to_boundary <= bytes - next) return {leaf, to_boundary};
  }
  return {leaf, bytes / leaf * leaf};
}

void widen(IotlbSyncRange& range, Iova iova, std::uint64_t bytes) {
  const Iova last = iova + (bytes - 1);
  range.first = range.regions == 0 ? iova : std::min(range.first, iova);
  range.last = range.regions == 0 ? last : std::max(range.last, last);
}

}  // namespace

VfioContainer::VfioContainer(IoPageTable& table, const GuestRam& ram, PinCounts& pins, const VfioConfig& config)
    : table_(table), ram_(ram), pins_(pins), config_(config) {}

VfioStatus VfioContainer::check(Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access) const {
  if (((iova.value | gpa.value | bytes) & (page_size - 1)) != 0) return VfioStatus::einval;
  if (bytes == 0 || bytes - 1 > ~iova.value || access == DmaAccess::none) return VfioStatus::einval;
  const Iova last = iova + (bytes - 1);
  if (mappings_.first_overlap(iova.value, last.value) != nullptr) return VfioStatus::eexist;
  if (free_slots() == 0) return VfioStatus::enospc;
  if (last > config_.last_iova) return VfioStatus::einval;
  if (!ram_.contains(gpa, bytes)) return VfioStatus::efault;
  return VfioStatus::ok;
}

VfioMapOutcome VfioContainer::map(Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access, IotlbSync& sync) {
  VfioMapOutcome outcome;
  outcome.status = check(iova, gpa, bytes, access);
  if (outcome.status != VfioStatus::ok) return outcome;
  Node* mapping = mappings_.insert(iova.value, iova.value + (bytes - 1), UserMapping{gpa, access});
  std::uint64_t done = 0;
  outcome.status = map_runs(*mapping, done, outcome, sync);
  // get_user_pages asks for what is left, a batch at a time, whatever runs the pages then make.
  const std::uint64_t batch = config_.disable_hugepages ? 1 : pin_batch_pages;
  outcome.pin_batches = static_cast<std::uint32_t>((outcome.pages_pinned + batch - 1) / batch);
  if (outcome.status == VfioStatus::ok) {
    mapped_bytes_ += bytes;
  } else {
    unmap_range(iova, done, false, sync, outcome.undone);
    mappings_.erase(mapping);
  }
  return outcome;
}

// `done`: bytes mapped, also where it fails.
VfioStatus VfioContainer::map_runs(const Node& mapping, std::uint64_t& done, VfioMapOutcome& outcome,
                                   IotlbSync& sync) {
  const auto [gpa, access] = mapping.payload;
  while (done != mapping.bytes()) {
    const std::uint64_t bytes = run_bytes(gpa + done, mapping.bytes() - done);
    const std::uint64_t pages = bytes >> page_shift;
    if (pages > config_.locked_page_limit - locked_pages_) return VfioStatus::enomem;
    const Hpa hpa = ram_.to_hpa(gpa + done);
    pins_.pin(hpa, pages);
    locked_pages_ += pages;
    outcome.pages_pinned += pages;
    ++outcome.runs;
    if (!map_run(Iova{mapping.first} + done, hpa, bytes, access, outcome, sync)) return VfioStatus::enomem;
    done += bytes;
  }
  return VfioStatus::ok;
}

// Host-contiguous bytes of guest memory from `gpa` on.
std::uint64_t VfioContainer::run_bytes(Gpa gpa, std::uint64_t limit) const {
  if (config_.disable_hugepages) return page_size;
  const Hpa hpa = ram_.to_hpa(gpa);
  std::uint64_t bytes = ram_.contiguous_bytes(gpa);
  while (bytes < limit && ram_.to_hpa(gpa + bytes) == hpa + bytes) bytes += ram_.contiguous_bytes(gpa + bytes);
  return std::min(bytes, limit);
}

// iommu_map(): false after having taken its own part back, and the run's pins.
bool VfioContainer::map_run(Iova iova, Hpa hpa, std::uint64_t bytes, DmaAccess access, VfioMapOutcome& outcome,
                            IotlbSync& sync) {
  std::uint64_t done = 0;
  while (done != bytes) {
    const Chunk chunk = choose_chunk(table_.page_sizes(), iova + done, hpa + done, bytes - done);
    const auto mapped = table_.map(iova + done, hpa + done, chunk.bytes, chunk.leaf_bytes, access);
    ++outcome.map_calls;
    outcome.ptes_written += mapped.ptes_written;
    outcome.tables_allocated += mapped.tables_allocated;
    done += mapped.bytes;
    if (mapped.ok) continue;
    if (done != 0) {
      const auto undone = table_.unmap(iova, done);
      outcome.undone.ptes_cleared += undone.ptes_cleared;
      outcome.undone.tables_freed += undone.tables_freed;
      ++outcome.undone.syncs;
      ++outcome.undone.regions;
      sync.sync({iova, iova + (done - 1), 1, 0, undone.ptes_cleared, undone.tables_freed, bytes >> page_shift});
    }
    unpin(hpa, bytes >> page_shift, outcome.undone);
    return false;
  }
  return true;
}

VfioUnmapOutcome VfioContainer::unmap(Iova iova, std::uint64_t bytes, IotlbSync& sync) {
  VfioUnmapOutcome outcome;
  outcome.status = VfioStatus::einval;
  if (((iova.value | bytes) & (page_size - 1)) != 0 || bytes == 0 || bytes - 1 > ~iova.value) return outcome;
  const std::uint64_t first = iova.value;
  const std::uint64_t last = first + (bytes - 1);
  if (const Node* edge = mappings_.first_overlap(first, first); edge != nullptr && edge->first != first)
    return outcome;
  if (const Node* edge = mappings_.first_overlap(last, last); edge != nullptr && edge->last != last) return outcome;
  return unmap_within(first, last, sync);
}

VfioUnmapOutcome VfioContainer::unmap_all(IotlbSync& sync) {
  return unmap_within(0, ~std::uint64_t{0}, sync);
}

VfioUnmapOutcome VfioContainer::unmap_within(std::uint64_t first, std::uint64_t last, IotlbSync& sync) {
  VfioUnmapOutcome outcome;
  while (Node* mapping = mappings_.first_overlap(first, last)) {
    const std::uint64_t bytes = mapping->bytes();
    const Node* next = mappings_.first_above(mapping->first);
    const bool last_mapping = next == nullptr || next->first > last;
    unmap_range(Iova{mapping->first}, bytes, last_mapping && config_.faults.leak_pins, sync, outcome);
    mappings_.erase(mapping);
    mapped_bytes_ -= bytes;
    outcome.bytes += bytes;
    ++outcome.mappings;
  }
  return outcome;
}

// vfio_unmap_unpin(): one user mapping, or the part of it that was mapped.
void VfioContainer::unmap_range(Iova iova, std::uint64_t bytes, bool leak_last, IotlbSync& sync,
                                VfioUnmapOutcome& outcome) {
  IotlbSyncRange pending;
  for (std::uint64_t done = 0; done < bytes;) {
    ++pending.walk_steps;
    const auto hpa = table_.iova_to_phys(iova + done);
    if (!hpa) {  // the kernel warns of the hole and steps over it
      done += page_size;
      continue;
    }
    const std::uint64_t run = mapped_run_bytes(iova + done, *hpa, bytes - done, pending.walk_steps);
    const auto unmapped = table_.unmap(iova + done, run);
    if (unmapped.bytes == 0) break;
    widen(pending, iova + done, unmapped.bytes);
    regions_[pending.regions++] = {*hpa, unmapped.bytes >> page_shift};
    pending.ptes_cleared += unmapped.ptes_cleared;
    pending.pages_to_unpin += unmapped.bytes >> page_shift;
    pending.tables_freed += unmapped.tables_freed;
    done += unmapped.bytes;
    if (leak_last && done >= bytes) {
      --regions_[pending.regions - 1].pages;
      --pending.pages_to_unpin;
    }
    if (pending.regions == sync_regions) sync_and_unpin(pending, sync, outcome);
  }
  if (pending.regions != 0) sync_and_unpin(pending, sync, outcome);
  outcome.walk_steps += pending.walk_steps;  // steps behind the last region, over holes
}

// Bytes from `iova` on that are host-contiguous in the table: one software walk for every 4 KiB looked at.
std::uint64_t VfioContainer::mapped_run_bytes(Iova iova, Hpa hpa, std::uint64_t limit, std::uint64_t& walk_steps) {
  std::uint64_t bytes = page_size;
  if (config_.fine_grained_superpages) return bytes;
  for (; bytes < limit; bytes += page_size) {
    ++walk_steps;
    if (table_.iova_to_phys(iova + bytes) != hpa + bytes) break;
  }
  return bytes;
}

// Pages are unpinned only when no device can reach them any more.
void VfioContainer::sync_and_unpin(IotlbSyncRange& pending, IotlbSync& sync, VfioUnmapOutcome& outcome) {
  if (!config_.faults.skip_invalidation) {
    sync.sync(pending);
    ++outcome.syncs;
  }
  for (std::uint32_t i = 0; i < pending.regions; ++i) unpin(regions_[i].hpa, regions_[i].pages, outcome);
  outcome.regions += pending.regions;
  outcome.walk_steps += pending.walk_steps;
  outcome.ptes_cleared += pending.ptes_cleared;
  outcome.tables_freed += pending.tables_freed;
  pending = {};
}

void VfioContainer::unpin(Hpa hpa, std::uint64_t pages, VfioUnmapOutcome& outcome) {
  pins_.unpin(hpa, pages);
  locked_pages_ -= pages;
  outcome.pages_unpinned += pages;
}

}  // namespace gnomon::hypervisor
