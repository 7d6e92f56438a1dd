// SPDX-License-Identifier: Apache-2.0
// The IOVA allocator against a plain map of live ranges, by kernel version.
#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "guest/dma/iova_allocator.hpp"

namespace gnomon::guest {
namespace {

constexpr unsigned cpus = 3;
constexpr std::uint64_t space = 2047;  // pages 1 .. 2047: small, so that it fills up

// What the programs do; every number is reduced to its range where it is used, so that any shrinks.
using Step = std::tuple<std::uint8_t, std::uint8_t, std::uint16_t, std::uint16_t>;  // what, CPU, pages, choice

class Reference {
 public:
  void reserve(std::uint64_t first, std::uint64_t last) { insert(first, last, "reserved"); }

  void allocated(std::uint64_t first, std::uint64_t pages, std::uint64_t limit) {
    RC_ASSERT(first >= 1u);
    RC_ASSERT(first % std::bit_ceil(pages) == 0u);
    RC_ASSERT(first + pages - 1 <= limit);
    insert(first, first + iova_pages_taken(pages) - 1, "allocated");
    live_.emplace_back(first, pages);
  }

  std::pair<std::uint64_t, std::uint64_t> release(std::size_t index) {
    const auto range = live_.at(index);
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(index));
    ranges_.erase(range.first);
    return range;
  }

  bool has_gap(std::uint64_t pages, std::uint64_t limit) const {
    const std::uint64_t taken = iova_pages_taken(pages);
    const std::uint64_t step = std::bit_ceil(taken);
    for (std::uint64_t first = step; first + taken - 1 <= limit; first += step) {
      if (!overlaps(first, first + taken - 1)) return true;
    }
    return step == 1 && !overlaps(1, 1);
  }

  std::size_t live() const { return live_.size(); }

 private:
  bool overlaps(std::uint64_t first, std::uint64_t last) const {
    const auto next = ranges_.upper_bound(last);
    return next != ranges_.begin() && std::prev(next)->second >= first;
  }
  void insert(std::uint64_t first, std::uint64_t last, const char* what) {
    RC_LOG() << what << " " << first << ".." << last << std::endl;
    RC_ASSERT(!overlaps(first, last));
    ranges_.emplace(first, last);
  }

  std::map<std::uint64_t, std::uint64_t> ranges_;  // first to last
  std::vector<std::pair<std::uint64_t, std::uint64_t>> live_;
};

IovaBehaviour behaviour_of(unsigned version) {
  IovaBehaviour behaviour = version % 2 == 0 ? iova_linux_6_1 : iova_linux_6_12;
  behaviour.magazine_size = 5;  // small, so that magazines travel
  behaviour.depot_limit = 2;
  return behaviour;
}

// Sizes on both sides of what is cached, most of them small.
std::uint64_t pages_of(std::uint16_t number) {
  return number % 8 < 6 ? 1u << (number / 8 % 4) : 1 + number / 8 % 80;
}

struct World {
  explicit World(const IovaBehaviour& behaviour) : iova(behaviour, cpus) {
    iova.reserve(1000, 1099);
    reference.reserve(1000, 1099);
  }

  void allocate(unsigned cpu, std::uint64_t pages, std::uint64_t limit, bool flush, bool complete) {
    const auto got = iova.allocate(cpu, pages, limit, flush);
    RC_ASSERT((got.pfn != 0) == (got.path != IovaPath::failed));
    if (got) {
      reference.allocated(got.pfn, pages, limit);
    } else if (complete) {
      RC_ASSERT(!reference.has_gap(pages, limit));
    }
  }
  void free(unsigned cpu, std::size_t choice) {
    if (reference.live() == 0) return;
    const auto [first, pages] = reference.release(choice % reference.live());
    iova.free(cpu, first, pages);
  }

  IovaAllocator iova;
  Reference reference;
};

void run(const std::vector<Step>& program, unsigned version, bool one_limit) {
  World world(behaviour_of(version));
  for (const auto& [what, cpu, size, choice] : program) {
    switch (what % 8) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const std::uint64_t limit = one_limit || choice % 4 != 0 ? space : 64 + choice % (space - 64);
        const bool flush = choice % 3 == 0;
        world.allocate(cpu % cpus, pages_of(size), limit, flush, one_limit && flush);
        break;
      }
      case 7: world.iova.trim_depot(size % iova_size_classes); break;
      default: world.free(cpu % cpus, choice); break;
    }
    // Every range is live, cached or the reserved one: none is lost, none counted twice.
    RC_ASSERT(world.iova.tree_ranges() == world.reference.live() + world.iova.cached_ranges() + 1);
  }

  for (unsigned cpu = 0; world.reference.live() > 0; cpu = (cpu + 1) % cpus)
    world.free(cpu, world.reference.live() / 2);
  // Everything comes back: after one failure has emptied the caches, each page can be had on its own.
  RC_ASSERT(!world.iova.allocate(0, space + 1, space, true));
  RC_ASSERT(world.iova.cached_ranges() == 0u);
  RC_ASSERT(world.iova.tree_ranges() == 1u);
  for (std::uint64_t i = 0; i < space - 100; ++i) world.allocate(0, 1, space, false, true);
  RC_ASSERT(world.reference.live() == space - 100);
  RC_ASSERT(!world.iova.allocate(0, 1, space, true));
}

rc::Gen<std::vector<Step>> programs() {
  return rc::gen::scale(4.0, rc::gen::arbitrary<std::vector<Step>>());
}

TEST_CASE("Live ranges never overlap, are aligned and under their limit, and all come back", "[property]") {
  CHECK(rc::check("mixed limits", [] {
    const auto version = *rc::gen::inRange(0u, 2u);
    run(*programs(), version, false);
  }));
}

TEST_CASE("With one limit an allocation that may flush the caches fails only where no gap is left", "[property]") {
  CHECK(rc::check("one limit", [] {
    const auto version = *rc::gen::inRange(0u, 2u);
    run(*programs(), version, true);
  }));
}

}  // namespace
}  // namespace gnomon::guest
