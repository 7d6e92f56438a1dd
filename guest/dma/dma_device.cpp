// SPDX-License-Identifier: Apache-2.0
#include "guest/dma/dma_device.hpp"

#include <cerrno>

namespace gnomon::guest {

namespace {
constexpr std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + page_size - 1) & ~(page_size - 1);
}
constexpr std::uint64_t walk_levels = 4;  // of iova_to_phys
}  // namespace

int DirectDma::map(Cpu& /*cpu*/, std::span<const Run> runs, DmaAccess /*access*/, DmaMapping& mapping) {
  mapping.segments.clear();
  for (const Run& run : runs) mapping.segments.push_back({Iova{run.start.value}, run.bytes});
  return 0;
}

void DirectDma::unmap(Cpu& /*cpu*/, const DmaMapping& /*mapping*/) {}

TranslatedDma::TranslatedDma(IommuDomain& domain, const DmaDomainOptions& options, std::vector<Cpu*> cpus,
                             std::vector<Lock>& queue_locks)
    : domain_(domain),
      options_(options),
      iovas_(options.iova, static_cast<unsigned>(cpus.size())),
      policy_(options.iova, options.limits),
      queue_locks_(queue_locks) {
  for (unsigned size_class = 0; size_class < iova_size_classes; ++size_class) {
    depot_trims_.emplace_back(*this, size_class);
  }
  if (options.deferred) queue_.emplace(options.flush_queue, static_cast<unsigned>(cpus.size()), options.faults);
}

void TranslatedDma::charge(Cpu& cpu, const IovaAllocation& allocation) {
  const GuestCosts& costs = cpu.costs();
  switch (allocation.path) {
    case IovaPath::depot: cpu.work(costs.iova_depot); [[fallthrough]];
    case IovaPath::magazine:
    case IovaPath::prev_magazine: cpu.work(costs.iova_cached); break;
    case IovaPath::tree:
    case IovaPath::failed: cpu.work(costs.iova_depot + costs.iova_tree_step * allocation.nodes_visited); break;
  }
}

int TranslatedDma::map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) {
  cpu.work(cpu.costs().dma_map);
  std::uint64_t bytes = 0;
  for (const Run& run : runs) bytes += run.bytes;
  Iova iova;
  if (const int error = allocate(cpu, whole_pages(bytes), iova); error != 0) return error;
  return map_at(cpu, iova, runs, access, mapping);
}

int TranslatedDma::allocate(Cpu& cpu, std::uint64_t bytes, Iova& iova) {
  const DmaIovaOutcome allocated = policy_.allocate(iovas_, cpu.id(), bytes >> page_shift);
  if (allocated.tried_32bit) charge(cpu, allocated.low);
  if (allocated.tried_full) charge(cpu, allocated.full);
  if (!allocated) return ENOMEM;
  iova = Iova::from_page(allocated.pfn);
  return 0;
}

int TranslatedDma::map_at(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) {
  std::uint64_t bytes = 0;
  for (const Run& run : runs) bytes += run.bytes;
  std::vector<Run> padded;
  if (whole_pages(bytes) != bytes) {
    padded.assign(runs.begin(), runs.end());
    padded.back().bytes = whole_pages(padded.back().bytes);
    runs = padded;
  }
  if (const MapResult mapped = domain_.map_sg(cpu, iova, runs, access); mapped.error != 0) {
    // Linux frees it even where the undoing left something mapped
    free_iova(cpu, iova.page(), whole_pages(bytes) >> page_shift);
    return mapped.error;
  }
  mapping.segments.assign(1, {iova, bytes});
  mapping.single = runs.size() == 1;
  return 0;
}

void TranslatedDma::unmap(Cpu& cpu, const DmaMapping& mapping) {
  const DmaSegment segment{mapping.segments.front().address, whole_pages(mapping.segments.front().bytes)};
  const Time began = cpu.now();
  cpu.work(cpu.costs().dma_unmap);
  // dma_unmap_page looks up the physical address, bounce buffer or not; a list's unmap does not.
  if (mapping.single) cpu.work(cpu.costs().table_call + cpu.costs().table_level * walk_levels);
  IotlbGather gather;
  gather.queued = queue_.has_value();
  domain_.unmap_fast(cpu, segment.address, segment.bytes, gather);  // cleared now, in lazy mode too
  const FreelistHandle freelist = gather.freelist;
  if (!queue_) domain_.iotlb_sync(cpu, gather);
  cpu.processor().sync();
  cpu.emit(trace::UnmapReturned{segment.address.value, segment.bytes, (cpu.now() - began).ps(),
                                domain_.driver().domain(), cpu.id(), queue_ ? 1u : 0u, 0});
  if (queue_) {
    queue_iova(cpu, segment.address, segment.bytes, freelist);
  } else {
    free_iova(cpu, segment.address.page(), segment.bytes >> page_shift);
  }
}

void TranslatedDma::queue_iova(Cpu& cpu, Iova iova, std::uint64_t bytes, FreelistHandle freelist) {
  InterruptsOff off(cpu);
  {
    LockGuard guard(queue_locks_[options_.flush_queue.per_cpu ? cpu.id() : 0], cpu.processor());
    cpu.work(cpu.costs().flush_queue_entry);
    reap(cpu, cpu.id());
    while (queue_->needs_flush(cpu.id())) {  // on this CPU, with the lock held and interrupts off
      flush(cpu, trace::FlushCause::full);
      reap(cpu, cpu.id());
    }
    queue_->push(cpu.id(), iova.page(), bytes >> page_shift, freelist);
  }
  if (options_.own_timer && queue_->arm_timer()) cpu.arm(*this, options_.flush_queue.timeout);
}

void TranslatedDma::flush(Cpu& cpu, trace::FlushCause cause) {
  cpu.processor().sync();
  const Time began = cpu.now();
  queue_->begin_flush();
  domain_.flush_all(cpu);
  queue_->end_flush();
  cpu.emit(trace::FlushQueueFlushed{began.ps(), domain_.driver().domain(), cpu.id(), cause, 0});
}

void TranslatedDma::reap(Cpu& cpu, unsigned queue) {
  queue_->reap(queue, [&](const FlushQueueEntry& entry) {
    cpu.work(cpu.costs().flush_queue_entry);
    if (!entry.freelist.empty()) domain_.driver().free_tables(cpu, entry.freelist);
    free_iova(cpu, entry.iova_pfn, entry.pages);
  });
}

void TranslatedDma::flush_timer_fired(Cpu& cpu, std::uint32_t left) {
  queue_->timer_fired();
  flush(cpu, trace::FlushCause::timer);
  for (unsigned queue = 0; queue < queue_->queues(); ++queue) {
    if (queue < 32 && (left >> queue & 1) != 0) continue;
    InterruptsOff off(cpu);
    LockGuard guard(queue_locks_[queue], cpu.processor());
    reap(cpu, queue);
  }
}

void TranslatedDma::free_iova(Cpu& cpu, std::uint64_t pfn, std::uint64_t pages) {
  const IovaRelease released = iovas_.free(cpu.id(), pfn, pages);
  const GuestCosts& costs = cpu.costs();
  switch (released.path) {
    case IovaFreePath::magazine:
    case IovaFreePath::prev_magazine: cpu.work(costs.iova_cached); break;
    case IovaFreePath::depot: {
      cpu.work(costs.iova_cached + costs.iova_depot);
      DepotTrim& trim = depot_trims_[released.size_class];
      if (options_.iova.depot == DepotKind::trimmed_list && options_.own_timer && !trim.armed()) {
        cpu.arm(trim, options_.iova.depot_trim_period);
      }
      break;
    }
    case IovaFreePath::depot_overflow:
    case IovaFreePath::tree: cpu.work(costs.iova_depot + costs.iova_tree_step * released.nodes_visited); break;
  }
}

void TranslatedDma::trim_depot(Cpu& cpu, DepotTrim& work, unsigned size_class) {
  const IovaTrim trimmed = iovas_.trim_depot(size_class);
  cpu.work(cpu.costs().iova_depot + cpu.costs().iova_tree_step * trimmed.nodes_visited);
  if (trimmed.again && options_.own_timer) cpu.arm(work, options_.iova.depot_trim_period);
}

}  // namespace gnomon::guest
