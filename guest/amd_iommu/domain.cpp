// SPDX-License-Identifier: Apache-2.0
#include "guest/amd_iommu/domain.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

namespace gnomon::guest {

namespace {

// What the driver takes for everything: all but the topmost byte of 63 bits (CMD_INV_IOMMU_ALL_PAGES_ADDRESS).
constexpr std::uint64_t all_pages_last = 0x7fff'ffff'ffff'fffe;

int error_of(pgtable::AmdMapStatus status) {
  return status == pgtable::AmdMapStatus::done ? 0 : EINVAL;
}

}  // namespace

/// What one map call did to the table.
struct AmdDomain::TableWork {
  MapOutcome outcome;
  std::uint64_t levels = 0;
  std::uint64_t entries = 0;
  std::uint64_t tables = 0;
  bool updated = false;
  std::vector<Gpa> unlinked;
};

void AmdDomain::attach(Cpu& cpu, SourceId device) {
  cpu.processor().sync();
  devices_.push_back(device);
  write_device_entry(device);
  flush_device(cpu, device);
  flush_domain(cpu, trace::Sync::all);
}

void AmdDomain::detach(Cpu& cpu, SourceId device) {
  cpu.processor().sync();
  unit_.devices.block(device);
  flush_device(cpu, device);
  flush_domain(cpu, trace::Sync::all);
  std::erase(devices_, device);
}

void AmdDomain::write_device_entry(SourceId device) {
  amdvi::DeviceTableEntry entry;
  entry.v = true;
  entry.tv = true;
  entry.mode = static_cast<std::uint8_t>(table_.levels());
  entry.root = Hpa{table_.root().value};
  entry.ir = true;
  entry.iw = true;
  entry.domain = DomainId{static_cast<std::uint16_t>(id_)};
  unit_.devices.write(device, entry);
}

void AmdDomain::flush_device(Cpu& cpu, SourceId device) {
  InterruptsOff off(cpu);
  LockGuard guard(lock_, cpu.processor());
  unit_.commands.submit(cpu, amdvi::InvalidateDevtabEntry{device}, id_);
}

// The table has a new root above the old one: increase_address_space.
void AmdDomain::publish_root(Cpu& cpu) {
  if (devices_.empty()) return;
  InterruptsOff off(cpu);
  LockGuard guard(lock_, cpu.processor());
  for (const SourceId device : devices_) write_device_entry(device);
  for (const SourceId device : devices_) unit_.commands.submit(cpu, amdvi::InvalidateDevtabEntry{device}, id_);
  unit_.commands.wait(cpu);
}

// Leaf by leaf, so that what is mapped is known where the memory for a table is not to be had.
AmdDomain::TableWork AmdDomain::write_leaves(Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  TableWork work;
  const pgtable::Permissions permissions{access.read, access.write};
  try {
    for (std::uint64_t i = 0; i < pages.count && work.outcome.error == 0; ++i) {
      const std::uint64_t at = i * pages.page_size;
      const auto done = table_.map(iova + at, gpa + at, pages.page_size, 1, permissions, work.unlinked);
      work.outcome.error = error_of(done.status);
      work.outcome.mapped += done.bytes;
      work.levels = unit_.options.walk_every_leaf || i == 0 ? work.levels + done.levels_walked : work.levels;
      work.entries += done.entries_written;
      work.tables += done.tables_allocated;
      work.updated |= done.updated;
    }
  } catch (const std::bad_alloc&) {
    work.outcome.error = ENOMEM;
  }
  return work;
}

IommuDriver::MapOutcome AmdDomain::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  cpu.work(cpu.costs().table_call);
  cpu.processor().sync();
  const Gpa root = table_.root();
  const TableWork done = write_leaves(iova, gpa, pages, access);
  const bool grown = table_.root() != root;
  if (const std::uint64_t mapped = done.outcome.mapped; mapped != 0) {
    cpu.emit(trace::MappingAdded{iova.value, gpa.value, mapped, id_, cpu.id(), access.read, access.write});
  }
  const GuestCosts& costs = cpu.costs();
  cpu.work(costs.table_level * done.levels + costs.table_entry * done.entries + costs.table_page * done.tables);
  if (grown) publish_root(cpu);
  if (done.updated) flush_domain(cpu, trace::Sync::all);
  for (const Gpa table : done.unlinked) {  // nothing of the unit's points to them any more
    cpu.work(costs.table_page);
    unit_.memory.free(table);
  }
  return done.outcome;
}

std::uint64_t AmdDomain::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  cpu.work(cpu.costs().table_call);
  cpu.processor().sync();
  const pgtable::AmdUnmapOutcome done = table_.unmap(iova, pages.bytes());
  if (done.bytes == 0) return 0;
  cpu.emit(trace::MappingRemoved{done.first.value, done.end - done.first, id_, cpu.id()});
  const GuestCosts& costs = cpu.costs();
  const bool every = unit_.options.walk_every_leaf;
  cpu.work(costs.table_level * (every ? done.levels_walked : table_.levels()) +
           costs.table_entry * done.entries_written + costs.table_unmap * (every ? done.leaves : 1));

  if (gather.queued && !unit_.options.gather_deferred) return done.bytes;
  // What was asked for is gathered, not what was found: the unit drops a larger leaf whole.
  if (unit_.options.kernel.flush_policy->sync_before_add(unit_.flush, gather, iova, pages.bytes())) {
    sync_range(cpu, gather, trace::Sync::early);
    gather.reset();
  }
  gather.add_page(iova, pages.bytes());
  return done.bytes;
}

void AmdDomain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  if (!unit_.options.faults.skip_unmap_flush) sync_range(cpu, gather, trace::Sync::unmap);
}

int AmdDomain::iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  const bool wanted = unit_.flush.caches_non_present && unit_.options.flush_map;
  if (wanted && bytes != 0 && !unit_.options.faults.skip_map_flush) {
    flush_range(cpu, iova, iova + (bytes - 1), true, trace::Sync::map);
  }
  return 0;
}

void AmdDomain::flush_iotlb_all(Cpu& cpu) {
  flush_domain(cpu, trace::Sync::all);
}

std::optional<Gpa> AmdDomain::iova_to_phys(Iova iova) const {
  const auto leaf = table_.lookup(iova);
  return leaf ? std::optional(leaf->gpa) : std::nullopt;
}

// An empty gather is that of an unmap that found nothing.
void AmdDomain::sync_range(Cpu& cpu, const IotlbGather& gather, trace::Sync kind) {
  if (gather.empty()) return;
  const bool pde = unit_.options.kernel.pde_bit == PdeBit::always || !gather.freelist.empty();
  flush_range(cpu, Iova{gather.start}, Iova{gather.end}, pde, kind);
}

template <class Queue>
void AmdDomain::under_lock(Cpu& cpu, Queue queue) {
  InterruptsOff off(cpu);
  LockGuard guard(lock_, cpu.processor());
  queue();
  if (!unit_.options.faults.skip_wait) unit_.commands.wait(cpu);
}

void AmdDomain::flush_range(Cpu& cpu, Iova first, Iova last, bool pde, trace::Sync kind) {
  if (devices_.empty()) return;  // of no unit's concern
  cpu.processor().sync();
  const Time began = cpu.now();
  under_lock(cpu, [&] {
    for_each_block(*unit_.options.kernel.flush_policy, unit_.flush, first, last, [&](const FlushBlock& block) {
      const bool all = block.whole_domain();
      invalidate(cpu, all ? amdvi::every_page : amdvi::encode_range(Iova{block.base}, 1ULL << block.order),
                 pde || all);
    });
  });
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), kind, 0});
}

void AmdDomain::flush_domain(Cpu& cpu, trace::Sync kind) {
  if (devices_.empty()) return;
  cpu.processor().sync();
  const Time began = cpu.now();
  under_lock(cpu, [&] {
    if (!unit_.flush.caches_non_present || !unit_.options.split_flush_all) {
      invalidate(cpu, amdvi::every_page, true);
      return;
    }
    for (const auto [base, size] : NaturalSplit(0, all_pages_last)) {  // the last twelve are smaller than a page
      invalidate(cpu, amdvi::encode_range(Iova{base}, size), true);
    }
  });
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), kind, 0});
}

void AmdDomain::invalidate(Cpu& cpu, amdvi::RangeOperand range, bool pde) {
  const DomainId tag{static_cast<std::uint16_t>(id_)};
  unit_.commands.submit(cpu, amdvi::InvalidateIommuPages{tag, range, pde, false, 0}, id_);
}

}  // namespace gnomon::guest
