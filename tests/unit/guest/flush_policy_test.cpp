// SPDX-License-Identifier: Apache-2.0
// The flush policies: when they sync, and with which blocks, as tables.
#include "guest/iommu/flush_policy.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "models/base/random.hpp"

namespace gnomon::guest {
namespace {

struct Chunk {
  std::uint64_t page;
  std::uint64_t pages;
};
struct Flushed {
  unsigned syncs = 0;
  std::vector<FlushBlock> blocks;
};

constexpr FlushUnit caching{.caches_non_present = true};
constexpr FlushUnit bare{};

// What a driver does: asks before each chunk it adds, and syncs once more at the end.
Flushed flush(std::string_view name, const FlushUnit& unit, const std::vector<Chunk>& chunks) {
  const FlushPolicy* policy = find_flush_policy(name);
  REQUIRE(policy != nullptr);
  Flushed out;
  IotlbGather gather;
  const auto sync = [&] {
    ++out.syncs;
    for_each_block(*policy, unit, Iova{gather.start}, Iova{gather.end},
                   [&](FlushBlock block) { out.blocks.push_back(block); });
    gather.reset();
  };
  for (const auto [page, pages] : chunks) {
    if (policy->sync_before_add(unit, gather, Iova::from_page(page), pages * page_size)) sync();
    gather.add_page(Iova::from_page(page), pages * page_size);
  }
  sync();
  return out;
}
std::vector<Chunk> page_by_page(std::uint64_t first, std::uint64_t pages) {
  std::vector<Chunk> chunks;
  for (std::uint64_t page = first; page < first + pages; ++page) chunks.push_back({page, 1});
  return chunks;
}
std::uint64_t pages_of(FlushBlock block) {
  return block.whole_domain() ? 0 : 1ULL << (block.order - page_shift);
}
FlushBlock block(std::uint64_t page, std::uint64_t pages) {
  return enclosing_block(page << page_shift, ((page + pages) << page_shift) - 1);
}

TEST_CASE("commands to invalidate n pages that arrive one at a time, as before 5.14", "[flush_policy]") {
  struct Row {
    std::uint64_t first;
    std::uint64_t pages;
    std::uint64_t block;   // pages one command covers
    std::size_t tailored;  // syncs, a command each
    std::size_t deferred;  // commands of one sync
  };
  const auto row = GENERATE(values<Row>({{0, 1, 1, 1, 1},
                                         {0, 3, 4, 2, 2},
                                         {0, 4, 4, 2, 1},
                                         {0, 7, 8, 4, 3},
                                         {0, 8, 8, 4, 1},
                                         {0, 16, 16, 8, 1},
                                         {0, 15, 16, 8, 4},
                                         {1, 7, 8, 4, 3},
                                         {3, 2, 8, 2, 2},
                                         {255, 2, 512, 2, 2},
                                         {1, 16, 32, 9, 5}}));
  CAPTURE(row.first, row.pages);
  const auto chunks = page_by_page(row.first, row.pages);
  for (const char* enclosing : {"page-selective", "generic"}) {
    const Flushed one = flush(enclosing, caching, chunks);
    CHECK(one.syncs == 1);
    REQUIRE(one.blocks.size() == 1);
    CHECK(pages_of(one.blocks[0]) == row.block);
  }
  const Flushed tailored = flush("tailored", caching, chunks);
  CHECK(tailored.syncs == row.tailored);
  CHECK(tailored.blocks.size() == row.tailored);
  for (const char* split : {"deferred-split", "natural-split"}) {
    const Flushed once = flush(split, caching, chunks);
    CHECK(once.syncs == 1);
    CHECK(once.blocks.size() == row.deferred);
  }
  const Flushed full = flush("full", caching, chunks);
  REQUIRE(full.blocks.size() == 1);
  CHECK(full.blocks[0].whole_domain() == (row.pages > 1));
}

TEST_CASE("what the blocks of a policy cover: the pages, and no others where it splits", "[flush_policy]") {
  const auto [first, pages] =
      GENERATE(table<std::uint64_t, std::uint64_t>({{0xfffe0, 5}, {3, 2}, {255, 2}, {1, 16}}));
  for (const auto& [name, meaning, source, policy] : flush_policies()) {
    const auto blocks = flush(name, caching, page_by_page(first, pages)).blocks;
    std::uint64_t covered = 0;
    for (std::uint64_t page = first; page < first + pages; ++page) {
      for (const FlushBlock& b : blocks) {
        if (b.covers(page << page_shift)) {
          ++covered;
          break;
        }
      }
    }
    INFO(name);
    CHECK(covered == pages);
    std::uint64_t flushed = 0;
    for (const FlushBlock& b : blocks) flushed += pages_of(b);
    if (name == "tailored" || name == "deferred-split" || name == "natural-split") CHECK(flushed == pages);
  }
}

TEST_CASE("AMD with NpCache: 20 KiB, and pairs across a boundary, are two commands each", "[flush_policy]") {
  CHECK(flush("natural-split", caching, {{0xfffe0, 5}}).blocks ==
        std::vector{FlushBlock{0xfffe'0000, 14}, FlushBlock{0xfffe'4000, 12}});
  CHECK(flush("natural-split", caching, {{3, 2}}).blocks == std::vector{block(3, 1), block(4, 1)});
  CHECK(flush("natural-split", caching, {{0xff, 2}}).blocks == std::vector{block(0xff, 1), block(0x100, 1)});
  CHECK(flush("natural-split", caching, {{0xfffe0, 16}}).blocks == std::vector{FlushBlock{0xfffe'0000, 16}});
}

TEST_CASE("AMD without NpCache: one command, over an enclosing block", "[flush_policy]") {
  struct Row {
    std::uint64_t page, pages;
    FlushBlock block;
  };
  const auto row = GENERATE(values<Row>({{0xfffff, 1, {0xffff'f000, 12}},
                                         {0xfffe0, 2, {0xfffe'0000, 13}},
                                         {0xfffe0, 5, {0xfffe'0000, 15}},
                                         {0xfffe0, 16, {0xfffe'0000, 16}},
                                         {3, 2, {0, 15}},
                                         {0xff, 2, {0, 21}},
                                         {0, 512, {0, 21}}}));
  for (const char* name : {"natural-split", "tailored", "page-selective"}) {
    CHECK(flush(name, bare, {{row.page, row.pages}}).blocks == std::vector{row.block});
  }
}

TEST_CASE("natural-split differs from deferred-split only where non-present entries are not cached",
          "[flush_policy]") {
  const std::vector<Chunk> sparse{{1, 3}, {9, 2}, {11, 4}};
  CHECK(flush("natural-split", caching, sparse).blocks == flush("deferred-split", caching, sparse).blocks);
  CHECK(flush("deferred-split", bare, sparse).blocks == flush("deferred-split", caching, sparse).blocks);
  const Flushed merged = flush("natural-split", bare, sparse);
  CHECK(merged.syncs == 1);  // the gap of pages 4 to 8 as well
  CHECK(merged.blocks == std::vector{block(0, 16)});
  CHECK(flush("deferred-split", bare, sparse).syncs == 2);
}

TEST_CASE("chunks of a counted call spare the tailored policy its syncs", "[flush_policy]") {
  CHECK(flush("tailored", caching, {{0, 16}}).syncs == 1);
  CHECK(flush("tailored", caching, {{0, 8}, {8, 4}, {12, 2}, {14, 1}}).syncs == 4);  // 15 pages by powers of two
  CHECK(flush("tailored", caching, {{4, 2}, {6, 2}}).syncs == 1);                    // together a block again
  CHECK(flush("tailored", caching, {{6, 2}, {4, 2}}).syncs == 1);                    // from either side
  CHECK(flush("tailored", caching, {{2, 2}, {4, 2}}).syncs == 2);
  CHECK(flush("tailored", bare, {{2, 2}, {4, 2}, {90, 1}}).syncs == 1);
}

// Pages of 64, each unmapped once, as chunks in any order: single pages, aligned powers of two, or of any length.
enum class Arrival { pages, aligned, any };
std::vector<Chunk> arrivals(RandomStream& random, Arrival kind) {
  std::vector<Chunk> chunks;
  for (std::uint64_t page = 0; page < 64;) {
    std::uint64_t pages = 1;
    if (kind == Arrival::aligned) pages = 1ULL << random.below(page == 0 ? 7 : static_cast<std::uint64_t>(std::countr_zero(page)) + 1);
    if (kind == Arrival::any) pages = 1 + random.below(64 - page);
    if (random.below(3) != 0) chunks.push_back({page, pages});
    page += pages;
  }
  if (random.below(2) == 0) {  // else ascending, as an unmap's loop goes
    for (std::size_t left = chunks.size(); left > 1; --left) std::swap(chunks[left - 1], chunks[random.below(left)]);
  }
  return chunks;
}

TEST_CASE("tailored has fewer commands than deferred-split only where it covers what was not unmapped",
          "[flush_policy]") {
  const auto kind = GENERATE(Arrival::pages, Arrival::aligned, Arrival::any);
  RandomStream random(7, "arrivals");
  unsigned fewer = 0;
  for (int round = 0; round < 4'000; ++round) {
    const std::vector<Chunk> chunks = arrivals(random, kind);
    if (chunks.empty()) continue;
    std::uint64_t unmapped = 0;
    for (const Chunk& chunk : chunks) unmapped += chunk.pages;
    const auto covered = [](const Flushed& flushed) {
      std::uint64_t pages = 0;
      for (const FlushBlock& b : flushed.blocks) pages += pages_of(b);
      return pages;
    };
    const Flushed tailored = flush("tailored", caching, chunks);
    const Flushed deferred = flush("deferred-split", caching, chunks);
    REQUIRE(covered(deferred) == unmapped);
    if (tailored.blocks.size() >= deferred.blocks.size()) continue;
    ++fewer;
    REQUIRE(covered(tailored) > unmapped);
  }
  CHECK((fewer > 0) == (kind == Arrival::any));
}

TEST_CASE("generic: VT-d's chunks of different lengths are two syncs, ARM's leaves of one size one",
          "[flush_policy]") {
  CHECK(flush("generic", bare, {{512, 512}, {1024, 16}}).syncs == 2);
  CHECK(flush("generic", bare, page_by_page(16, 16)).syncs == 1);
  CHECK(flush("page-selective", bare, {{512, 512}, {1024, 16}}).syncs == 1);
}

TEST_CASE("what is larger than a command can name is the whole domain", "[flush_policy]") {
  const FlushUnit vtd{.caches_non_present = true, .largest_block = 30};
  constexpr std::uint64_t gib = 1ULL << 18;  // pages
  CHECK(flush("generic", vtd, {{gib, gib}}).blocks == std::vector{block(gib, gib)});
  CHECK(flush("generic", vtd, {{gib, gib + 1}}).blocks == std::vector{flush_whole_domain});
  CHECK(flush("generic", vtd, {{gib - 1, 2}}).blocks == std::vector{flush_whole_domain});
  CHECK(flush("natural-split", vtd, {{gib - 1, 2}}).blocks.size() == 2);
  CHECK(flush("natural-split", vtd, {{0, 2 * gib}}).blocks == std::vector{flush_whole_domain});
  CHECK(enclosing_block(0, ~0ULL) == flush_whole_domain);
  CHECK(enclosing_block(0x7fff'ffff'ffff'f000, 0x8000'0000'0000'0fff) == flush_whole_domain);
}

TEST_CASE("an empty gather is never synced early", "[flush_policy]") {
  for (const auto& entry : flush_policies()) {
    for (const FlushUnit& unit : {caching, bare}) {
      INFO(entry.name);
      CHECK_FALSE(entry.policy->sync_before_add(unit, {}, Iova{0}, page_size));
      CHECK_FALSE(entry.policy->sync_before_add(unit, {}, Iova{0x7000}, 3 * page_size));
    }
  }
}

TEST_CASE("the registry: names are unique, found, and explained", "[flush_policy]") {
  std::set<std::string> names;
  for (const auto& entry : flush_policies()) {
    CHECK(names.emplace(entry.name).second);
    CHECK(find_flush_policy(entry.name) == entry.policy);
    CHECK_FALSE(entry.meaning.empty());
    CHECK_FALSE(entry.source.empty());
  }
  for (const char* name : {"full", "generic", "page-selective", "tailored", "deferred-split", "natural-split"}) {
    CHECK(names.count(name) == 1);
  }
  CHECK(find_flush_policy("fulll") == nullptr);
}

TEST_CASE("a block that misses what was asked for is refused", "[flush_policy]") {
  struct Wrong final : FlushPolicy {
    bool sync_before_add(const FlushUnit&, const IotlbGather&, Iova, std::uint64_t) const override { return false; }
    FlushBlock first_block(const FlushUnit&, Iova first, Iova) const override {
      return {first.value + page_size, page_shift};
    }
  };
  CHECK_THROWS_AS(for_each_block(Wrong{}, bare, Iova{0}, Iova{0xfff}, [](FlushBlock) {}), std::logic_error);
}

}  // namespace
}  // namespace gnomon::guest
