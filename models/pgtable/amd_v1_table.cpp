// SPDX-License-Identifier: Apache-2.0
#include "models/pgtable/amd_v1_table.hpp"

#include <bit>
#include <cstring>

#include "models/spec/amdvi/device_table.hpp"
#include "models/spec/amdvi/page_table.hpp"

namespace gnomon::pgtable {
namespace {

using amdvi::PageTableEntry;

std::uint64_t load(const std::byte* slot) {
  std::uint64_t raw;
  std::memcpy(&raw, slot, sizeof(raw));
  return raw;
}
void store(std::byte* slot, std::uint64_t raw) {
  std::memcpy(slot, &raw, sizeof(raw));
}
std::byte* slot_of(std::byte* page, Iova iova, unsigned level) {
  return page + std::size_t{amdvi::table_index(iova, level)} * sizeof(std::uint64_t);
}
/// The first of the equal entries that make the leaf, one of which `slot` is. Tables are page aligned in the host,
/// so replicas are aligned to their number.
std::byte* first_replica(std::byte* page, std::byte* slot, unsigned replicas) {
  const auto offset = static_cast<std::size_t>(slot - page);
  return page + (offset & ~(replicas * sizeof(std::uint64_t) - 1));
}
/// Entries hold addresses of the table's own space; the encoding calls them Hpa, as the unit that reads them does.
PageTableEntry pointer_to(std::uint64_t table, unsigned level) {
  return {true, static_cast<std::uint8_t>(level), Hpa{table}, false, true, true};
}

AmdMapStatus check(Iova iova, std::uint64_t address, std::uint64_t page_bytes, std::uint64_t count,
                   Permissions permissions) {
  if (!std::has_single_bit(page_bytes) || (page_bytes & amd_v1_sizes) == 0) return AmdMapStatus::unsupported_size;
  if (((iova.value | address) & (page_bytes - 1)) != 0) return AmdMapStatus::misaligned;
  constexpr std::uint64_t limit = std::uint64_t{1} << 52;
  if (count > limit / page_bytes) return AmdMapStatus::out_of_range;
  const std::uint64_t bytes = count * page_bytes;
  if (address > limit - bytes) return AmdMapStatus::out_of_range;
  if (bytes != 0 && iova.value + (bytes - 1) < iova.value) return AmdMapStatus::out_of_range;
  return permissions.read || permissions.write ? AmdMapStatus::done : AmdMapStatus::no_permission;
}

}  // namespace

template <class Space>
struct AmdV1Table<Space>::Slot {
  std::byte* first;  // of the replicas
  unsigned replicas;
  unsigned level;
  PageTableEntry entry;
  Permissions permissions;
  std::uint64_t bytes() const { return amdvi::leaf_bytes(entry, level); }
};

template <class Space>
AmdMapOutcome AmdV1Table<Space>::map(Iova iova, PhysicalAddress address, std::uint64_t page_bytes,
                                     std::uint64_t count, Permissions permissions,
                                     std::vector<PhysicalAddress>& unlinked) {
  AmdMapOutcome outcome;
  outcome.status = check(iova, address.value, page_bytes, count, permissions);
  if (outcome.status != AmdMapStatus::done) return outcome;
  const unsigned level = amdvi::level_of_leaf(page_bytes);
  const unsigned replicas = amdvi::leaf_replicas(page_bytes);
  for (; count != 0; --count, iova += page_bytes, address += page_bytes) {
    while (!amdvi::in_span(iova + (page_bytes - 1), levels_) || levels_ < level) grow(outcome);
    std::byte* const slot = entry_for(iova, level, outcome);
    const std::uint64_t leaf =
        encode(amdvi::make_leaf(Hpa{address.value}, page_bytes, permissions.read, permissions.write));
    for (unsigned i = 0; i != replicas; ++i) {
      clear_for_leaf(slot + i * sizeof(leaf), level, outcome, unlinked);
      store(slot + i * sizeof(leaf), leaf);
    }
    outcome.entries_written += replicas;
    outcome.bytes += page_bytes;
    ++outcome.leaves;
  }
  return outcome;
}

// The old root becomes the first table below a new one.
template <class Space>
void AmdV1Table<Space>::grow(AmdMapOutcome& outcome) {
  const PhysicalAddress root = memory_.allocate();
  store(memory_.page(root), encode(pointer_to(root_.value, levels_)));
  root_ = root;
  ++levels_;
  ++outcome.tables_allocated;
  ++outcome.entries_written;
  outcome.root_changed = true;
}

// The slot of `level` for `iova`, with tables made down to it. A larger leaf on the way gives way to a table.
template <class Space>
std::byte* AmdV1Table<Space>::entry_for(Iova iova, unsigned level, AmdMapOutcome& outcome) {
  unsigned at = levels_;
  std::byte* page = memory_.page(root_);
  for (;;) {
    std::byte* const slot = slot_of(page, iova, at);
    ++outcome.levels_walked;
    if (at == level) return slot;
    PageTableEntry entry = amdvi::decode_page_table_entry(load(slot));
    if (!entry.pr || entry.leaf()) {
      if (entry.pr) {
        const unsigned replicas = amdvi::leaf_replicas(amdvi::leaf_bytes(entry, at));
        std::byte* const first = first_replica(page, slot, replicas);
        for (unsigned i = 0; i != replicas; ++i) store(first + i * sizeof(std::uint64_t), 0);
        outcome.entries_written += replicas;
        outcome.updated = true;
      }
      entry = pointer_to(memory_.allocate().value, at - 1);
      store(slot, encode(entry));
      ++outcome.tables_allocated;
      ++outcome.entries_written;
    }
    page = memory_.page(PhysicalAddress{entry.addr.value});
    --at;
  }
}

template <class Space>
void AmdV1Table<Space>::clear_for_leaf(std::byte* slot, unsigned level, AmdMapOutcome& outcome,
                                       std::vector<PhysicalAddress>& unlinked) {
  const PageTableEntry old = amdvi::decode_page_table_entry(load(slot));
  if (!old.pr) return;
  store(slot, 0);
  ++outcome.entries_written;
  if (old.leaf()) return;
  const std::size_t before = unlinked.size();
  collect(PhysicalAddress{old.addr.value}, level - 1, unlinked);
  outcome.tables_unlinked += unlinked.size() - before;
  outcome.updated = true;
}

template <class Space>
void AmdV1Table<Space>::collect(PhysicalAddress table, unsigned level, std::vector<PhysicalAddress>& tables) const {
  tables.push_back(table);
  const std::byte* page = memory_.page(table);
  for (unsigned i = 0; level > 1 && i != amdvi::table_entries; ++i) {
    const PageTableEntry entry = amdvi::decode_page_table_entry(load(page + i * sizeof(std::uint64_t)));
    if (entry.pr && !entry.leaf()) collect(PhysicalAddress{entry.addr.value}, level - 1, tables);
  }
}

template <class Space>
auto AmdV1Table<Space>::find_leaf(Iova iova, std::uint64_t& levels_walked) const -> std::optional<Slot> {
  if (!amdvi::in_span(iova, levels_)) return std::nullopt;
  Permissions permissions = read_write;
  std::byte* page = memory_.page(root_);
  for (unsigned level = levels_;; --level) {
    ++levels_walked;
    std::byte* const slot = slot_of(page, iova, level);
    const PageTableEntry entry = amdvi::decode_page_table_entry(load(slot));
    if (!entry.pr) return std::nullopt;
    permissions = permissions & Permissions{entry.ir, entry.iw};
    if (entry.leaf()) {
      const unsigned replicas = amdvi::leaf_replicas(amdvi::leaf_bytes(entry, level));
      return Slot{first_replica(page, slot, replicas), replicas, level, entry, permissions};
    }
    page = memory_.page(PhysicalAddress{entry.addr.value});
  }
}

template <class Space>
AmdUnmapOutcome AmdV1Table<Space>::unmap(Iova iova, std::uint64_t bytes) {
  AmdUnmapOutcome outcome;
  outcome.first = outcome.end = iova;
  while (outcome.bytes < bytes) {
    const std::optional<Slot> leaf = find_leaf(iova, outcome.levels_walked);
    if (!leaf) break;
    for (unsigned i = 0; i != leaf->replicas; ++i) store(leaf->first + i * sizeof(std::uint64_t), 0);
    const std::uint64_t size = leaf->bytes();
    const Iova base{iova.value & ~(size - 1)};
    if (outcome.leaves++ == 0) outcome.first = base;
    outcome.entries_written += leaf->replicas;
    outcome.bytes += size;
    outcome.end = iova = base + size;
  }
  return outcome;
}

template <class Space>
auto AmdV1Table<Space>::lookup(Iova iova) const -> std::optional<Found> {
  std::uint64_t walked = 0;
  const std::optional<Slot> leaf = find_leaf(iova, walked);
  if (!leaf) return std::nullopt;
  const std::uint64_t size = leaf->bytes();
  const std::uint64_t base = amdvi::leaf_base(leaf->entry, leaf->level).value;
  return Found{PhysicalAddress{base + (iova.value & (size - 1))}, size, leaf->permissions};
}

template <class Space>
void AmdV1Table<Space>::release() {
  std::vector<PhysicalAddress> tables;
  collect(root_, levels_, tables);
  for (const PhysicalAddress table : tables) memory_.free(table);
}

template class AmdV1Table<HpaSpace>;
template class AmdV1Table<GpaSpace>;

}  // namespace gnomon::pgtable
