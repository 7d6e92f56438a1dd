// SPDX-License-Identifier: Apache-2.0
// Which entries a change of the table stores to: only needed where the hypervisor write-protects its pages.
#include "guest/intel_iommu/page_table.hpp"

#include <algorithm>

namespace gnomon::guest {

IntelPageTable::Entry IntelPageTable::read(Gpa at, unsigned level) const {
  const auto raw = memory_.ram().read<std::uint64_t>(at);
  const auto as = [&](auto format) {
    using Format = decltype(format);
    return Entry{Format::present(raw), Format::leaf(raw, level), Gpa{Format::address(raw)}};
  };
  return first_ ? as(pgtable::FirstStageEntries{}) : as(pgtable::SecondStageEntries{});
}

/// Calls on_entry(address of the entry, the entry, its level, its first and last byte of [first, last]) for each
/// entry of one table that the range reaches.
template <class OnEntry>
void IntelPageTable::for_each_entry(Gpa table, unsigned level, Iova first, Iova last, OnEntry&& on_entry) const {
  const std::uint64_t size = vtd::level_bytes(level);
  for (Iova iova = first;;) {
    const Iova end{iova.value | (size - 1)};
    const Gpa at = table + vtd::table_index(iova, level) * sizeof(std::uint64_t);
    on_entry(at, read(at, level), iova, std::min(end, last));
    if (end >= last) return;
    iova = end + 1;
  }
}

void IntelPageTable::missing_links(Iova first, Iova last, std::vector<Gpa>& missing) const {
  const auto visit = [&](const auto& self, Gpa table, unsigned level, Iova from, Iova to) -> void {
    for_each_entry(table, level, from, to, [&](Gpa at, const Entry& entry, Iova a, Iova b) {
      if (!entry.present) {
        if (level > 1) missing.push_back(at);
      } else if (!entry.leaf) {
        self(self, entry.table, level - 1, a, b);
      }
    });
  };
  visit(visit, root(), levels(), first, last);
}

void IntelPageTable::stores_of_map(Iova first, Iova last, const std::vector<Gpa>& missing,
                                   std::vector<Gpa>& stores) const {
  const auto visit = [&](const auto& self, Gpa table, unsigned level, bool fresh, Iova from, Iova to) -> void {
    for_each_entry(table, level, from, to, [&](Gpa at, const Entry& entry, Iova a, Iova b) {
      if (!entry.present) return;
      const bool new_link = fresh || std::find(missing.begin(), missing.end(), at) != missing.end();
      if (entry.leaf || new_link) stores.push_back(at);
      if (!entry.leaf) self(self, entry.table, level - 1, new_link, a, b);
    });
  };
  visit(visit, root(), levels(), false, first, last);
}

void IntelPageTable::stores_of_unmap(Iova first, Iova last, std::vector<Gpa>& stores) const {
  const auto visit = [&](const auto& self, Gpa table, unsigned level, Iova from, Iova to) -> void {
    for_each_entry(table, level, from, to, [&](Gpa at, const Entry& entry, Iova a, Iova b) {
      if (!entry.present) return;
      const bool whole = b - a == vtd::level_bytes(level) - 1;
      if (entry.leaf || whole) {
        stores.push_back(at);
      } else {
        self(self, entry.table, level - 1, a, b);
      }
    });
  };
  visit(visit, root(), levels(), first, last);
}

}  // namespace gnomon::guest
