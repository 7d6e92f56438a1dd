// SPDX-License-Identifier: Apache-2.0
#include "models/pgtable/second_stage_table.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::pgtable {
namespace {

using vtd::SecondStagePte;

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
bool is_leaf(const SecondStagePte& e, unsigned level) {
  return level == 1 || e.ps;
}

/// Last byte of the entry of `level` that holds `iova`.
Iova entry_last(Iova iova, unsigned level) {
  return {iova.value | (vtd::level_bytes(level) - 1)};
}

}  // namespace

struct SecondStageTable::MapRequest {
  Iova iova;  // advances; what is left is `bytes`
  Hpa hpa;
  std::uint64_t bytes;
  Permissions permissions;
  PageSizes sizes;
  std::vector<Hpa>& unlinked;
  MapOutcome outcome;

  bool leaf_fits(unsigned level) const {
    const std::uint64_t size = vtd::level_bytes(level);
    return (sizes & size) != 0 && bytes >= size && ((iova.value | hpa.value) & (size - 1)) == 0;
  }
};

SecondStageTable::SecondStageTable(PhysicalMemory& memory, PageAllocator& allocator, unsigned levels)
    : memory_(memory), allocator_(allocator), levels_(levels) {
  if (levels < 3 || levels > 5) throw std::invalid_argument("a second-stage table has 3, 4 or 5 levels");
  root_ = allocator_.allocate();
}

bool SecondStageTable::in_range(Iova iova, std::uint64_t bytes) const {
  const std::uint64_t width = vtd::level_bytes(levels_ + 1);  // 2^57 at most
  return bytes <= width && iova.value <= width - bytes;
}

MapOutcome SecondStageTable::map(Iova iova, Hpa hpa, std::uint64_t bytes, Permissions permissions, PageSizes sizes,
                                 std::vector<Hpa>& unlinked) {
  MapRequest request{iova, hpa, bytes, permissions, sizes & all_sizes, unlinked, {}};
  MapOutcome& outcome = request.outcome;
  const std::uint64_t smallest = request.sizes & (0 - request.sizes);
  constexpr std::uint64_t hpa_limit = std::uint64_t{1} << 52;
  if (smallest == 0 || ((iova.value | hpa.value | bytes) & (smallest - 1)) != 0) {
    outcome.status = MapStatus::misaligned;
  } else if (!in_range(iova, bytes) || bytes > hpa_limit || hpa.value > hpa_limit - bytes) {
    outcome.status = MapStatus::out_of_range;
  } else if (!permissions.read && !permissions.write) {
    outcome.status = MapStatus::no_permission;
  } else if (bytes != 0) {
    map_in_table(root_, levels_, request);
  }
  return outcome;
}

// Fills the entries of one table that the rest of the request reaches. False where an entry in use stopped it.
bool SecondStageTable::map_in_table(Hpa table, unsigned level, MapRequest& r) {
  ++r.outcome.tables_visited;
  std::byte* page = memory_.at(table, page_size);
  std::byte* const page_end = page + page_size;
  for (std::byte* slot = slot_of(page, r.iova, level); slot != page_end && r.bytes != 0;
       slot += sizeof(std::uint64_t)) {
    if (r.leaf_fits(level)) {
      if (!make_leaf(slot, level, r)) return false;
    } else {
      const SecondStagePte entry = vtd::decode_second_stage_pte(load(slot));
      if (entry.present() && is_leaf(entry, level)) {
        r.outcome.status = MapStatus::already_mapped;
        return false;
      }
      const Hpa next = entry.present() ? entry.addr : next_table(slot, r);
      if (!map_in_table(next, level - 1, r)) return false;
    }
  }
  return true;
}

bool SecondStageTable::make_leaf(std::byte* slot, unsigned level, MapRequest& r) {
  const SecondStagePte old = vtd::decode_second_stage_pte(load(slot));
  if (old.present()) {
    // Small mappings that came and went leave empty tables behind (4 KiB unmaps free none); a large leaf replaces
    // them.
    const std::size_t before = r.unlinked.size();
    if (is_leaf(old, level) || !collect_if_empty(old.addr, level - 1, r.unlinked)) {
      r.unlinked.resize(before);
      r.outcome.status = MapStatus::already_mapped;
      return false;
    }
    r.outcome.tables_replaced += r.unlinked.size() - before;
  }
  const bool large = level > 1;
  store(slot, vtd::encode(SecondStagePte{r.permissions.read, r.permissions.write, large, false, r.hpa}));
  const std::uint64_t size = vtd::level_bytes(level);
  r.iova += size;
  r.hpa += size;
  r.bytes -= size;
  r.outcome.bytes += size;
  ++r.outcome.leaves;
  ++r.outcome.entries_written;
  return true;
}

Hpa SecondStageTable::next_table(std::byte* slot, MapRequest& r) {
  const Hpa table = allocator_.allocate();
  // Permissions are the AND over the levels: the upper ones grant all and leave it to the leaf, as Linux does.
  store(slot, vtd::encode(SecondStagePte{true, true, false, false, table}));
  ++r.outcome.tables_allocated;
  ++r.outcome.entries_written;
  return table;
}

// True where no leaf is below: the tables of the subtree are then appended. Otherwise what was appended is void.
bool SecondStageTable::collect_if_empty(Hpa table, unsigned level, std::vector<Hpa>& unlinked) const {
  unlinked.push_back(table);
  const std::byte* page = memory_.at(table, page_size);
  for (const std::byte* slot = page; slot != page + page_size; slot += sizeof(std::uint64_t)) {
    const SecondStagePte entry = vtd::decode_second_stage_pte(load(slot));
    if (!entry.present()) continue;
    if (is_leaf(entry, level) || !collect_if_empty(entry.addr, level - 1, unlinked)) return false;
  }
  return true;
}

UnmapOutcome SecondStageTable::unmap(Iova iova, std::uint64_t bytes, std::vector<Hpa>& unlinked) {
  UnmapOutcome outcome;
  outcome.first = outcome.end = iova;
  if (bytes != 0 && in_range(iova, bytes)) {
    unmap_in_table(root_, levels_, iova, iova + (bytes - 1), outcome, unlinked);
  }
  return outcome;
}

void SecondStageTable::unmap_in_table(Hpa table, unsigned level, Iova iova, Iova last, UnmapOutcome& outcome,
                                      std::vector<Hpa>& unlinked) {
  ++outcome.tables_visited;
  std::byte* slot = slot_of(memory_.at(table, page_size), iova, level);
  const std::uint64_t size = vtd::level_bytes(level);
  for (;; slot += sizeof(std::uint64_t)) {
    const Iova base{iova.value & ~(size - 1)};
    const Iova end_of_entry = entry_last(iova, level);
    const SecondStagePte entry = vtd::decode_second_stage_pte(load(slot));
    if (entry.present() && is_leaf(entry, level)) {
      store(slot, 0);
      if (outcome.leaves++ == 0) outcome.first = base;
      outcome.end = base + size;
      outcome.bytes += size;
      ++outcome.entries_written;
    } else if (entry.present()) {
      if (iova == base && end_of_entry <= last) {
        store(slot, 0);
        ++outcome.entries_written;
        unlink(entry.addr, level - 1, base, outcome, unlinked);
      } else {
        unmap_in_table(entry.addr, level - 1, iova, std::min(last, end_of_entry), outcome, unlinked);
      }
    }
    if (end_of_entry >= last) return;
    iova = end_of_entry + 1;
  }
}

// The table's parent entry is gone. Counts the leaves lost with it and hands its pages over; entries stay as they
// are.
void SecondStageTable::unlink(Hpa table, unsigned level, Iova base, UnmapOutcome& outcome,
                              std::vector<Hpa>& unlinked) {
  ++outcome.tables_visited;
  ++outcome.tables_unlinked;
  unlinked.push_back(table);
  const std::byte* page = memory_.at(table, page_size);
  const std::uint64_t size = vtd::level_bytes(level);
  for (const std::byte* slot = page; slot != page + page_size; slot += sizeof(std::uint64_t), base += size) {
    const SecondStagePte entry = vtd::decode_second_stage_pte(load(slot));
    if (!entry.present()) continue;
    if (is_leaf(entry, level)) {
      if (outcome.leaves++ == 0) outcome.first = base;
      outcome.end = base + size;
      outcome.bytes += size;
    } else {
      unlink(entry.addr, level - 1, base, outcome, unlinked);
    }
  }
}

std::optional<Mapping> SecondStageTable::lookup(Iova iova) const {
  if (!in_range(iova, 1)) return std::nullopt;
  Permissions permissions = read_write;
  Hpa table = root_;
  for (unsigned level = levels_;; --level) {
    const SecondStagePte entry =
        vtd::decode_second_stage_pte(load(slot_of(memory_.at(table, page_size), iova, level)));
    if (!entry.present()) return std::nullopt;
    permissions = permissions & Permissions{entry.r, entry.w};
    if (is_leaf(entry, level)) {
      const std::uint64_t size = vtd::level_bytes(level);
      return Mapping{entry.addr + (iova.value & (size - 1)), size, permissions};
    }
    table = entry.addr;
  }
}

void SecondStageTable::release() {
  release_table(root_, levels_);
}

void SecondStageTable::release_table(Hpa table, unsigned level) {
  const std::byte* page = memory_.at(table, page_size);
  for (unsigned i = 0; level > 1 && i < vtd::table_entries; ++i) {
    const SecondStagePte entry = vtd::decode_second_stage_pte(load(page + i * sizeof(std::uint64_t)));
    if (entry.present() && !entry.ps) release_table(entry.addr, level - 1);
  }
  allocator_.free(table);
}

}  // namespace gnomon::pgtable
