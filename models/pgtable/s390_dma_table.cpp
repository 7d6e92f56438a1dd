// SPDX-License-Identifier: Apache-2.0
#include "models/pgtable/s390_dma_table.hpp"

#include <cstring>

#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon::pgtable {

namespace s390 = s390_pci;

namespace {

std::uint64_t load(const std::byte* slot) {
  std::uint64_t raw;
  std::memcpy(&raw, slot, sizeof(raw));
  return s390::big_endian(raw);
}
void store(std::byte* slot, std::uint64_t entry) {
  const std::uint64_t raw = s390::big_endian(entry);
  std::memcpy(slot, &raw, sizeof(raw));
}
void fill(std::byte* first, std::uint64_t bytes, std::uint64_t entry) {
  for (std::uint64_t at = 0; at < bytes; at += sizeof(entry)) store(first + at, entry);
}

}  // namespace

template <class Space>
S390DmaTable<Space>::S390DmaTable(TableMemory<Space>& memory) : memory_(memory), root_(new_table()) {}

template <class Space>
std::byte* S390DmaTable<Space>::slot(Physical table, unsigned index) const {
  const Physical at = table + std::uint64_t{index} * sizeof(std::uint64_t);  // a table's pages may lie apart below
  return memory_.page(at - at.offset_in_page()) + at.offset_in_page();
}

template <class Space>
auto S390DmaTable<Space>::new_table() -> Physical {
  const Physical table = memory_.allocate_block(s390::table_bytes);
  for (std::uint64_t at = 0; at < s390::table_bytes; at += page_size) {
    fill(memory_.page(table + at), page_size, s390::empty_directory_entry);
  }
  return table;
}

template <class Space>
auto S390DmaTable<Space>::new_page_table() -> Physical {
  Physical table{};
  if (spare_half_) {
    table = *spare_half_;
    spare_half_.reset();
  } else {
    table = memory_.allocate();
    spare_half_ = table + s390::page_table_bytes;
  }
  fill(slot(table, 0), s390::page_table_bytes, s390::empty_page_entry);
  return table;
}

template <class Space>
S390MapStatus S390DmaTable<Space>::check(std::uint64_t bits, Iova iova, std::uint64_t bytes) const {
  if ((bits & (page_size - 1)) != 0) return S390MapStatus::misaligned;
  if (bytes > s390::table_span || iova.value > s390::table_span - bytes) return S390MapStatus::out_of_range;
  return S390MapStatus::done;
}

/// The page's entry; tables that are not there are made. Null where memory for one is not to be had.
template <class Space>
std::byte* S390DmaTable<Space>::walk(Iova iova, S390Outcome& outcome) {
  outcome.levels_walked += 3;
  std::byte* region = slot(root_, s390::region_index(iova));
  try {
    if (!s390::directory_valid(load(region))) {
      store(region, s390::region_entry(new_table()));
      ++outcome.entries_written;
      ++outcome.tables_allocated;
    }
    const Physical segments{load(region) & s390::region_origin_mask};
    std::byte* segment = slot(segments, s390::segment_index(iova));
    if (!s390::directory_valid(load(segment))) {
      store(segment, s390::segment_entry(new_page_table()));
      ++outcome.entries_written;
      ++outcome.tables_allocated;
    }
    const Physical pages{load(segment) & s390::segment_origin_mask};
    return slot(pages, s390::page_index(iova));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

template <class Space>
S390Outcome S390DmaTable<Space>::map(Iova iova, Physical address, std::uint64_t bytes, bool writable) {
  S390Outcome outcome;
  outcome.status = check(iova.value | address.value | bytes, iova, bytes);
  if (outcome.status != S390MapStatus::done) return outcome;
  for (std::uint64_t at = 0; at < bytes; at += page_size) {
    std::byte* entry = walk(iova + at, outcome);
    if (entry == nullptr) {
      outcome.status = S390MapStatus::no_memory;
      break;
    }
    store(entry, s390::page_entry(address + at, writable));
    ++outcome.entries_written;
    outcome.bytes += page_size;
  }
  if (outcome.status == S390MapStatus::done) return outcome;
  for (; outcome.bytes != 0; outcome.bytes -= page_size, ++outcome.entries_written) {
    store(walk(iova + (outcome.bytes - page_size), outcome), s390::empty_page_entry);
  }
  return outcome;
}

template <class Space>
S390Outcome S390DmaTable<Space>::unmap(Iova iova, std::uint64_t bytes) {
  S390Outcome outcome;
  outcome.status = check(iova.value | bytes, iova, bytes);
  if (outcome.status != S390MapStatus::done) return outcome;
  for (; outcome.bytes < bytes; outcome.bytes += page_size) {
    std::byte* entry = walk(iova + outcome.bytes, outcome);
    if (entry == nullptr) {
      outcome.status = S390MapStatus::no_memory;
      break;
    }
    store(entry, s390::empty_page_entry);
    ++outcome.entries_written;
  }
  return outcome;
}

template <class Space>
auto S390DmaTable<Space>::lookup(Iova iova) const -> std::optional<Found> {
  if (iova.value >= s390::table_span) return std::nullopt;
  const std::uint64_t region = load(slot(root_, s390::region_index(iova)));
  if (!s390::directory_valid(region)) return std::nullopt;
  const std::uint64_t segment = load(slot(Physical{region & s390::region_origin_mask}, s390::segment_index(iova)));
  if (!s390::directory_valid(segment)) return std::nullopt;
  const std::uint64_t page = load(slot(Physical{segment & s390::segment_origin_mask}, s390::page_index(iova)));
  if (!s390::page_valid(page)) return std::nullopt;
  const Physical target{(page & s390::page_frame_mask) + iova.offset_in_page()};
  return Found{target, page_size, {true, s390::writable(page)}};
}

template <class Space>
void S390DmaTable<Space>::release() {
  const auto free_block = [&](Physical table) {
    for (std::uint64_t at = 0; at < s390::table_bytes; at += page_size) memory_.free(table + at);
  };
  // Halves of a page go back with their first.
  const auto free_page_table = [&](Physical table) {
    if (table.offset_in_page() == 0) memory_.free(table);
  };
  for (unsigned r = 0; r < s390::table_entries; ++r) {
    const std::uint64_t region = load(slot(root_, r));
    if (!s390::directory_valid(region)) continue;
    const Physical segments{region & s390::region_origin_mask};
    for (unsigned s = 0; s < s390::table_entries; ++s) {
      const std::uint64_t segment = load(slot(segments, s));
      if (s390::directory_valid(segment)) free_page_table(Physical{segment & s390::segment_origin_mask});
    }
    free_block(segments);
  }
  free_block(root_);
  spare_half_.reset();
}

template class S390DmaTable<HpaSpace>;
template class S390DmaTable<GpaSpace>;

}  // namespace gnomon::pgtable
