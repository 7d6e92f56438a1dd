// SPDX-License-Identifier: Apache-2.0
#include "guest/s390_pci/own_dma.hpp"

#include <cerrno>

#include "guest/s390_pci/domain.hpp"

namespace gnomon::guest {

S390OwnDma::S390OwnDma(KernelMemory& memory, PciInstructionPort& instructions, const S390Function& function,
                       Locks locks, const S390OwnDmaOptions& options)
    : instructions_(instructions),
      function_(function),
      locks_(locks),
      options_(options),
      table_(memory),
      iovas_(function.aperture.bytes() >> page_shift, function.aperture.first.page()) {}

int S390OwnDma::enable(Cpu& cpu) {
  cpu.processor().sync();
  return s390_register(cpu, instructions_, function_, s390_pci::anchor(table_.root()));
}

std::optional<Gpa> S390OwnDma::iova_to_phys(Iova iova) const {
  const auto leaf = table_.lookup(iova);
  return leaf ? std::optional(leaf->gpa) : std::nullopt;
}

int S390OwnDma::refresh_all(Cpu& cpu, trace::RefreshCause cause, Time& began) {
  cpu.processor().sync();
  began = cpu.now();
  ++counts_.all;
  return s390_refresh_all(cpu, instructions_, function_, options_.domain, cause);
}

/// The refresh that began at `began` is done; the bitmap's lock is held.
void S390OwnDma::release(Cpu& cpu, Time began) {
  iovas_.release_lazy();
  cpu.emit(trace::FlushQueueFlushed{began.ps(), options_.domain, cpu.id(), trace::FlushCause::full, 0});
}

std::optional<Iova> S390OwnDma::take_address(Cpu& cpu, std::uint64_t pages) {
  InterruptsOff off(cpu);
  LockGuard guard(locks_.bitmap, cpu.processor());
  cpu.work(cpu.costs().iova_cached);
  auto search = iovas_.allocate_ahead(pages);
  if (!search.page) {
    cpu.work(cpu.costs().table_entry * search.words);
    if (!options_.strict) {  // a full refresh before addresses are used again, with the lock held
      Time began = cpu.now();
      const bool refreshes = !options_.faults.release_without_refresh;
      if (refreshes && refresh_all(cpu, trace::RefreshCause::flush, began) != 0) return std::nullopt;
      if (refreshes) {
        release(cpu, began);
      } else {
        iovas_.release_lazy();
      }
    }
    ++wraps_;
    search = iovas_.allocate_wrapped(pages);
  }
  cpu.work(cpu.costs().table_entry * search.words);
  if (!search.page) return std::nullopt;
  return function_.aperture.first + (*search.page << page_shift);
}

void S390OwnDma::free_address(Cpu& cpu, Iova iova, std::uint64_t pages) {
  const std::uint64_t page = (iova - function_.aperture.first) >> page_shift;
  InterruptsOff off(cpu);
  LockGuard guard(locks_.bitmap, cpu.processor());
  cpu.work(cpu.costs().iova_cached);
  options_.strict ? iovas_.free(page, pages) : iovas_.free_lazily(page, pages);
}

int S390OwnDma::validate(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access, std::uint64_t& mapped) {
  for (const Run& run : runs) {
    InterruptsOff off(cpu);
    LockGuard guard(locks_.table, cpu.processor());
    cpu.work(cpu.costs().table_call);
    const auto done = table_.map(iova + mapped, run.start, run.bytes, access.write);
    cpu.work(s390_table_time(cpu.costs(), done));
    if (done.status != pgtable::S390MapStatus::done) return ENOMEM;
    cpu.emit(trace::MappingAdded{(iova + mapped).value, run.start.value, run.bytes, options_.domain, cpu.id(), 1,
                                 access.write});
    mapped += run.bytes;
  }
  return 0;
}

/// dma_update_trans with invalid entries: RPCIT in strict mode only.
int S390OwnDma::invalidate(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  {
    InterruptsOff off(cpu);
    LockGuard guard(locks_.table, cpu.processor());
    cpu.work(cpu.costs().table_call);
    const auto done = table_.unmap(iova, bytes);
    cpu.work(s390_table_time(cpu.costs(), done));
    if (done.bytes != 0) cpu.emit(trace::MappingRemoved{iova.value, done.bytes, options_.domain, cpu.id()});
    if (done.status != pgtable::S390MapStatus::done) return ENOMEM;
  }
  if (!options_.strict) return 0;
  ++counts_.unmap;
  return s390_refresh(cpu, instructions_, function_, iova, bytes, options_.domain, trace::RefreshCause::unmap);
}

int S390OwnDma::refresh_after_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (!function_.tlb_refresh) return 0;
  ++counts_.map;
  const int error =
      s390_refresh(cpu, instructions_, function_, iova, bytes, options_.domain, trace::RefreshCause::map);
  if (error != ENOMEM) return error;
  ++counts_.exhausted;
  if (options_.strict) return error;
  Time began;
  if (refresh_all(cpu, trace::RefreshCause::exhaustion, began) != 0) return error;  // it has seen the new range too
  InterruptsOff off(cpu);
  LockGuard guard(locks_.bitmap, cpu.processor());
  release(cpu, began);
  return 0;
}

int S390OwnDma::map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) {
  const Time began = cpu.now();
  cpu.work(cpu.costs().dma_map);
  std::uint64_t bytes = 0;
  for (const Run& run : runs) bytes += run.bytes;
  const std::optional<Iova> iova = take_address(cpu, bytes >> page_shift);
  if (!iova) return ENOMEM;

  std::uint64_t mapped = 0;
  int error = validate(cpu, *iova, runs, access, mapped);
  if (error == 0) error = refresh_after_map(cpu, *iova, bytes);
  if (error == 0) {
    mapping.segments.assign(1, {*iova, bytes});
  } else if (mapped != 0) {
    invalidate(cpu, *iova, mapped);
    if (!options_.strict) {  // what the hypervisor mapped of it stays until the next full refresh
      cpu.emit(trace::UnmapReturned{iova->value, mapped, 0, options_.domain, cpu.id(), 1, 0});
    }
  }
  cpu.emit(trace::MapReturned{iova->value, bytes, (cpu.now() - began).ps(), options_.domain, cpu.id(),
                              static_cast<std::uint32_t>(runs.size()), static_cast<std::uint32_t>(error)});
  if (error != 0) free_address(cpu, *iova, bytes >> page_shift);
  return error;
}

void S390OwnDma::unmap(Cpu& cpu, const DmaMapping& mapping) {
  const DmaSegment segment = mapping.segments.front();
  const Time began = cpu.now();
  cpu.work(cpu.costs().dma_unmap);
  const int error = invalidate(cpu, segment.address, segment.bytes);
  cpu.emit(trace::UnmapReturned{segment.address.value, segment.bytes, (cpu.now() - began).ps(), options_.domain,
                                cpu.id(), options_.strict ? 0u : 1u, 0});
  if (error == 0) free_address(cpu, segment.address, segment.bytes >> page_shift);
}

}  // namespace gnomon::guest
