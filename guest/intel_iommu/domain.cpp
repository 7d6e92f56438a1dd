// SPDX-License-Identifier: Apache-2.0
// The table: map and unmap. Flushes are in domain_flush.cpp.
#include "guest/intel_iommu/domain.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>

namespace gnomon::guest {

namespace {

constexpr unsigned sslps_2m = 1;
constexpr unsigned sslps_1g = 2;

int error_of(pgtable::MapStatus status) {
  switch (status) {
    case pgtable::MapStatus::done: return 0;
    case pgtable::MapStatus::misaligned:
    case pgtable::MapStatus::no_permission: return EINVAL;
    case pgtable::MapStatus::out_of_range: return EFAULT;
    case pgtable::MapStatus::already_mapped: return EEXIST;
  }
  return EINVAL;
}

}  // namespace

IntelDomain::IntelDomain(const IntelUnit& unit, std::uint32_t id, bool first_level, unsigned levels, Lock lock)
    : unit_(unit), id_(id), lock_(lock), table_(unit.memory, first_level, levels) {}

pgtable::PageSizes IntelDomain::leaf_sizes() const {
  const bool first = table_.first_level();
  const bool has_2m = first || (unit_.cap.sslps & sslps_2m) != 0;
  const bool has_1g = first ? unit_.cap.fs1gp : (unit_.cap.sslps & sslps_1g) != 0;
  return pgtable::size_4k | (has_2m ? pgtable::size_2m : 0) | (has_1g ? pgtable::size_1g : 0);
}

PageSizeBitmap IntelDomain::page_sizes() const {
  return unit_.driver.kernel.claims_all_sizes ? page_sizes_powers_of_two : PageSizeBitmap{leaf_sizes()};
}

std::optional<Gpa> IntelDomain::iova_to_phys(Iova iova) const {
  const auto found = table_.lookup(iova);
  if (!found) return std::nullopt;
  return found->gpa;
}

// Bytes from `iova` on that are mapped: what a map did before the memory for a table was not to be had.
std::uint64_t IntelDomain::mapped_prefix(Iova iova, std::uint64_t bytes) const {
  std::uint64_t mapped = 0;
  while (mapped < bytes) {
    const auto leaf = table_.lookup(iova + mapped);
    if (!leaf) break;
    mapped += leaf->page_bytes;
  }
  return std::min(mapped, bytes);
}

// Cache flushes where the unit does not snoop: one for the entries of each table with leaves, one for each new
// table and one for the link to it.
void IntelDomain::charge_entries(Cpu& cpu, Iova first, Iova last, std::uint64_t leaf_bytes,
                                 std::uint64_t tables) const {
  const bool snooped = unit_.scalable ? unit_.ecap.smpwcs : unit_.ecap.c;
  if (snooped) return;
  const unsigned table_shift = static_cast<unsigned>(std::countr_zero(leaf_bytes)) + 9;
  const std::uint64_t spanned = (last.value >> table_shift) - (first.value >> table_shift) + 1;
  cpu.work(cpu.costs().intel_cache_flush * (spanned + 2 * tables));
}

// A store to a protected page is an exit of its own.
void IntelDomain::tell_stores(Cpu& cpu) {
  for (const Gpa entry : stores_) unit_.store_trap->stored(cpu.processor(), entry);
  stores_.clear();
}

IommuDriver::MapOutcome IntelDomain::write_leaves(Cpu& cpu, Iova iova, Gpa gpa, std::uint64_t bytes,
                                                  DmaAccess access) {
  const GuestCosts& costs = cpu.costs();
  const Iova last = iova + (bytes - 1);
  missing_links_.clear();
  if (unit_.store_trap != nullptr) table_.missing_links(iova, last, missing_links_);
  MapOutcome outcome;
  try {
    const pgtable::MapOutcome done =
        table_.map(iova, gpa, bytes, {access.read, access.write}, leaf_sizes(), unlinked_);
    outcome = {error_of(done.status), done.bytes};
    cpu.work(costs.table_level * table_.levels() + costs.table_entry * done.entries_written +
             costs.intel_leaf * done.leaves + costs.table_page * done.tables_allocated);
    if (done.leaves != 0) {
      charge_entries(cpu, iova, iova + (done.bytes - 1), std::bit_floor(done.bytes / done.leaves),
                     done.tables_allocated);
    }
  } catch (const std::bad_alloc&) {
    outcome = {ENOMEM, mapped_prefix(iova, bytes)};
  }
  if (unit_.store_trap != nullptr && outcome.mapped != 0) {
    table_.stores_of_map(iova, iova + (outcome.mapped - 1), missing_links_, stores_);
  }
  return outcome;
}

IommuDriver::MapOutcome IntelDomain::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  cpu.work(cpu.costs().table_call);
  cpu.processor().sync();
  unlinked_.clear();
  const MapOutcome outcome = write_leaves(cpu, iova, gpa, pages.bytes(), access);
  if (outcome.mapped != 0) {
    cpu.emit(trace::MappingAdded{iova.value, gpa.value, outcome.mapped, id_, cpu.id(), access.read, access.write});
  }
  tell_stores(cpu);
  if (!unlinked_.empty()) {  // large leaves took the place of empty tables, which the unit may have cached
    FreelistHandle replaced;
    for (const Gpa table : unlinked_) freelists_.push(replaced, table);
    flush_range(cpu, iova, iova + (outcome.mapped - 1), {trace::Sync::map, false, true});
    free_tables(cpu, replaced);
  }
  return outcome;
}

std::uint64_t IntelDomain::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  const GuestCosts& costs = cpu.costs();
  cpu.work(costs.table_call);
  cpu.processor().sync();
  const Iova last = iova + (pages.bytes() - 1);
  if (unit_.store_trap != nullptr) table_.stores_of_unmap(iova, last, stores_);
  unlinked_.clear();
  const pgtable::UnmapOutcome done = table_.unmap(iova, pages.bytes(), unlinked_);
  if (done.bytes != 0) {
    cpu.emit(trace::MappingRemoved{done.first.value, done.end - done.first, id_, cpu.id()});
  }
  tell_stores(cpu);
  cpu.work(costs.table_level * table_.levels() + costs.table_unmap + costs.table_entry * done.entries_written);
  if (done.leaves != 0) {
    charge_entries(cpu, done.first, done.end - 1, std::bit_floor(done.bytes / done.leaves), 0);
  }
  // A leaf larger than what was asked goes whole.
  const Iova end = std::max(done.end, iova + pages.bytes());
  gather_range(cpu, iova, end - iova, gather);
  for (const Gpa table : unlinked_) freelists_.push(gather.freelist, table);
  return end - iova;
}

// What is to be flushed by a flush queue is not gathered: it flushes the whole domain. An early sync does not free
// what this call unlinked, as Linux does, for it does not flush its range.
void IntelDomain::gather_range(Cpu& cpu, Iova first, std::uint64_t bytes, IotlbGather& gather) {
  if (gather.queued) return;
  if (unit_.driver.kernel.flush_policy->sync_before_add(unit_.flush, gather, first, bytes)) {
    const bool hint = gather.freelist.empty() && unlinked_.empty();
    flush_range(cpu, Iova{gather.start}, Iova{gather.end}, {trace::Sync::early, hint, true});
    free_tables(cpu, gather.freelist);
    gather.reset();
  }
  gather.add_page(first, bytes);
}

void IntelDomain::free_tables(Cpu& cpu, FreelistHandle tables) {
  freelists_.take(tables, [&](Gpa page) {
    cpu.work(cpu.costs().table_page);
    unit_.memory.free(page);
  });
}

}  // namespace gnomon::guest
