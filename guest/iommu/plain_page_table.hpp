// SPDX-License-Identifier: Apache-2.0
// A radix page table of 512-entry pages in plain memory, for drivers of experiments. A leaf of a size between two
// levels is replicated, as in AMD-Vi's v1 tables ("level 7").
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "guest/iommu/driver.hpp"

namespace gnomon::guest {

class PlainPageTable {
 public:
  static constexpr unsigned most_levels = 6;

  /// `levels`: 1 to 6; IOVAs have 12 + 9 * levels bits, 64 with six.
  explicit PlainPageTable(unsigned levels = 4);

  struct Leaf {
    Iova start;
    Gpa target;
    std::uint64_t bytes = 0;
    DmaAccess access;
  };
  std::optional<Leaf> find(Iova iova) const;

  struct MapStep {
    int error = 0;         ///< EEXIST: something is mapped there; ERANGE: beyond the table
    unsigned entries = 0;  ///< written, replicas included
    unsigned tables = 0;   ///< allocated
  };
  /// One leaf of 2^order bytes (12 to 63), both addresses multiples of it. Empty tables in its place go to
  /// `replaced`.
  MapStep map(Iova iova, Gpa gpa, unsigned order, DmaAccess access, FreelistHandle& replaced);

  struct UnmapStep {
    Iova start;               ///< of the leaf that covered the address
    std::uint64_t bytes = 0;  ///< 0: there was none
    unsigned entries = 0;     ///< cleared
  };
  /// The whole leaf that covers `iova`.
  UnmapStep unmap(Iova iova);

  /// Unlinks every table whose whole span lies in [first, last], and puts it on `freelist`.
  void detach_tables(Iova first, Iova last, FreelistHandle& freelist);
  /// Makes a freelist's tables free for reuse; returns how many.
  unsigned free_tables(FreelistHandle freelist);
  /// Appends `more` to `freelist`.
  void join(FreelistHandle& freelist, FreelistHandle more);

  std::size_t tables() const { return tables_.size() - free_.size(); }  ///< with the root and those on freelists
  std::uint64_t mapped_bytes() const { return mapped_bytes_; }

 private:
  using Entry = std::uint64_t;
  static constexpr unsigned entries_per_table = 512;

  struct Table {
    std::array<Entry, entries_per_table> entries{};
    unsigned used = 0;       // entries present
    std::uint32_t next = 0;  // on a freelist
  };
  struct Range {
    std::uint64_t first;
    std::uint64_t last;
  };

  static constexpr unsigned shift(unsigned level) { return static_cast<unsigned>(page_shift) + 9 * level; }
  static unsigned index(std::uint64_t iova, unsigned level) { return (iova >> shift(level)) & 511; }
  bool beyond(std::uint64_t last) const;
  std::uint32_t allocate();
  void unlink(std::uint32_t table, unsigned slot, FreelistHandle& freelist);
  void detach(std::uint32_t table, unsigned level, std::uint64_t base, Range range, FreelistHandle& freelist);
  bool holds_leaves(Entry entry) const;

  unsigned levels_;
  std::vector<Table> tables_;  // 0 is the root
  std::vector<std::uint32_t> free_;
  std::uint64_t mapped_bytes_ = 0;
};

}  // namespace gnomon::guest
