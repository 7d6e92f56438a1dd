// SPDX-License-Identifier: Apache-2.0
#include "models/pgtable/arm_lpae_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace gnomon::pgtable {
namespace {

using smmuv3::DescriptorKind;

std::uint64_t load(const std::byte* slot) {
  std::uint64_t raw;
  std::memcpy(&raw, slot, sizeof(raw));
  return raw;
}
void store(std::byte* slot, std::uint64_t raw) {
  std::memcpy(slot, &raw, sizeof(raw));
}
constexpr std::size_t entry_bytes = sizeof(std::uint64_t);

/// The level that holds leaves of `page_bytes`, one of all_sizes.
constexpr unsigned level_of(std::uint64_t page_bytes) {
  return (static_cast<unsigned>(std::countr_zero(page_bytes)) - 12) / 9 + 1;
}
constexpr bool is_page_size(std::uint64_t page_bytes) {
  return std::has_single_bit(page_bytes) && (page_bytes & all_sizes) != 0;
}

unsigned checked_bits(unsigned input_bits) {
  if (input_bits < 25 || input_bits > 48) throw std::invalid_argument("an LPAE table has 25 to 48 input bits");
  return input_bits;
}

}  // namespace

template <class Space>
ArmLpaeTable<Space>::ArmLpaeTable(TableMemory<Space>& memory, smmuv3::Stage stage, unsigned input_bits)
    : memory_(memory),
      stage_(stage),
      input_bits_(checked_bits(input_bits)),
      levels_(smmuv3::levels_of(input_bits)),
      root_(memory.allocate()) {}

template <class Space>
std::uint64_t ArmLpaeTable<Space>::entries_to_edge(Iova iova, std::uint64_t page_bytes) {
  return smmuv3::table_entries - smmuv3::table_index(iova.value, level_of(page_bytes));
}

template <class Space>
LpaeMapStatus ArmLpaeTable<Space>::check(Iova iova, std::uint64_t address, std::uint64_t page_bytes,
                                         std::uint64_t count, Permissions permissions) const {
  if (!is_page_size(page_bytes) || level_of(page_bytes) > levels_) return LpaeMapStatus::unsupported_size;
  if (((iova.value | address) & (page_bytes - 1)) != 0) return LpaeMapStatus::misaligned;
  constexpr std::uint64_t limit = std::uint64_t{1} << 48;
  const std::uint64_t span = std::uint64_t{1} << input_bits_;
  if (count > span / page_bytes) return LpaeMapStatus::out_of_range;
  const std::uint64_t bytes = count * page_bytes;
  if (iova.value > span - bytes || address > limit - bytes) return LpaeMapStatus::out_of_range;
  return permissions.read || permissions.write ? LpaeMapStatus::done : LpaeMapStatus::no_permission;
}

// As far as `level`, or to what ends the walk before: a leaf or an invalid entry.
template <class Space>
auto ArmLpaeTable<Space>::descend(Iova iova, unsigned level, std::uint64_t& levels_walked) const -> Slot {
  std::byte* page = memory_.page(root_);
  for (unsigned at = levels_;; --at) {
    ++levels_walked;
    std::byte* const slot = page + smmuv3::table_index(iova.value, at) * entry_bytes;
    if (at == level) return {slot, at};
    const std::uint64_t raw = load(slot);
    if (smmuv3::kind_of(raw, at) != DescriptorKind::table) return {slot, at};
    page = memory_.page(PhysicalAddress{smmuv3::address_of(raw)});
  }
}

template <class Space>
LpaeMapOutcome ArmLpaeTable<Space>::map(Iova iova, PhysicalAddress address, std::uint64_t page_bytes,
                                        std::uint64_t count, Permissions permissions) {
  LpaeMapOutcome outcome;
  outcome.status = check(iova, address.value, page_bytes, count, permissions);
  if (outcome.status != LpaeMapStatus::done || count == 0) return outcome;
  const unsigned level = level_of(page_bytes);
  Slot slot = descend(iova, level, outcome.levels_walked);
  while (slot.level != level) {
    if (smmuv3::kind_of(load(slot.entry), slot.level) == DescriptorKind::leaf) {
      outcome.status = LpaeMapStatus::already_mapped;
      return outcome;
    }
    const PhysicalAddress table = memory_.allocate();
    store(slot.entry, smmuv3::make_table(table.value));
    ++outcome.tables_allocated;
    ++outcome.levels_walked;
    --slot.level;
    slot.entry = memory_.page(table) + smmuv3::table_index(iova.value, slot.level) * entry_bytes;
  }
  const std::uint64_t here = std::min(count, entries_to_edge(iova, page_bytes));
  const smmuv3::LeafAccess access{permissions.read, permissions.write};
  for (std::uint64_t i = 0; i != here; ++i, slot.entry += entry_bytes, address += page_bytes) {
    const DescriptorKind old = smmuv3::kind_of(load(slot.entry), level);
    if (old != DescriptorKind::invalid) {
      outcome.status =
          old == DescriptorKind::leaf ? LpaeMapStatus::already_mapped : LpaeMapStatus::table_in_the_way;
      break;
    }
    store(slot.entry, smmuv3::make_leaf(address.value, level, stage_, access));
    outcome.bytes += page_bytes;
    ++outcome.leaves;
  }
  return outcome;
}

template <class Space>
LpaeUnmapOutcome ArmLpaeTable<Space>::unmap(Iova iova, std::uint64_t page_bytes, std::uint64_t count,
                                            bool split_blocks, std::vector<PhysicalAddress>& unlinked) {
  LpaeUnmapOutcome outcome;
  if (!is_page_size(page_bytes) || level_of(page_bytes) > levels_ || count == 0) return outcome;
  if ((iova.value & (page_bytes - 1)) != 0 || (iova.value >> input_bits_) != 0) return outcome;
  const unsigned level = level_of(page_bytes);
  const Slot slot = descend(iova, level, outcome.levels_walked);
  const std::uint64_t first = load(slot.entry);
  const DescriptorKind kind = smmuv3::kind_of(first, slot.level);
  if (kind == DescriptorKind::invalid) return outcome;
  count = std::min(count, entries_to_edge(iova, page_bytes));
  if (slot.level != level) {  // a larger leaf
    outcome.kind = LpaeUnmapped::refused;
    if (!split_blocks) return outcome;
    const std::uint64_t walked = outcome.levels_walked;
    outcome = split(slot, iova, level, count);
    outcome.levels_walked += walked;
    return outcome;
  }
  if (kind == DescriptorKind::table) {
    store(slot.entry, 0);
    const std::size_t before = unlinked.size();
    collect(PhysicalAddress{smmuv3::address_of(first)}, level - 1, unlinked);
    outcome.kind = LpaeUnmapped::table;
    outcome.bytes = page_bytes;
    outcome.entries = outcome.entries_written = 1;
    outcome.tables_unlinked = unlinked.size() - before;
    return outcome;
  }
  outcome.kind = LpaeUnmapped::leaves;
  std::byte* at = slot.entry;
  while (outcome.entries != count && smmuv3::kind_of(load(at), level) == DescriptorKind::leaf) {
    store(at, 0);
    at += entry_bytes;
    ++outcome.entries;
  }
  outcome.entries_written = outcome.entries;
  outcome.bytes = outcome.entries * page_bytes;
  return outcome;
}

// The block becomes a table, and that part of it which holds `iova` again, down to `level`, where `count` are left
// out. The new table is complete before the block's entry points to it.
template <class Space>
LpaeUnmapOutcome ArmLpaeTable<Space>::split(Slot block, Iova iova, unsigned level, std::uint64_t count) {
  LpaeUnmapOutcome outcome;
  outcome.kind = LpaeUnmapped::split;
  while (block.level != level) {
    const std::uint64_t raw = load(block.entry);
    const unsigned below = block.level - 1;
    const PhysicalAddress table = memory_.allocate();
    ++outcome.tables_allocated;
    ++outcome.levels_walked;
    const std::uint64_t attributes = raw & ~smmuv3::descriptor_address_mask & ~std::uint64_t{3};
    const std::uint64_t type = below == 1 ? smmuv3::descriptor::page : smmuv3::descriptor::block;
    const std::uint64_t base = smmuv3::address_of(raw);
    const unsigned first = smmuv3::table_index(iova.value, below);
    const std::uint64_t left_out = below == level ? count : 0;
    std::byte* const page = memory_.page(table);
    for (unsigned i = 0; i != smmuv3::table_entries; ++i) {
      if (i >= first && i < first + left_out) continue;
      store(page + i * entry_bytes, (base + i * smmuv3::level_bytes(below)) | attributes | type);
      ++outcome.entries_written;
    }
    store(block.entry, smmuv3::make_table(table.value));
    ++outcome.entries_written;
    block = {page + first * entry_bytes, below};
  }
  outcome.entries = count;
  outcome.bytes = count * smmuv3::level_bytes(level);
  return outcome;
}

template <class Space>
void ArmLpaeTable<Space>::collect(PhysicalAddress table, unsigned level,
                                  std::vector<PhysicalAddress>& tables) const {
  tables.push_back(table);
  const std::byte* page = memory_.page(table);
  for (unsigned i = 0; level > 1 && i != smmuv3::table_entries; ++i) {
    const std::uint64_t raw = load(page + i * entry_bytes);
    if (smmuv3::kind_of(raw, level) == DescriptorKind::table) {
      collect(PhysicalAddress{smmuv3::address_of(raw)}, level - 1, tables);
    }
  }
}

template <class Space>
auto ArmLpaeTable<Space>::lookup(Iova iova) const -> std::optional<Found> {
  if ((iova.value >> input_bits_) != 0) return std::nullopt;
  std::uint64_t walked = 0;
  const Slot slot = descend(iova, 1, walked);
  const std::uint64_t raw = load(slot.entry);
  if (smmuv3::kind_of(raw, slot.level) != DescriptorKind::leaf) return std::nullopt;
  const std::uint64_t size = smmuv3::level_bytes(slot.level);
  const smmuv3::LeafAccess access = smmuv3::access_of_leaf(raw, stage_);
  return Found{PhysicalAddress{(smmuv3::address_of(raw) & ~(size - 1)) + (iova.value & (size - 1))},
               size,
               {access.read, access.write}};
}

template <class Space>
void ArmLpaeTable<Space>::release() {
  std::vector<PhysicalAddress> tables;
  collect(root_, levels_, tables);
  for (const PhysicalAddress table : tables) memory_.free(table);
}

template class ArmLpaeTable<HpaSpace>;
template class ArmLpaeTable<GpaSpace>;

}  // namespace gnomon::pgtable
