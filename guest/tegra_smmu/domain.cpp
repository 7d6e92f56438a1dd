// SPDX-License-Identifier: Apache-2.0
#include "guest/tegra_smmu/domain.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

namespace gnomon::guest {

using tegra::directory_index;
using tegra::group_bytes;
using tegra::section_bytes;
using tegra::table_index;
using tegra::TlbMatch;

namespace {

constexpr std::uint32_t entry_bytes = 4;

std::uint32_t offset_of(Iova iova) {
  return table_index(iova) * entry_bytes;
}

}  // namespace

TegraDomain::TegraDomain(const TegraUnit& unit, std::uint32_t id)
    : unit_(unit), id_(id), directory_(unit.memory, *unit.options.soc, unit.coherent()) {}

void TegraDomain::prepare(Cpu& cpu) {
  if (prepared_) return;
  prepared_ = true;
  TegraMaintenance m(cpu, unit_, id_, trace::Sync::all);
  if (!unit_.coherent()) m.clean(directory_, 0, page_size);
  m.flush_ptc(directory_, 0);
  m.flush_tlb(of(TlbMatch::all, {}));
  m.write(tegra::reg::ptb_asid, asid());
  m.write(tegra::reg::ptb_data, encode(tegra::table_pointer(directory_.page().value, false)));
  m.read_back();
  m.finish();
}

const CachedTable* TegraDomain::table_of(Iova iova) const {
  const auto& table = tables_[directory_index(iova)];
  return table && iova.value < tegra::aperture_bytes ? &table->entries : nullptr;
}

std::optional<Gpa> TegraDomain::iova_to_phys(Iova iova) const {
  const CachedTable* table = table_of(iova);
  if (table == nullptr) return std::nullopt;
  const tegra::Entry entry = decode_entry(table->load(table_index(iova)), *unit_.options.soc);
  return entry.pfn == 0 ? std::nullopt : std::optional(Gpa{entry.address() + iova.offset_in_page()});
}

IommuDriver::MapOutcome TegraDomain::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  MapOutcome outcome;
  for (; outcome.mapped < pages.bytes() && outcome.error == 0;) {
    outcome.error = map_page(cpu, iova + outcome.mapped, gpa + outcome.mapped, access);
    if (outcome.error == 0) outcome.mapped += page_size;
  }
  return outcome;
}

int TegraDomain::map_page(Cpu& cpu, Iova iova, Gpa gpa, DmaAccess access) {
  cpu.work(unit_.options.costs.page);
  if (iova.value >= tegra::aperture_bytes || !tegra::addressable(gpa.value, *unit_.options.soc)) return EINVAL;
  Table* table = table_for(cpu, iova);
  if (table == nullptr) return ENOMEM;
  const tegra::Entry entry{access.read, access.write, true, false, static_cast<std::uint32_t>(gpa.page())};
  if (table->entries.load(table_index(iova)) == 0) ++table->used;
  store(cpu, *table, iova, encode(entry));
  cpu.emit(trace::MappingAdded{iova.value, gpa.value, page_size, id_, cpu.id(), access.read, access.write});
  if (!deferred()) flush_entry(cpu, *table, iova, trace::Sync::map);
  return 0;
}

std::uint64_t TegraDomain::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  std::uint64_t done = 0;
  for (; done < pages.bytes(); done += page_size) {
    const Iova at = iova + done;
    cpu.work(unit_.options.costs.page);
    if (at.value >= tegra::aperture_bytes) break;
    Table* table = tables_[directory_index(at)].get();
    if (table == nullptr || table->entries.load(table_index(at)) == 0) break;
    store(cpu, *table, at, 0);
    cpu.emit(trace::MappingRemoved{at.value, page_size, id_, cpu.id()});
    if (!deferred()) {
      flush_entry(cpu, *table, at, trace::Sync::unmap);
    } else if (unit_.options.flush != TegraFlush::unsynchronised) {
      gather.add_range(at, page_size);
    }
    if (--table->used == 0) free_table(cpu, at);
  }
  return done;
}

void TegraDomain::store(Cpu& cpu, Table& table, Iova iova, std::uint32_t value) {
  cpu.work(unit_.options.costs.entry_store);
  cpu.processor().sync();
  table.entries.store(table_index(iova), value);
}

// The directory entry is flushed at once under every scheme: what is below it must be reachable, or out of reach.
TegraDomain::Table* TegraDomain::table_for(Cpu& cpu, Iova iova) {
  auto& slot = tables_[directory_index(iova)];
  if (slot) return slot.get();
  try {
    slot = std::make_unique<Table>(unit_);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  const Gpa page = slot->entries.page();
  if (!tegra::addressable(page.value, *unit_.options.soc)) {
    slot.reset();
    return nullptr;
  }
  cpu.work(unit_.options.costs.table_page);
  TegraMaintenance m(cpu, unit_, id_, trace::Sync::map);
  if (!unit_.coherent()) m.clean(slot->entries, 0, page_size);
  set_directory(cpu, iova, encode(tegra::table_pointer(page.value, true)), m);
  m.read_back();
  m.finish();
  return slot.get();
}

// After its last use. Entries that a deferred flush would have come to later must leave the page-table cache now:
// it knows them by physical address, and the page may be a table again.
void TegraDomain::free_table(Cpu& cpu, Iova iova) {
  auto& slot = tables_[directory_index(iova)];
  TegraMaintenance m(cpu, unit_, id_, trace::Sync::unmap);
  set_directory(cpu, iova, 0, m);
  CachedTable& entries = slot->entries;
  const bool left = !unit_.coherent() && !unit_.options.faults.skip_freed_table;
  for (unsigned atom = 0; left && entries.any_flushable() && atom < entries.atoms(); ++atom) {
    if (entries.flushable(atom)) m.flush_ptc(entries, atom * unit_.options.soc->atom_bytes);
  }
  m.read_back();
  m.finish();
  cpu.work(unit_.options.costs.table_free);
  slot.reset();
}

void TegraDomain::set_directory(Cpu& cpu, Iova iova, std::uint32_t value, TegraMaintenance& m) {
  const unsigned index = directory_index(iova);
  cpu.work(unit_.options.costs.entry_store);
  cpu.processor().sync();
  directory_.store(index, value);
  if (unit_.options.faults.skip_directory_flush) return;
  if (!unit_.coherent()) {
    m.clean(directory_, index * entry_bytes, entry_bytes);
    m.flush_ptc(directory_, index * entry_bytes);
  }
  // The first entry of a table needs none where the walker snoops: the TLB holds nothing that is absent.
  if (!unit_.coherent() || value == 0) m.flush_tlb(of(TlbMatch::section, iova));
}

void TegraDomain::flush_entry(Cpu& cpu, Table& table, Iova iova, trace::Sync kind) {
  TegraMaintenance m(cpu, unit_, id_, kind);
  const TegraDriverFaults& faults = unit_.options.faults;
  if (!faults.skip_clean) m.clean(table.entries, offset_of(iova), entry_bytes);
  if (!faults.skip_ptc_flush) m.flush_ptc(table.entries, offset_of(iova));
  if (!faults.skip_tlb_flush) m.flush_tlb(of(TlbMatch::group, iova));
  m.read_back();
  m.finish();
}

int TegraDomain::iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (deferred() && bytes != 0) flush_range(cpu, iova, iova + (bytes - 1), trace::Sync::map);
  return 0;
}

void TegraDomain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  if (!gather.empty()) flush_range(cpu, Iova{gather.start}, Iova{gather.end}, trace::Sync::unmap);
}

void TegraDomain::flush_range(Cpu& cpu, Iova first, Iova last, trace::Sync kind) {
  if (!deferred() || unit_.options.flush == TegraFlush::unsynchronised) return;
  TegraMaintenance m(cpu, unit_, id_, kind);
  if (unit_.coherent()) m.barrier();  // the walker snoops, but sees stores in the order they drain
  for (Iova at = first; at <= last;) {
    const Iova end{std::min(at.value | (section_bytes - 1), last.value)};
    Table* table = tables_[directory_index(at)].get();
    if (table != nullptr) flush_piece(cpu, *table, at, end, kind, m);  // a freed one was flushed when it went
    at = end + 1;
  }
  m.read_back();
  m.finish();
}

/// [first, last] of one table.
void TegraDomain::flush_piece(Cpu& cpu, Table& table, Iova first, Iova last, trace::Sync kind,
                              TegraMaintenance& m) {
  const TegraDriverFaults& faults = unit_.options.faults;
  if (!unit_.coherent()) {
    const std::uint32_t offset = offset_of(first);
    const std::uint32_t bytes = offset_of(last) + entry_bytes - offset;
    if (!faults.skip_clean) m.clean(table.entries, offset, bytes);
    if (!faults.skip_ptc_flush) flush_ptc_of(table.entries, offset, bytes, m);
  }
  const bool separate = unit_.options.flush == TegraFlush::map_sync_unmap_sync || unit_.coherent();
  if (faults.skip_tlb_flush || (separate && kind == trace::Sync::map)) return;
  flush_tlb_of(cpu, table, first, last, m);
}

void TegraDomain::flush_ptc_of(CachedTable& table, std::uint32_t offset, std::uint32_t bytes,
                               TegraMaintenance& m) const {
  const std::uint32_t atom = unit_.options.soc->atom_bytes;
  for (std::uint32_t at = offset / atom * atom; at < offset + bytes; at += atom) m.flush_ptc(table, at);
}

void TegraDomain::flush_tlb_of(Cpu& cpu, const Table& table, Iova first, Iova last, TegraMaintenance& m) {
  const bool walks = unit_.options.flush == TegraFlush::walk_in_flush;
  if (last.value + 1 - first.value == section_bytes) {
    if (!walks || any_absent(cpu, table, first, last)) m.flush_tlb(of(TlbMatch::section, first));
    return;
  }
  for (Iova at = first; at <= last;) {
    const Iova end{std::min(at.value | (group_bytes - 1), last.value)};
    if (!walks || any_absent(cpu, table, at, end)) m.flush_tlb(of(TlbMatch::group, at));
    at = end + 1;
  }
}

/// Reads the entries: what is absent was unmapped, as far as one can tell from the table.
bool TegraDomain::any_absent(Cpu& cpu, const Table& table, Iova first, Iova last) const {
  for (Iova at = first; at <= last; at += page_size) {
    cpu.work(unit_.options.costs.entry_load);
    if (table.entries.load(table_index(at)) == 0) return true;
  }
  return false;
}

void TegraDomain::flush_iotlb_all(Cpu& cpu) {
  if (unit_.options.flush == TegraFlush::unsynchronised) return flush_stored(cpu);
  TegraMaintenance m(cpu, unit_, id_, trace::Sync::all);
  m.flush_tlb(of(TlbMatch::all, {}));
  m.read_back();
  m.finish();
}

// The flush by hand: what was stored since the last, line by line where it lies together.
void TegraDomain::flush_stored(Cpu& cpu) {
  TegraMaintenance m(cpu, unit_, id_, trace::Sync::all);
  const std::uint32_t atom_bytes = unit_.options.soc->atom_bytes;
  for (unsigned index = 0; index < tables_.size(); ++index) {
    if (!tables_[index] || !tables_[index]->entries.any_flushable()) continue;
    Table& table = *tables_[index];
    const unsigned atoms = table.entries.atoms();
    for (unsigned first = 0; first < atoms; ++first) {
      if (!table.entries.flushable(first)) continue;
      unsigned end = first;
      while (end < atoms && table.entries.flushable(end)) ++end;
      const std::uint64_t span = section_bytes / atoms;  // of IOVA, an atom
      const Iova base{std::uint64_t{index} * section_bytes};
      m.clean(table.entries, first * atom_bytes, (end - first) * atom_bytes);
      flush_ptc_of(table.entries, first * atom_bytes, (end - first) * atom_bytes, m);
      flush_tlb_of(cpu, table, base + first * span, base + (end * span - 1), m);
      first = end;
    }
  }
  m.read_back();
  m.finish();
}

}  // namespace gnomon::guest
