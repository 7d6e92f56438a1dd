// SPDX-License-Identifier: Apache-2.0
// The IOMMU core over every flush policy, every shape of driver calls and several page tables, against a flat map
// of pages and a device whose caches forget only what a policy's blocks name. GNOMON_PROPERTY_OPERATIONS: how many
// operations, 10^6 by default.
#include <rapidcheck.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/iommu/plain_driver.hpp"
#include "models/base/random.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::guest {
namespace {

constexpr std::uint64_t region_pages = 512;
constexpr std::uint64_t regions = 4;
constexpr std::uint64_t space_pages = regions * region_pages;  // all IOVAs in use
constexpr std::uint64_t absent = ~0ULL - 1;
constexpr std::uint64_t not_cached = ~0ULL;

/// A device behind an IOTLB and a paging-structure cache that never evict. Where it caches non-present entries, a
/// miss stays a miss until it is flushed.
class Device final : public InvalidationTarget {
 public:
  Device(bool caches_non_present, bool first_page_only)
      : caches_non_present_(caches_non_present), first_page_only_(first_page_only) {}

  void invalidate(FlushBlock block, bool leaf_only) override {
    const std::uint64_t first = block.base >> page_shift;
    const std::uint64_t last = first_page_only_ ? first : std::min(block.last() >> page_shift, space_pages - 1);
    std::fill(iotlb_.begin() + at(first), iotlb_.begin() + at(last + 1), not_cached);
    if (leaf_only) return;
    for (std::uint64_t region = first / region_pages; region <= last / region_pages; ++region) {
      walked_[region] = false;
    }
  }
  /// The target page of `page`, or absent.
  std::uint64_t translate(const PlainPageTable& table, std::uint64_t page) {
    if (iotlb_[page] != not_cached) return iotlb_[page];
    const auto leaf = table.find(Iova::from_page(page));
    if (!leaf) {
      if (caches_non_present_) iotlb_[page] = absent;
      return absent;
    }
    if (leaf->bytes < region_pages * page_size) walked_[page / region_pages] = true;
    return iotlb_[page] = (leaf->target + (Iova::from_page(page) - leaf->start)).page();
  }
  bool holds(std::uint64_t page) const { return iotlb_[page] < absent; }
  bool walked(std::uint64_t region) const { return walked_[region]; }

 private:
  static std::ptrdiff_t at(std::uint64_t page) { return static_cast<std::ptrdiff_t>(page); }

  bool caches_non_present_;
  bool first_page_only_;  // a planted bug
  std::vector<std::uint64_t> iotlb_ = std::vector<std::uint64_t>(space_pages, not_cached);
  std::vector<bool> walked_ = std::vector<bool>(regions);  // a pointer to the region's table may be cached
};

struct Setup {
  std::size_t policy = 0;
  DriverCalls calls = DriverCalls::counted;
  unsigned shape = 0;  // of the driver, below
  bool caching = false;
  bool gather = true;
  bool sync_map = true;
  bool fill_and_skip = false;
  bool first_page_only = false;
};

constexpr unsigned shapes = 5;
PlainDriverOptions driver_options(const Setup& setup) {
  PlainDriverOptions options;
  switch (setup.shape) {
    case 0: options = plain_vtd_claims_all; break;
    case 1: options = plain_vtd; break;
    case 2: options = plain_amd_v1; break;
    case 3: options = plain_4k; break;
    default: options.gathers_leaves = options.frees_tables = true; break;
  }
  options.levels = 3;
  options.unit.caches_non_present = setup.caching;
  return options;
}

/// The system under test and the flat map beside it. Mappings are unmapped whole, as VFIO and the DMA API do.
class World {
 public:
  World(const Setup& setup, std::uint64_t seed)
      : random_(seed, "operations"),
        options_(driver_options(setup)),
        device_(setup.caching, setup.first_page_only),
        driver_(options_, *flush_policies()[setup.policy].policy, device_),
        domain_(driver_,
                {true, setup.calls, setup.sync_map, setup.gather, setup.fill_and_skip, setup.fill_and_skip}) {}

  /// What went wrong, or nothing.
  std::string run(unsigned operations) {
    for (unsigned i = 0; i < operations && wrong_.empty(); ++i) {
      switch (random_.below(8)) {
        case 0:
        case 1:
        case 2:
        case 3: map(); break;
        case 4: unmap(); break;
        case 5: unmap_sparse(); break;
        case 6: unmap_deferred(); break;
        default: flush_deferred(); break;
      }
      for (int touched = 0; touched < 8; ++touched) check_page(random_.below(space_pages));
      if (i % 256 == 0) check_all();
    }
    check_all();
    while (!mappings_.empty() && wrong_.empty()) unmap();
    flush_deferred();
    check_all();
    expect(mapped_bytes_ == unmapped_bytes_, "bytes mapped are not bytes unmapped");
    expect(driver_.table().mapped_bytes() == 0, "something stays mapped");
    return wrong_;
  }

 private:
  struct Mapping {
    std::uint64_t page;
    std::uint64_t pages;
  };

  void expect(bool holds, const char* otherwise) {
    if (!holds && wrong_.empty()) wrong_ = otherwise;
  }
  void check_page(std::uint64_t page) {
    if (!pending_[page]) expect(device_.translate(driver_.table(), page) == flat_[page], "a translation is wrong");
  }
  void check_all() {
    for (std::uint64_t page = 0; page < space_pages; ++page) {
      const auto leaf = driver_.table().find(Iova::from_page(page));
      const std::uint64_t target = leaf ? (leaf->target + (Iova::from_page(page) - leaf->start)).page() : absent;
      expect(target == flat_[page], "the table is not the flat map");
      check_page(page);
    }
  }

  Mapping random_range() {
    switch (random_.below(8)) {
      case 0: return {random_.below(regions) * region_pages, region_pages};
      case 1: return {random_.below(space_pages - 700), 500 + random_.below(200)};
      default: return {random_.below(space_pages - 32), 1 + random_.below(32)};
    }
  }
  void map() {
    const Mapping range = random_range();
    Run runs[3];
    std::size_t count = 0;
    for (std::uint64_t left = range.pages; left > 0; ++count) {
      const std::uint64_t pages = count == 2 ? left : 1 + random_.below(left);
      const std::uint64_t phase = random_.below(2) == 0 ? range.page + (range.pages - left) : random_.below(1024);
      const std::uint64_t target = (1 + random_.below(1u << 20)) * 1024 + phase % 1024;
      runs[count] = {Gpa::from_page(target), pages * page_size};
      left -= pages;
    }
    const auto begin = flat_.begin() + static_cast<std::ptrdiff_t>(range.page);
    const auto end = begin + static_cast<std::ptrdiff_t>(range.pages);
    const bool taken = std::any_of(begin, end, [](std::uint64_t target) { return target != absent; });
    const auto first_pending = pending_.begin() + static_cast<std::ptrdiff_t>(range.page);
    if (std::find(first_pending, first_pending + static_cast<std::ptrdiff_t>(range.pages), true) !=
        first_pending + static_cast<std::ptrdiff_t>(range.pages)) {
      return;  // not free before the flush
    }
    const MapResult result = domain_.map_sg(cpu_, Iova::from_page(range.page), {runs, count}, {});
    expect((result.error != 0) == taken, "a map into free pages fails, or one into others does not");
    expect(result.left_mapped == 0, "a map is not undone");
    if (taken) return;
    std::uint64_t page = range.page;
    for (std::size_t i = 0; i < count; ++i) {
      for (std::uint64_t k = 0; k < runs[i].bytes / page_size; ++k) flat_[page++] = runs[i].start.page() + k;
    }
    mapped_bytes_ += range.pages * page_size;
    mappings_.push_back(range);
    for (page = range.page; page < range.page + range.pages; ++page) check_page(page);  // seen at once
  }

  Mapping take_mapping() {
    const std::size_t which = random_.below(mappings_.size());
    const Mapping mapping = mappings_[which];
    mappings_[which] = mappings_.back();
    mappings_.pop_back();
    return mapping;
  }
  void removed(const Mapping& m, std::uint64_t bytes) {
    expect(bytes == m.pages * page_size, "an unmap returns other than what was mapped");
    unmapped_bytes_ += bytes;
    std::fill_n(flat_.begin() + static_cast<std::ptrdiff_t>(m.page), m.pages, absent);
  }
  void forgotten(const Mapping& m) {
    for (std::uint64_t page = m.page; page < m.page + m.pages; ++page) {
      expect(!device_.holds(page), "a translation survives its unmap");
    }
    if (!options_.frees_tables) return;
    const std::uint64_t first = (m.page + region_pages - 1) / region_pages;
    for (std::uint64_t region = first; (region + 1) * region_pages <= m.page + m.pages; ++region) {
      expect(!device_.walked(region), "a pointer to a freed table survives");
    }
  }

  void unmap() {
    if (mappings_.empty()) return;
    const Mapping m = take_mapping();
    removed(m, domain_.unmap(cpu_, Iova::from_page(m.page), m.pages * page_size));
    forgotten(m);
  }
  void unmap_sparse() {  // one gather for several, as VFIO
    IotlbGather gather;
    std::vector<Mapping> gone;
    for (std::uint64_t left = 1 + random_.below(6); left > 0 && !mappings_.empty(); --left) {
      gone.push_back(take_mapping());
      const Mapping& m = gone.back();
      removed(m, domain_.unmap_fast(cpu_, Iova::from_page(m.page), m.pages * page_size, gather));
    }
    domain_.iotlb_sync(cpu_, gather);
    expect(gather == IotlbGather{}, "a sync leaves something in the gather");
    for (const Mapping& m : gone) forgotten(m);
  }
  void unmap_deferred() {
    if (mappings_.empty()) return;
    const Mapping m = take_mapping();
    IotlbGather gather;
    gather.queued = true;
    removed(m, domain_.unmap_fast(cpu_, Iova::from_page(m.page), m.pages * page_size, gather));
    deferred_.push_back(m);
    tables_.push_back(gather.freelist);
    std::fill_n(pending_.begin() + static_cast<std::ptrdiff_t>(m.page), m.pages, true);
  }
  void flush_deferred() {
    domain_.flush_all(cpu_);
    for (const FreelistHandle tables : tables_) driver_.free_tables(cpu_, tables);
    for (const Mapping& m : deferred_) forgotten(m);
    tables_.clear();
    deferred_.clear();
    std::fill(pending_.begin(), pending_.end(), false);
  }

  RandomStream random_;
  PlainDriverOptions options_;
  Device device_;
  trace::Tracer tracer_;
  test::SoloProcessor processor_;
  const GuestCosts costs_;
  Cpu cpu_{processor_, costs_, {}, tracer_};
  PlainDriver driver_;
  IommuDomain domain_;
  std::vector<std::uint64_t> flat_ = std::vector<std::uint64_t>(space_pages, absent);
  std::vector<bool> pending_ = std::vector<bool>(space_pages);  // unmapped, not yet flushed
  std::vector<Mapping> mappings_;
  std::vector<Mapping> deferred_;
  std::vector<FreelistHandle> tables_;
  std::uint64_t mapped_bytes_ = 0;
  std::uint64_t unmapped_bytes_ = 0;
  std::string wrong_;
};

Setup any_setup() {
  Setup setup;
  setup.policy = *rc::gen::inRange<std::size_t>(0, flush_policies().size());
  setup.calls = *rc::gen::element(DriverCalls::whole_range, DriverCalls::per_page, DriverCalls::counted);
  setup.shape = *rc::gen::inRange(0u, shapes);
  setup.caching = *rc::gen::arbitrary<bool>();
  setup.gather = *rc::gen::arbitrary<bool>();
  setup.sync_map = *rc::gen::arbitrary<bool>();
  setup.fill_and_skip = *rc::gen::arbitrary<bool>();
  RC_LOG() << flush_policies()[setup.policy].name << ", calls " << static_cast<int>(setup.calls) << ", shape "
           << setup.shape << ", caching " << setup.caching << ", gather " << setup.gather << ", sync_map "
           << setup.sync_map << ", fill_and_skip " << setup.fill_and_skip << "\n";
  return setup;
}

unsigned operations_per_case() {
  constexpr std::uint64_t cases = 1000;  // max_success in CMakeLists.txt
  const char* wanted = std::getenv("GNOMON_PROPERTY_OPERATIONS");
  const std::uint64_t all = wanted == nullptr ? 1'000'000 : std::strtoull(wanted, nullptr, 10);
  return static_cast<unsigned>(std::max<std::uint64_t>(1, all / cases));
}

TEST_CASE("maps are seen, unmaps are forgotten, nothing else changes, whatever the policy", "[property]") {
  CHECK(rc::check("against the flat map", [] {
    const Setup setup = any_setup();
    const auto seed = *rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>());
    const unsigned most = operations_per_case();
    const unsigned operations = *rc::gen::inRange(most - most / 4, most + most / 4 + 1);
    const std::string wrong = World(setup, seed).run(operations);
    RC_LOG() << wrong;
    RC_ASSERT(wrong.empty());
  }));
}

TEST_CASE("the checker sees a device that drops only the first page of a block", "[property]") {
  for (std::size_t policy = 0; policy < flush_policies().size(); ++policy) {
    for (unsigned shape = 0; shape < shapes; ++shape) {
      Setup setup;
      setup.policy = policy;
      setup.shape = shape;
      setup.first_page_only = true;
      INFO(flush_policies()[policy].name << ", shape " << shape);
      CHECK(World(setup, 1).run(1000) != "");
    }
  }
}

}  // namespace
}  // namespace gnomon::guest
