// SPDX-License-Identifier: Apache-2.0
#include "guest/iommu/plain_page_table.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace gnomon::guest {

namespace {
// An entry: bit 0 present, bit 1 leaf, bits 2 and 3 read and write, bits 4 to 9 log2 of a leaf's bytes, from bit 12
// on the leaf's target or the number of the next table.
constexpr std::uint64_t present = 1;
constexpr std::uint64_t leaf = 2;
constexpr std::uint64_t readable = 4;
constexpr std::uint64_t writable = 8;
constexpr unsigned order_shift = 4;

bool is_leaf(std::uint64_t entry) {
  return (entry & leaf) != 0;
}
bool is_table(std::uint64_t entry) {
  return (entry & (present | leaf)) == present;
}
unsigned order_of(std::uint64_t entry) {
  return (entry >> order_shift) & 63;
}
std::uint32_t table_of(std::uint64_t entry) {
  return static_cast<std::uint32_t>(entry >> page_shift);
}
}  // namespace

PlainPageTable::PlainPageTable(unsigned levels) : levels_(levels), tables_(1) {
  if (levels == 0 || levels > most_levels) throw std::invalid_argument("PlainPageTable: 1 to 6 levels");
}

bool PlainPageTable::beyond(std::uint64_t last) const {
  return shift(levels_) < 64 && (last >> shift(levels_)) != 0;
}

std::optional<PlainPageTable::Leaf> PlainPageTable::find(Iova iova) const {
  if (beyond(iova.value)) return std::nullopt;
  std::uint32_t table = 0;
  for (unsigned level = levels_; level-- > 0;) {
    const Entry entry = tables_[table].entries[index(iova.value, level)];
    if (is_leaf(entry)) {
      const std::uint64_t bytes = std::uint64_t{1} << order_of(entry);
      return Leaf{{iova.value & ~(bytes - 1)},
                  {entry >> page_shift << page_shift},
                  bytes,
                  {(entry & readable) != 0, (entry & writable) != 0}};
    }
    if (!is_table(entry)) return std::nullopt;
    table = table_of(entry);
  }
  return std::nullopt;
}

std::uint32_t PlainPageTable::allocate() {
  if (free_.empty()) {
    tables_.emplace_back();
    return static_cast<std::uint32_t>(tables_.size() - 1);
  }
  const std::uint32_t table = free_.back();
  free_.pop_back();
  tables_[table] = Table{};
  return table;
}

bool PlainPageTable::holds_leaves(Entry entry) const {
  if (is_leaf(entry)) return true;
  if (!is_table(entry)) return false;
  const Table& table = tables_[table_of(entry)];
  return table.used != 0 && std::any_of(table.entries.begin(), table.entries.end(),
                                        [this](Entry below) { return holds_leaves(below); });
}

PlainPageTable::MapStep PlainPageTable::map(Iova iova, Gpa gpa, unsigned order, DmaAccess access,
                                            FreelistHandle& replaced) {
  MapStep step;
  const std::uint64_t bytes = std::uint64_t{1} << order;
  const unsigned leaf_level = (order - static_cast<unsigned>(page_shift)) / 9;
  if (beyond(iova.value + (bytes - 1)) || leaf_level >= levels_) return {ERANGE, 0, 0};
  std::uint32_t table = 0;
  for (unsigned level = levels_ - 1; level > leaf_level; --level) {
    const unsigned slot = index(iova.value, level);
    const Entry entry = tables_[table].entries[slot];
    if (is_leaf(entry)) return {EEXIST, 0, step.tables};
    std::uint32_t below = table_of(entry);
    if (!is_table(entry)) {
      below = allocate();
      ++step.tables;
      ++tables_[table].used;
      tables_[table].entries[slot] = (std::uint64_t{below} << page_shift) | present;
    }
    table = below;
  }
  const unsigned first = index(iova.value, leaf_level);
  const unsigned end = first + (1u << (order - shift(leaf_level)));
  const auto begin = tables_[table].entries.begin();
  if (std::any_of(begin + first, begin + end, [this](Entry entry) { return holds_leaves(entry); })) {
    return {EEXIST, 0, step.tables};
  }
  const Entry entry = gpa.value | (std::uint64_t{order} << order_shift) | leaf | present |
                      (access.read ? readable : 0) | (access.write ? writable : 0);
  for (unsigned slot = first; slot < end; ++slot) {
    if (is_table(tables_[table].entries[slot])) unlink(table, slot, replaced);
    tables_[table].entries[slot] = entry;
  }
  step.entries = end - first;
  tables_[table].used += step.entries;
  mapped_bytes_ += bytes;
  return step;
}

PlainPageTable::UnmapStep PlainPageTable::unmap(Iova iova) {
  if (beyond(iova.value)) return {};
  std::uint32_t table = 0;
  for (unsigned level = levels_; level-- > 0;) {
    const Entry entry = tables_[table].entries[index(iova.value, level)];
    if (is_leaf(entry)) {
      const unsigned order = order_of(entry);
      const std::uint64_t bytes = std::uint64_t{1} << order;
      const std::uint64_t start = iova.value & ~(bytes - 1);
      const unsigned replicas = 1u << (order - shift(level));
      std::fill_n(tables_[table].entries.begin() + index(start, level), replicas, Entry{0});
      tables_[table].used -= replicas;
      mapped_bytes_ -= bytes;
      return {{start}, bytes, replicas};
    }
    if (!is_table(entry)) return {};
    table = table_of(entry);
  }
  return {};
}

void PlainPageTable::unlink(std::uint32_t table, unsigned slot, FreelistHandle& freelist) {
  const std::uint32_t below = table_of(std::exchange(tables_[table].entries[slot], Entry{0}));
  --tables_[table].used;
  for (unsigned i = 0; i < entries_per_table && tables_[below].used != 0; ++i) {
    if (is_table(tables_[below].entries[i])) unlink(below, i, freelist);
  }
  tables_[below].next = freelist.value;
  freelist.value = below;
}

void PlainPageTable::detach(std::uint32_t table, unsigned level, std::uint64_t base, Range range,
                            FreelistHandle& freelist) {
  const std::uint64_t span = std::uint64_t{1} << shift(level);
  const std::uint64_t from = std::max(range.first, base);
  for (unsigned slot = index(from, level); slot < entries_per_table; ++slot) {
    const std::uint64_t start = base + slot * span;
    if (start > range.last) break;
    const Entry entry = tables_[table].entries[slot];
    if (!is_table(entry)) continue;
    const std::uint64_t end = start + (span - 1);
    if (range.first <= start && end <= range.last && !holds_leaves(entry)) {
      unlink(table, slot, freelist);
    } else if (level > 1) {
      detach(table_of(entry), level - 1, start, range, freelist);
    }
  }
}

void PlainPageTable::detach_tables(Iova first, Iova last, FreelistHandle& freelist) {
  if (levels_ > 1) detach(0, levels_ - 1, 0, {first.value, last.value}, freelist);
}

unsigned PlainPageTable::free_tables(FreelistHandle freelist) {
  unsigned freed = 0;
  for (std::uint32_t table = freelist.value; table != 0; table = tables_[table].next) {
    free_.push_back(table);
    ++freed;
  }
  return freed;
}

void PlainPageTable::join(FreelistHandle& freelist, FreelistHandle more) {
  if (more.empty()) return;
  std::uint32_t end = more.value;
  while (tables_[end].next != 0) end = tables_[end].next;
  tables_[end].next = freelist.value;
  freelist.value = more.value;
}

}  // namespace gnomon::guest
