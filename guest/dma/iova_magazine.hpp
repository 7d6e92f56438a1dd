// SPDX-License-Identifier: Apache-2.0
// The caches of freed IOVAs for ranges of one size: two magazines a CPU and a depot of full ones
// (Bonwick and Adams, USENIX 2001), as in Linux's drivers/iommu/iova.c. Last in, first out.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "guest/dma/iova_behaviour.hpp"

namespace gnomon::guest {

class IovaMagazines {
 public:
  using Magazine = std::vector<std::uint64_t>;

  enum class Source : std::uint8_t {
    none,    ///< take: nothing fits
    loaded,  ///< the CPU's loaded magazine
    prev,    ///< after it changed places with the previous one
    depot,   ///< take: after a full one was loaded from the depot; put: after the loaded one went there
  };
  struct Taken {
    std::uint64_t pfn = 0;  ///< 0: none
    Source source = Source::none;
    std::uint32_t scanned = 0;  ///< entries looked at
  };
  struct Put {
    Source source = Source::loaded;
    std::span<const std::uint64_t>
        evicted;  ///< the bounded depot was full: to be freed to the tree, valid until the next call
  };

  IovaMagazines(const IovaBehaviour& behaviour, unsigned cpus);
  IovaMagazines(const IovaMagazines& other);
  IovaMagazines(IovaMagazines&&) = default;  // a deque's elements stay where they are
  IovaMagazines& operator=(const IovaMagazines&) = delete;

  /// An IOVA whose first page is at most `highest_pfn`. Looks into one magazine only, from the top downwards: where
  /// nothing in it fits, neither the previous one nor the depot is tried.
  Taken take(unsigned cpu, std::uint64_t highest_pfn);
  Put put(unsigned cpu, std::uint64_t pfn);

  /// Removes one magazine from the depot if it holds more than `online_cpus`; empty otherwise. Valid until the next
  /// call.
  std::span<const std::uint64_t> trim(unsigned online_cpus);

  /// Empties the CPU's magazines or the depot, calling `release(pfn)` for each.
  template <class Release>
  void drain_cpu(unsigned cpu, Release release) {
    for (Magazine* magazine : {cpus_.at(cpu).loaded, cpus_.at(cpu).prev}) {
      for (const std::uint64_t pfn : *magazine) release(pfn);
      magazine->clear();
    }
  }
  template <class Release>
  void drain_depot(Release release) {
    while (!depot_.empty()) {
      for (const std::uint64_t pfn : *pop_depot_to_spare()) release(pfn);
    }
  }

  std::uint64_t cached() const;  ///< IOVAs held
  std::size_t depot_magazines() const { return depot_.size(); }

 private:
  struct Cpu {
    Magazine* loaded;
    Magazine* prev;
  };

  bool full(const Magazine& magazine) const { return magazine.size() == magazine_size_; }
  Magazine* empty_magazine();
  Magazine* pop_depot_to_spare();

  std::size_t magazine_size_;
  std::size_t depot_limit_;  // magazines
  std::deque<Magazine> storage_;
  std::vector<Magazine*> spare_;
  std::vector<Magazine*> depot_;
  std::vector<Cpu> cpus_;
};

}  // namespace gnomon::guest
