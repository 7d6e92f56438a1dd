// SPDX-License-Identifier: Apache-2.0
// The driver's costs against the times of a Tegra210 that were published with the range flush: T. Figa, "[RFC PATCH
// 0/3] iommu: Add range flush operation", 29 Sep 2015. One set of constants for all twelve rows.
#include <catch2/catch.hpp>

#include "tests/support/tegra_bench.hpp"

namespace gnomon::guest {
namespace {

using Bench = test::TegraBench;

struct Row {
  std::uint64_t pages;
  std::array<unsigned, 4> map_before, map_after, unmap_before, unmap_after;  // us
};
constexpr std::array rows{
    Row{32, {139, 136, 137, 136}, {40, 34, 38, 36}, {128, 122, 119, 123}, {7, 8, 10, 12}},
    Row{1024, {3939, 3730, 3613, 3622}, {1163, 2389, 997, 1620}, {3829, 3964, 3908, 3875}, {151, 150, 145, 155}},
    Row{4608,
        {18635, 19261, 18473, 18125},
        {4741, 6550, 9304, 5120},
        {18570, 18473, 21020, 21764},
        {683, 806, 643, 652}}};

/// What differs between the sets: how the time of flushing one entry splits, and what that leaves for the rest.
struct Constants {
  const char* name;
  TegraSmmuCosts smmu;
  Time scatter_element = Time::ns(890);
};
Constants constants(const char* name, unsigned page, unsigned clean, unsigned barrier, unsigned write,
                    unsigned read, unsigned element) {
  TegraSmmuCosts c;
  c.page = Time::ns(page);
  c.clean_line = Time::ns(clean);
  c.barrier = Time::ns(barrier);
  c.register_write = Time::ns(write);
  c.register_read = Time::ns(read);
  return {name, c, Time::ns(element)};
}

/// Times four, so that the mean of four samples is their sum.
struct Times {
  std::uint64_t map_ns4, unmap_ns4;
};

/// One map and one unmap of so many pages, each a scatter element. The smallest buffer shares its table with
/// another.
Times measure(TegraFlush flush, std::uint64_t pages, const Constants& c) {
  GuestCosts costs;
  costs.iommu_call = Time::ns(50);
  costs.scatter_element = c.scatter_element;
  Bench b{flush, tegra::tegra210, {}, costs, c.smmu};
  b.boot();
  if (pages < 1024) REQUIRE(b.map(0x8'0000 + 512, 0x7000, 1) == 0);
  std::vector<Run> runs;
  for (std::uint64_t i = 0; i < pages; ++i) runs.push_back({Gpa::from_page(0x2000 + 2 * i), page_size});
  Time began = b.cpu.now();
  REQUIRE(b.map(0x8'0000, runs) == 0);
  const Time mapped = b.cpu.now() - began;
  began = b.cpu.now();
  REQUIRE(b.unmap(0x8'0000, pages) == pages);
  return {mapped.ns() * 4, (b.cpu.now() - began).ns() * 4};
}

std::uint64_t sum_ns(const std::array<unsigned, 4>& us) {
  return std::uint64_t{us[0] + us[1] + us[2] + us[3]} * 1000;
}
bool within(std::uint64_t value, std::uint64_t expected, unsigned percent) {
  return value * 100 >= expected * (100 - percent) && value * 100 <= expected * (100 + percent);
}

void check(const Constants& c) {
  for (const Row& row : rows) {
    const Times before = measure(TegraFlush::before, row.pages, c);
    const Times after = measure(TegraFlush::range, row.pages, c);
    CAPTURE(c.name, row.pages, before.map_ns4 / 4, before.unmap_ns4 / 4, after.map_ns4 / 4, after.unmap_ns4 / 4);
    CHECK(within(before.map_ns4, sum_ns(row.map_before), 25));
    CHECK(within(before.unmap_ns4, sum_ns(row.unmap_before), 25));
    CHECK(within(after.unmap_ns4, sum_ns(row.unmap_after), 15));
    const auto [low, high] = std::minmax_element(row.map_after.begin(), row.map_after.end());
    CHECK(after.map_ns4 / 4 >= std::uint64_t{*low} * 1000);
    CHECK(after.map_ns4 / 4 <= std::uint64_t{*high} * 1000);
  }
}

TEST_CASE("the published times: unmap after within 15 %, before within 25 %, map after inside its spread") {
  check({"the machine profile's", {}});
}

// Sets as far apart as these meet the same rows: the rows do not say what the time of a flush is spent on.
TEST_CASE("the published times do not fix how a flush's time splits") {
  check(constants("barriers alone", 100, 0, 3300, 0, 0, 930));
  check(constants("read backs alone", 100, 0, 0, 0, 3300, 930));
  check(constants("register writes for the most", 0, 0, 0, 600, 1440, 910));
  check(constants("cleaning for the most", 70, 3200, 20, 0, 10, 800));
}

}  // namespace
}  // namespace gnomon::guest
