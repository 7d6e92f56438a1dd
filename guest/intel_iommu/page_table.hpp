// SPDX-License-Identifier: Apache-2.0
// The page table of an Intel IOMMU domain in the kernel's memory: of the second level or of the first.
#pragma once

#include <optional>
#include <vector>

#include "guest/kernel/kernel_memory.hpp"
#include "models/pgtable/first_level_table.hpp"
#include "models/pgtable/second_stage_table.hpp"

namespace gnomon::guest {

class IntelPageTable {
 public:
  /// Throws std::bad_alloc.
  IntelPageTable(KernelMemory& memory, bool first_level, unsigned levels) : memory_(memory) {
    if (first_level) {
      first_.emplace(memory, levels);
    } else {
      second_.emplace(memory, levels);
    }
  }

  bool first_level() const { return first_.has_value(); }
  Gpa root() const { return first_ ? first_->root() : second_->root(); }
  unsigned levels() const { return first_ ? first_->levels() : second_->levels(); }

  /// As RadixTable has them.
  pgtable::MapOutcome map(Iova iova, Gpa gpa, std::uint64_t bytes, pgtable::Permissions permissions,
                          pgtable::PageSizes sizes, std::vector<Gpa>& unlinked) {
    return first_ ? first_->map(iova, gpa, bytes, permissions, sizes, unlinked)
                  : second_->map(iova, gpa, bytes, permissions, sizes, unlinked);
  }
  pgtable::UnmapOutcome unmap(Iova iova, std::uint64_t bytes, std::vector<Gpa>& unlinked) {
    return first_ ? first_->unmap(iova, bytes, unlinked) : second_->unmap(iova, bytes, unlinked);
  }
  std::optional<pgtable::GuestMapping> lookup(Iova iova) const {
    return first_ ? first_->lookup(iova) : second_->lookup(iova);
  }

  /// Where a map or an unmap of [first, last] stores. Told of, where stores to table pages are VM exits.
  /// Before a map: links to tables that are missing. Appended to `missing`, ascending.
  void missing_links(Iova first, Iova last, std::vector<Gpa>& missing) const;
  /// After it: the entries it wrote, in the order of the addresses, a link before what is below it.
  void stores_of_map(Iova first, Iova last, const std::vector<Gpa>& missing, std::vector<Gpa>& stores) const;
  /// Before an unmap: the entries it will clear, a table's whole span by its link alone.
  void stores_of_unmap(Iova first, Iova last, std::vector<Gpa>& stores) const;

 private:
  struct Entry {
    bool present = false;
    bool leaf = false;
    Gpa table{};
  };
  Entry read(Gpa at, unsigned level) const;
  template <class OnEntry>
  void for_each_entry(Gpa table, unsigned level, Iova first, Iova last, OnEntry&& on_entry) const;

  KernelMemory& memory_;
  std::optional<pgtable::GuestSecondStageTable> second_;
  std::optional<pgtable::GuestFirstLevelTable> first_;
};

}  // namespace gnomon::guest
