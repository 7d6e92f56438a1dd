// SPDX-License-Identifier: Apache-2.0
#include "models/pgtable/radix_table.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "models/pgtable/first_level_table.hpp"
#include "models/pgtable/second_stage_table.hpp"

namespace gnomon::pgtable {
namespace {

constexpr std::uint64_t address_limit = std::uint64_t{1} << 52;

std::uint64_t load(const std::byte* slot) {
  std::uint64_t raw;
  std::memcpy(&raw, slot, sizeof(raw));
  return raw;
}
void store(std::byte* slot, std::uint64_t raw) {
  std::memcpy(slot, &raw, sizeof(raw));
}

std::byte* slot_of(std::byte* page, Iova iova, unsigned level) {
  return page + std::size_t{vtd::table_index(iova, level)} * sizeof(std::uint64_t);
}

/// Last byte of the entry of `level` that holds `iova`.
Iova entry_last(Iova iova, unsigned level) {
  return {iova.value | (vtd::level_bytes(level) - 1)};
}

}  // namespace

template <class Format, class Space>
struct RadixTable<Format, Space>::MapRequest {
  Iova iova;  // advances; what is left is `bytes`
  std::uint64_t address;
  std::uint64_t bytes;
  Permissions permissions;
  PageSizes sizes;
  std::vector<Physical>& unlinked;
  MapOutcome outcome;

  bool leaf_fits(unsigned level) const {
    const std::uint64_t size = vtd::level_bytes(level);
    return (sizes & size) != 0 && bytes >= size && ((iova.value | address) & (size - 1)) == 0;
  }
};

template <class Format, class Space>
RadixTable<Format, Space>::RadixTable(TableMemory<Space>& memory, unsigned levels)
    : memory_(memory), levels_(levels) {
  if (levels < Format::least_levels || levels > Format::most_levels) {
    throw std::invalid_argument("the table's format has no tables of so many levels");
  }
  root_ = memory_.allocate();
}

template <class Format, class Space>
bool RadixTable<Format, Space>::in_range(Iova iova, std::uint64_t bytes) const {
  const std::uint64_t width = std::uint64_t{1} << Format::input_bits(levels_);  // 2^57 at most
  return bytes <= width && iova.value <= width - bytes;
}

template <class Format, class Space>
MapOutcome RadixTable<Format, Space>::map(Iova iova, Physical address, std::uint64_t bytes, Permissions permissions,
                                          PageSizes sizes, std::vector<Physical>& unlinked) {
  MapRequest request{iova, address.value, bytes, permissions, sizes & all_sizes, unlinked, {}};
  MapOutcome& outcome = request.outcome;
  const std::uint64_t smallest = request.sizes & (0 - request.sizes);
  if (smallest == 0 || ((iova.value | address.value | bytes) & (smallest - 1)) != 0) {
    outcome.status = MapStatus::misaligned;
  } else if (!in_range(iova, bytes) || bytes > address_limit || address.value > address_limit - bytes) {
    outcome.status = MapStatus::out_of_range;
  } else if (!permissions.read && !permissions.write) {
    outcome.status = MapStatus::no_permission;
  } else if (bytes != 0) {
    map_in_table(root_, levels_, request);
  }
  return outcome;
}

// Fills the entries of one table that the rest of the request reaches. False where an entry in use stopped it.
template <class Format, class Space>
bool RadixTable<Format, Space>::map_in_table(Physical table, unsigned level, MapRequest& r) {
  ++r.outcome.tables_visited;
  std::byte* page = memory_.page(table);
  std::byte* const page_end = page + page_size;
  for (std::byte* slot = slot_of(page, r.iova, level); slot != page_end && r.bytes != 0;
       slot += sizeof(std::uint64_t)) {
    if (r.leaf_fits(level)) {
      if (!make_leaf(slot, level, r)) return false;
    } else {
      const std::uint64_t entry = load(slot);
      if (Format::present(entry) && Format::leaf(entry, level)) {
        r.outcome.status = MapStatus::already_mapped;
        return false;
      }
      const Physical next = Format::present(entry) ? Physical{Format::address(entry)} : next_table(slot, r);
      if (!map_in_table(next, level - 1, r)) return false;
    }
  }
  return true;
}

template <class Format, class Space>
bool RadixTable<Format, Space>::make_leaf(std::byte* slot, unsigned level, MapRequest& r) {
  const std::uint64_t old = load(slot);
  if (Format::present(old)) {
    // Small mappings that came and went leave empty tables behind (4 KiB unmaps free none); a large leaf replaces
    // them.
    const std::size_t before = r.unlinked.size();
    if (Format::leaf(old, level) || !collect_if_empty({Format::address(old)}, level - 1, r.unlinked)) {
      r.unlinked.resize(before);
      r.outcome.status = MapStatus::already_mapped;
      return false;
    }
    r.outcome.tables_replaced += r.unlinked.size() - before;
  }
  store(slot, Format::make_leaf(r.address, r.permissions, level));
  const std::uint64_t size = vtd::level_bytes(level);
  r.iova += size;
  r.address += size;
  r.bytes -= size;
  r.outcome.bytes += size;
  ++r.outcome.leaves;
  ++r.outcome.entries_written;
  return true;
}

template <class Format, class Space>
Address<Space> RadixTable<Format, Space>::next_table(std::byte* slot, MapRequest& r) {
  const Physical table = memory_.allocate();
  store(slot, Format::make_table(table.value));
  ++r.outcome.tables_allocated;
  ++r.outcome.entries_written;
  return table;
}

// True where no leaf is below: the tables of the subtree are then appended. Otherwise what was appended is void.
template <class Format, class Space>
bool RadixTable<Format, Space>::collect_if_empty(Physical table, unsigned level,
                                                 std::vector<Physical>& unlinked) const {
  unlinked.push_back(table);
  const std::byte* page = memory_.page(table);
  for (const std::byte* slot = page; slot != page + page_size; slot += sizeof(std::uint64_t)) {
    const std::uint64_t entry = load(slot);
    if (!Format::present(entry)) continue;
    if (Format::leaf(entry, level) || !collect_if_empty({Format::address(entry)}, level - 1, unlinked))
      return false;
  }
  return true;
}

template <class Format, class Space>
UnmapOutcome RadixTable<Format, Space>::unmap(Iova iova, std::uint64_t bytes, std::vector<Physical>& unlinked) {
  UnmapOutcome outcome;
  outcome.first = outcome.end = iova;
  if (bytes != 0 && in_range(iova, bytes)) {
    unmap_in_table(root_, levels_, iova, iova + (bytes - 1), outcome, unlinked);
  }
  return outcome;
}

template <class Format, class Space>
void RadixTable<Format, Space>::unmap_in_table(Physical table, unsigned level, Iova iova, Iova last,
                                               UnmapOutcome& outcome, std::vector<Physical>& unlinked) {
  ++outcome.tables_visited;
  std::byte* slot = slot_of(memory_.page(table), iova, level);
  const std::uint64_t size = vtd::level_bytes(level);
  for (;; slot += sizeof(std::uint64_t)) {
    const Iova base{iova.value & ~(size - 1)};
    const Iova end_of_entry = entry_last(iova, level);
    const std::uint64_t entry = load(slot);
    if (Format::present(entry) && Format::leaf(entry, level)) {
      store(slot, 0);
      if (outcome.leaves++ == 0) outcome.first = base;
      outcome.end = base + size;
      outcome.bytes += size;
      ++outcome.entries_written;
    } else if (Format::present(entry)) {
      const Physical next{Format::address(entry)};
      if (iova == base && end_of_entry <= last) {
        store(slot, 0);
        ++outcome.entries_written;
        unlink(next, level - 1, base, outcome, unlinked);
      } else {
        unmap_in_table(next, level - 1, iova, std::min(last, end_of_entry), outcome, unlinked);
      }
    }
    if (end_of_entry >= last) return;
    iova = end_of_entry + 1;
  }
}

// The table's parent entry is gone. Counts the leaves lost with it and hands its pages over; entries stay as they
// are.
template <class Format, class Space>
void RadixTable<Format, Space>::unlink(Physical table, unsigned level, Iova base, UnmapOutcome& outcome,
                                       std::vector<Physical>& unlinked) {
  ++outcome.tables_visited;
  ++outcome.tables_unlinked;
  unlinked.push_back(table);
  const std::byte* page = memory_.page(table);
  const std::uint64_t size = vtd::level_bytes(level);
  for (const std::byte* slot = page; slot != page + page_size; slot += sizeof(std::uint64_t), base += size) {
    const std::uint64_t entry = load(slot);
    if (!Format::present(entry)) continue;
    if (Format::leaf(entry, level)) {
      if (outcome.leaves++ == 0) outcome.first = base;
      outcome.end = base + size;
      outcome.bytes += size;
    } else {
      unlink({Format::address(entry)}, level - 1, base, outcome, unlinked);
    }
  }
}

template <class Format, class Space>
auto RadixTable<Format, Space>::lookup(Iova iova) const -> std::optional<Found> {
  if (!in_range(iova, 1)) return std::nullopt;
  Permissions permissions = read_write;
  Physical table = root_;
  for (unsigned level = levels_;; --level) {
    const std::uint64_t entry = load(slot_of(memory_.page(table), iova, level));
    if (!Format::present(entry)) return std::nullopt;
    permissions = permissions & Format::permissions(entry);
    const Physical next{Format::address(entry)};
    if (Format::leaf(entry, level)) {
      const std::uint64_t size = vtd::level_bytes(level);
      return Found{next + (iova.value & (size - 1)), size, permissions};
    }
    table = next;
  }
}

template <class Format, class Space>
void RadixTable<Format, Space>::release() {
  release_table(root_, levels_);
}

template <class Format, class Space>
void RadixTable<Format, Space>::release_table(Physical table, unsigned level) {
  const std::byte* page = memory_.page(table);
  for (unsigned i = 0; level > 1 && i < vtd::table_entries; ++i) {
    const std::uint64_t entry = load(page + i * sizeof(std::uint64_t));
    if (Format::present(entry) && !Format::leaf(entry, level)) release_table({Format::address(entry)}, level - 1);
  }
  memory_.free(table);
}

template class RadixTable<SecondStageEntries, HpaSpace>;
template class RadixTable<SecondStageEntries, GpaSpace>;
template class RadixTable<FirstStageEntries, HpaSpace>;
template class RadixTable<FirstStageEntries, GpaSpace>;

}  // namespace gnomon::pgtable
