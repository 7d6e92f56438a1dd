// SPDX-License-Identifier: Apache-2.0
// The page pool: mapped once, kept while it can be, unmapped when it leaves.
#include "guest/nic/page_pool.hpp"

#include <catch2/catch.hpp>

#include "tests/support/nic_bench.hpp"

namespace gnomon::guest {
namespace {

struct Bench {
  explicit Bench(const PagePoolOptions& options = {})
      : pool(options, costs, nic.dma, nic.pages, RandomStream(1, "pool")) {}
  NicCosts costs;
  test::NicBench nic;
  PagePool pool;
};

TEST_CASE("the first page brings a bulk of 64, mapped for the device to write") {
  Bench b;
  const std::uint32_t page = b.pool.take(b.nic.cpu);
  CHECK(b.pool.counters().mapped == 64);
  CHECK(b.nic.dma.maps == 64);
  CHECK_NOTHROW(b.nic.dma.at(b.pool.address(page), page_size, true));
  CHECK_THROWS(b.nic.dma.at(b.pool.address(page), page_size, false));
  for (int i = 0; i < 63; ++i) b.pool.take(b.nic.cpu);
  CHECK(b.pool.counters().mapped == 64);
  b.pool.take(b.nic.cpu);
  CHECK(b.pool.counters().mapped == 128);
}

TEST_CASE("a page given back directly is the next one taken, unmapped never") {
  Bench b;
  const std::uint32_t page = b.pool.take(b.nic.cpu);
  b.pool.put(b.nic.cpu, page, true);
  CHECK(b.pool.take(b.nic.cpu) == page);
  CHECK(b.pool.counters().recycled == 1);
  CHECK(b.nic.dma.unmaps == 0);
}

TEST_CASE("what comes back from elsewhere waits in the ring, and refills the cache before fresh pages do") {
  Bench b;
  std::vector<std::uint32_t> taken;
  for (int i = 0; i < 64; ++i) taken.push_back(b.pool.take(b.nic.cpu));
  b.pool.put(b.nic.cpu, taken[5], false);
  CHECK(b.pool.take(b.nic.cpu) == taken[5]);
  CHECK(b.pool.counters().mapped == 64);
}

TEST_CASE("a full cache overflows into the ring, a full ring out of the pool") {
  PagePoolOptions options;
  options.cache = 2;
  options.refill = 2;
  options.ring = 3;
  Bench b(options);
  std::vector<std::uint32_t> taken;
  for (int i = 0; i < 8; ++i) taken.push_back(b.pool.take(b.nic.cpu));
  for (int i = 0; i < 5; ++i) b.pool.put(b.nic.cpu, taken[static_cast<std::size_t>(i)], true);
  CHECK(b.nic.dma.unmaps == 0);
  b.pool.put(b.nic.cpu, taken[5], true);
  CHECK(b.nic.dma.unmaps == 1);
  CHECK(b.pool.counters().unmapped == 1);
}

TEST_CASE("pages that cannot be recycled leave, and their memory comes back mapped anew") {
  PagePoolOptions options;
  options.recycled_ppm = 0;
  options.refill = 1;
  Bench b(options);
  const std::uint32_t page = b.pool.take(b.nic.cpu);
  const Iova before = b.pool.address(page);
  b.pool.put(b.nic.cpu, page, true);
  CHECK(b.nic.dma.pages.empty());
  CHECK(b.pool.take(b.nic.cpu) == page);
  CHECK(b.pool.address(page) != before);
}

TEST_CASE("a share of one in four stays as often as that") {
  PagePoolOptions options;
  options.recycled_ppm = 250'000;
  Bench b(options);
  for (int i = 0; i < 4000; ++i) b.pool.put(b.nic.cpu, b.pool.take(b.nic.cpu), true);
  CHECK(b.pool.counters().recycled == Approx(1000).epsilon(0.1));
  CHECK(b.pool.counters().recycled + b.pool.counters().unmapped == 4000);
}

TEST_CASE("no mapping, no page") {
  Bench b;
  b.nic.dma.refuse = true;
  CHECK(b.pool.take(b.nic.cpu) == PagePool::no_page);
  b.nic.dma.refuse = false;
  CHECK(b.pool.take(b.nic.cpu) != PagePool::no_page);
}

TEST_CASE("closed: everything leaves, and what comes later too") {
  Bench b;
  const std::uint32_t out = b.pool.take(b.nic.cpu);
  b.pool.put(b.nic.cpu, b.pool.take(b.nic.cpu), false);
  b.pool.close(b.nic.cpu);
  CHECK(b.nic.dma.pages.size() == 1);
  b.pool.put(b.nic.cpu, out, false);
  CHECK(b.nic.dma.pages.empty());
  CHECK(b.pool.counters().mapped == b.pool.counters().unmapped);
}

}  // namespace
}  // namespace gnomon::guest
