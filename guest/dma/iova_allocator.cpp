// SPDX-License-Identifier: Apache-2.0
// The fast paths of IOVA allocation, and what happens when they fail.
#include "guest/dma/iova_allocator.hpp"

#include <bit>
#include <stdexcept>

namespace gnomon::guest {

namespace {

unsigned size_class_of(std::uint64_t pages) {
  return static_cast<unsigned>(std::bit_width(pages - 1));
}

IovaPath path_of(IovaMagazines::Source source) {
  switch (source) {
    case IovaMagazines::Source::loaded: return IovaPath::magazine;
    case IovaMagazines::Source::prev: return IovaPath::prev_magazine;
    case IovaMagazines::Source::depot: return IovaPath::depot;
    case IovaMagazines::Source::none: break;
  }
  return IovaPath::failed;
}

}  // namespace

std::uint64_t iova_pages_taken(std::uint64_t pages) {
  return pages < iova_max_cached_pages ? std::bit_ceil(pages) : pages;
}

IovaAllocator::IovaAllocator(const IovaBehaviour& behaviour, unsigned cpus, std::uint64_t start_pfn,
                             unsigned granule_shift)
    : behaviour_(behaviour),
      cpus_(cpus),
      granule_shift_(granule_shift),
      tree_(start_pfn, granule_shift < 32 ? std::uint64_t{1} << (32 - granule_shift) : 0) {
  if (cpus == 0 || granule_shift < 12 || granule_shift > 31)
    throw std::invalid_argument("IovaAllocator: bad geometry");
  classes_.reserve(iova_size_classes);
  for (unsigned i = 0; i < iova_size_classes; ++i) classes_.emplace_back(behaviour_, cpus_);
}

IovaAllocation IovaAllocator::allocate(unsigned cpu, std::uint64_t pages, std::uint64_t limit_pfn, bool flush) {
  if (pages == 0 || cpu >= cpus_) throw std::invalid_argument("IovaAllocator: bad request");
  pages = iova_pages_taken(pages);  // a range of odd size in a magazine would be handed out to a larger request
  IovaAllocation out;
  const unsigned size_class = size_class_of(pages);
  if (size_class < iova_size_classes && pages <= limit_pfn) {
    const auto taken = classes_[size_class].take(cpu, limit_pfn + 1 - pages);
    out.entries_scanned = taken.scanned;
    if (taken.pfn != 0) {
      out.pfn = taken.pfn;
      out.path = path_of(taken.source);
      return out;
    }
  }
  allocate_from_tree(pages, limit_pfn, out);
  if (!out && flush) {
    flush_caches(out);
    allocate_from_tree(pages, limit_pfn, out);
  }
  return out;
}

void IovaAllocator::allocate_from_tree(std::uint64_t pages, std::uint64_t limit_pfn, IovaAllocation& out) {
  const auto search = tree_.allocate(pages, limit_pfn + 1);
  out.pfn = search.pfn;
  out.path = search.pfn != 0 ? IovaPath::tree : IovaPath::failed;
  out.nodes_visited += search.nodes_visited;
  out.restarted = out.restarted || search.restarted;
  out.remembered_failure = search.remembered_failure;
}

IovaRelease IovaAllocator::free(unsigned cpu, std::uint64_t pfn, std::uint64_t pages) {
  if (pages == 0 || cpu >= cpus_) throw std::invalid_argument("IovaAllocator: bad request");
  IovaRelease out;
  const unsigned size_class = size_class_of(pages);
  if (size_class >= iova_size_classes) {
    out.ranges_to_tree = 1;
    out.nodes_visited = tree_.free(pfn);
    return out;
  }
  out.size_class = size_class;
  const auto put = classes_[size_class].put(cpu, pfn);
  switch (put.source) {
    case IovaMagazines::Source::none:
    case IovaMagazines::Source::loaded: out.path = IovaFreePath::magazine; break;
    case IovaMagazines::Source::prev: out.path = IovaFreePath::prev_magazine; break;
    case IovaMagazines::Source::depot:
      out.path = put.evicted.empty() ? IovaFreePath::depot : IovaFreePath::depot_overflow;
      break;
  }
  for (const std::uint64_t evicted : put.evicted) {
    out.nodes_visited += tree_.free(evicted);
    ++out.ranges_to_tree;
  }
  return out;
}

// CPU by CPU, then the depots, as the kernel does it: the order decides which nodes a later walk starts from.
void IovaAllocator::flush_caches(IovaAllocation& out) {
  const auto release = [this, &out](std::uint64_t pfn) {
    out.nodes_visited += tree_.free(pfn);
    ++out.ranges_flushed;
  };
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) {
    for (IovaMagazines& magazines : classes_) magazines.drain_cpu(cpu, release);
  }
  for (IovaMagazines& magazines : classes_) magazines.drain_depot(release);
}

IovaTrim IovaAllocator::trim_depot(unsigned size_class) {
  IovaTrim out;
  if (behaviour_.depot != DepotKind::trimmed_list) return out;
  for (const std::uint64_t pfn : classes_.at(size_class).trim(cpus_)) {
    out.nodes_visited += tree_.free(pfn);
    ++out.ranges_to_tree;
  }
  out.again = out.ranges_to_tree != 0;
  return out;
}

std::uint64_t IovaAllocator::cached_ranges() const {
  std::uint64_t total = 0;
  for (const IovaMagazines& magazines : classes_) total += magazines.cached();
  return total;
}

}  // namespace gnomon::guest
