// SPDX-License-Identifier: Apache-2.0
#include "guest/s390_pci/domain.hpp"

#include <algorithm>
#include <cerrno>

namespace gnomon::guest {

namespace {

int error_of(pgtable::S390MapStatus status) {
  switch (status) {
    case pgtable::S390MapStatus::done: return 0;
    case pgtable::S390MapStatus::no_memory: return ENOMEM;
    case pgtable::S390MapStatus::misaligned:
    case pgtable::S390MapStatus::out_of_range: break;
  }
  return EINVAL;
}

}  // namespace

Time s390_table_time(const GuestCosts& costs, const pgtable::S390Outcome& work) {
  return costs.table_level * work.levels_walked + costs.table_entry * work.entries_written +
         costs.table_page * work.tables_allocated;
}

int S390Domain::attach(Cpu& cpu, const S390Function& function) {
  cpu.processor().sync();
  const int error = s390_register(cpu, instructions_, function, s390_pci::anchor(table_.root()));
  if (error == 0) functions_.push_back(function);
  return error;
}

void S390Domain::detach(Cpu& cpu, SourceId device) {
  const auto found =
      std::find_if(functions_.begin(), functions_.end(), [&](const S390Function& f) { return f.source == device; });
  if (found == functions_.end()) return;
  instructions_.deregister_translation(cpu.processor(), s390_pci::function_operand(found->handle));
  functions_.erase(found);
}

void S390Domain::charge(Cpu& cpu, const pgtable::S390Outcome& work) const {
  cpu.work(s390_table_time(cpu.costs(), work));
}

IommuDriver::MapOutcome S390Domain::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  if (pages.page_size != page_size) return {EINVAL, 0};
  cpu.work(cpu.costs().table_call);
  cpu.processor().sync();
  const auto done = table_.map(iova, gpa, pages.bytes(), access.write);
  if (done.bytes != 0) {  // whatever was asked for, the device may read: there is no bit to forbid it
    cpu.emit(trace::MappingAdded{iova.value, gpa.value, done.bytes, id_, cpu.id(), 1, access.write});
  }
  charge(cpu, done);
  return {error_of(done.status), done.bytes};
}

std::uint64_t S390Domain::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  cpu.work(cpu.costs().table_call);
  cpu.processor().sync();
  const auto done = table_.unmap(iova, pages.bytes());
  if (done.bytes != 0) cpu.emit(trace::MappingRemoved{iova.value, done.bytes, id_, cpu.id()});
  charge(cpu, done);
  if (done.status != pgtable::S390MapStatus::done) return 0;
  gather.add_range(iova, pages.bytes());
  return pages.bytes();
}

void S390Domain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  if (gather.end == 0 || faults_.skip_unmap_refresh) return;
  cpu.processor().sync();
  const Time began = cpu.now();
  for (const S390Function& function : functions_) {
    ++counts_.unmap;
    s390_refresh(cpu, instructions_, function, Iova{gather.start}, gather.end - gather.start + 1, id_,
                 trace::RefreshCause::unmap);
  }
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), trace::Sync::unmap, 0});
}

int S390Domain::iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (faults_.skip_map_refresh) return 0;
  cpu.processor().sync();
  const Time began = cpu.now();
  int error = 0;
  bool refreshed = false;
  for (const S390Function& function : functions_) {
    if (!function.tlb_refresh) continue;
    refreshed = true;
    ++counts_.map;
    error = s390_refresh(cpu, instructions_, function, iova, bytes, id_, trace::RefreshCause::map);
    if (error != ENOMEM) continue;  // an EIO of a function is forgotten when the next succeeds, as in Linux
    ++counts_.exhausted;
    if (faults_.no_full_refresh) break;
    ++counts_.all;
    error = s390_refresh_all(cpu, instructions_, function, id_, trace::RefreshCause::exhaustion);
    if (error != 0) break;
  }
  if (refreshed) cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), trace::Sync::map, 0});
  return error;
}

void S390Domain::flush_iotlb_all(Cpu& cpu) {
  cpu.processor().sync();
  const Time began = cpu.now();
  for (const S390Function& function : functions_) {
    ++counts_.all;
    s390_refresh_all(cpu, instructions_, function, id_, trace::RefreshCause::flush);
  }
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), trace::Sync::all, 0});
}

std::optional<Gpa> S390Domain::iova_to_phys(Iova iova) const {
  const auto leaf = table_.lookup(iova);
  return leaf ? std::optional(leaf->gpa) : std::nullopt;
}

}  // namespace gnomon::guest
