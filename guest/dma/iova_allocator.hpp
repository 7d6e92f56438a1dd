// SPDX-License-Identifier: Apache-2.0
// The allocator of I/O virtual addresses of one domain: per-CPU caches of freed ranges before a tree.
// Behaviour of Linux's drivers/iommu/iova.c by version; no locking and no time: the outcome says what was done.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/dma/iova_behaviour.hpp"
#include "guest/dma/iova_magazine.hpp"
#include "guest/dma/iova_tree.hpp"

namespace gnomon::guest {

/// Where an allocation came from.
enum class IovaPath : std::uint8_t {
  magazine,       ///< the CPU's loaded magazine
  prev_magazine,  ///< the same after it changed places with the previous one
  depot,          ///< a magazine taken from the depot (lock of the size class)
  tree,           ///< the range tree (lock of the domain, interrupts off)
  failed,
};

struct IovaAllocation {
  std::uint64_t pfn = 0;  ///< first page; 0 when it failed
  IovaPath path = IovaPath::failed;
  std::uint32_t entries_scanned = 0;  ///< magazine entries looked at
  std::uint32_t nodes_visited = 0;    ///< tree nodes of all walks, of a flush of the caches too
  std::uint32_t ranges_flushed = 0;   ///< cached ranges returned to the tree to make room
  bool restarted = false;             ///< a walk began again from the limit
  bool remembered_failure = false;    ///< the last walk was refused by the remembered failing size

  explicit operator bool() const { return pfn != 0; }
};

/// Where a freed range went.
enum class IovaFreePath : std::uint8_t {
  magazine,
  prev_magazine,
  depot,           ///< both magazines were full: one went to the depot. trimmed_list: schedule trim_depot
  depot_overflow,  ///< the bounded depot was full too: a whole magazine went to the tree
  tree,            ///< too large to be cached
};

struct IovaRelease {
  IovaFreePath path = IovaFreePath::tree;
  unsigned size_class = 0;           ///< of a cached range: what trim_depot wants
  std::uint32_t ranges_to_tree = 0;  ///< erased from the tree
  std::uint32_t nodes_visited = 0;   ///< to find them
};

struct IovaTrim {
  std::uint32_t ranges_to_tree = 0;
  std::uint32_t nodes_visited = 0;
  bool again = false;  ///< a magazine was dropped: run once more after depot_trim_period
};

class IovaAllocator {
 public:
  /// `granule_shift`: log2 of the bytes of a page, 12 to 31. `start_pfn` (>= 1): the lowest page handed out.
  IovaAllocator(const IovaBehaviour& behaviour, unsigned cpus, std::uint64_t start_pfn = 1,
                unsigned granule_shift = 12);

  IovaAllocator(const IovaAllocator&) = default;  ///< a copy hands out what the original would
  IovaAllocator(IovaAllocator&&) = default;

  /// Keeps pages [first, last] from being handed out: PCI windows, the MSI window. Before the first allocation.
  void reserve(std::uint64_t first, std::uint64_t last) { tree_.reserve(first, last); }

  /// `pages` (> 0) up to page `limit_pfn`, inclusive, aligned to the next power of two of their number. With
  /// `flush_caches` a failure empties every cache into the tree and tries once more.
  IovaAllocation allocate(unsigned cpu, std::uint64_t pages, std::uint64_t limit_pfn, bool flush_caches);

  /// `pfn` and `pages` as in allocate. Freeing what is not allocated is the caller's error; the tree throws
  /// std::logic_error when it meets it.
  IovaRelease free(unsigned cpu, std::uint64_t pfn, std::uint64_t pages);

  /// The delayed work of the trimmed depot; does nothing to a bounded one. Every CPU counts as online.
  IovaTrim trim_depot(unsigned size_class);

  unsigned granule_shift() const { return granule_shift_; }
  const IovaBehaviour& behaviour() const { return behaviour_; }
  std::uint64_t tree_ranges() const { return tree_.ranges(); }  ///< allocated, cached and reserved
  std::uint64_t cached_ranges() const;
  std::size_t depot_magazines(unsigned size_class) const { return classes_.at(size_class).depot_magazines(); }

 private:
  void allocate_from_tree(std::uint64_t pages, std::uint64_t limit_pfn, IovaAllocation& out);
  void flush_caches(IovaAllocation& out);

  IovaBehaviour behaviour_;
  unsigned cpus_;
  unsigned granule_shift_;
  IovaTree tree_;
  std::vector<IovaMagazines> classes_;  // by log2 of the pages
};

/// The pages an allocation of `pages` really takes: a power of two up to 32, as asked beyond.
std::uint64_t iova_pages_taken(std::uint64_t pages);

}  // namespace gnomon::guest
