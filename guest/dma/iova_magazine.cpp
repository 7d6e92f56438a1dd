// SPDX-License-Identifier: Apache-2.0
// Magazines of freed IOVAs: exchange between a CPU and the depot.
#include "guest/dma/iova_magazine.hpp"

#include <limits>
#include <stdexcept>
#include <utility>

namespace gnomon::guest {

IovaMagazines::IovaMagazines(const IovaBehaviour& behaviour, unsigned cpus)
    : magazine_size_(behaviour.magazine_size),
      depot_limit_(behaviour.depot == DepotKind::bounded_array ? behaviour.depot_limit
                                                               : std::numeric_limits<std::size_t>::max()) {
  if (magazine_size_ == 0) throw std::invalid_argument("IovaMagazines: a magazine must hold something");
  cpus_.reserve(cpus);
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    Magazine* const loaded = empty_magazine();
    cpus_.push_back({loaded, empty_magazine()});
  }
}

IovaMagazines::IovaMagazines(const IovaMagazines& other)
    : magazine_size_(other.magazine_size_), depot_limit_(other.depot_limit_) {
  const auto copy = [this](const Magazine* magazine) {
    storage_.emplace_back().reserve(magazine_size_);
    storage_.back() = *magazine;
    return &storage_.back();
  };
  for (const Magazine* magazine : other.depot_) depot_.push_back(copy(magazine));
  for (const Cpu& cpu : other.cpus_) {
    Magazine* const loaded = copy(cpu.loaded);
    cpus_.push_back({loaded, copy(cpu.prev)});
  }
}

IovaMagazines::Taken IovaMagazines::take(unsigned cpu, std::uint64_t highest_pfn) {
  Cpu& own = cpus_[cpu];
  Taken taken;
  if (!own.loaded->empty()) {
    taken.source = Source::loaded;
  } else if (!own.prev->empty()) {
    std::swap(own.loaded, own.prev);
    taken.source = Source::prev;
  } else if (!depot_.empty()) {
    spare_.push_back(own.loaded);
    own.loaded = depot_.back();
    depot_.pop_back();
    taken.source = Source::depot;
  } else {
    return taken;
  }

  Magazine& magazine = *own.loaded;
  for (std::size_t i = magazine.size(); i-- > 0;) {
    ++taken.scanned;
    if (magazine[i] > highest_pfn) continue;
    taken.pfn = magazine[i];
    magazine[i] = magazine.back();
    magazine.pop_back();
    return taken;
  }
  taken.source = Source::none;  // the exchange above stays
  return taken;
}

IovaMagazines::Put IovaMagazines::put(unsigned cpu, std::uint64_t pfn) {
  Cpu& own = cpus_[cpu];
  Put put;
  if (!full(*own.loaded)) {
    put.source = Source::loaded;
  } else if (!full(*own.prev)) {
    std::swap(own.loaded, own.prev);
    put.source = Source::prev;
  } else {
    put.source = Source::depot;
    Magazine* const filled = own.loaded;
    own.loaded = empty_magazine();
    if (depot_.size() < depot_limit_) {
      depot_.push_back(filled);
    } else {
      spare_.push_back(filled);
      put.evicted = *filled;
    }
  }
  own.loaded->push_back(pfn);
  return put;
}

std::span<const std::uint64_t> IovaMagazines::trim(unsigned online_cpus) {
  if (depot_.size() <= online_cpus) return {};
  return *pop_depot_to_spare();
}

std::uint64_t IovaMagazines::cached() const {
  std::uint64_t total = depot_.size() * magazine_size_;
  for (const Cpu& cpu : cpus_) total += cpu.loaded->size() + cpu.prev->size();
  return total;
}

IovaMagazines::Magazine* IovaMagazines::pop_depot_to_spare() {
  spare_.push_back(depot_.back());
  depot_.pop_back();
  return spare_.back();
}

// A spare one keeps its old content until it is taken: spans handed out before point into it.
IovaMagazines::Magazine* IovaMagazines::empty_magazine() {
  if (spare_.empty()) {
    storage_.emplace_back().reserve(magazine_size_);
    return &storage_.back();
  }
  Magazine* const magazine = spare_.back();
  spare_.pop_back();
  magazine->clear();
  return magazine;
}

}  // namespace gnomon::guest
