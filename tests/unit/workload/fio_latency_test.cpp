// SPDX-License-Identifier: Apache-2.0
// Latencies against figures fio 3.33 printed for 512 reads of its null engine.
#include <catch2/catch.hpp>

#include "guest/fio/job_spec.hpp"
#include "guest/fio/latency.hpp"
#include "guest/fio/statistics.hpp"

using namespace gnomon::fio;

namespace {

struct Sample {
  std::uint64_t ns, count;
};
// The clat of that run. Below 128 ns a bin is exact; 8182 is its "max", and 6920 what its "mean" leaves for the
// other.
constexpr Sample samples[] = {{0, 4},  {1, 5},   {9, 1},  {10, 477}, {11, 6},
                              {19, 5}, {20, 11}, {30, 1}, {6920, 1}, {8182, 1}};

Latency measured() {
  Latency latency(true);
  for (const auto& [ns, count] : samples)
    for (std::uint64_t i = 0; i < count; ++i) latency.record(ns);
  return latency;
}

}  // namespace

TEST_CASE("buckets are fio's") {
  for (std::uint64_t ns = 0; ns < 128; ++ns) CHECK(bucket_value(bucket_of(ns)) == ns);
  // Percentiles and bins printed by fio 3.33: each stands for its own bucket.
  for (const std::uint64_t ns : {131u,  191u,  251u,  262u,  290u,  370u,  402u,   580u,   740u,   1240u,
                                 2008u, 2320u, 6944u, 7776u, 8160u, 9280u, 12864u, 16768u, 30592u, 38144u})
    CHECK(bucket_value(bucket_of(ns)) == ns);
  CHECK(bucket_value(bucket_of(8182)) == 8160);
  CHECK(bucket_value(bucket_of(9223)) == 9280);
  CHECK(bucket_value(bucket_of(38197)) == 38144);
  CHECK(bucket_count == 1856);
  CHECK(bucket_of(~std::uint64_t{0}) == 1855);
}

TEST_CASE("buckets are in order and hold their own values") {
  for (std::size_t i = 0; i < bucket_count; ++i) {
    CHECK(bucket_of(bucket_value(i)) == i);
    if (i != 0) CHECK(bucket_value(i) > bucket_value(i - 1));
  }
}

TEST_CASE("moments are those fio printed") {
  const auto latency = measured();
  const Moments& m = latency.moments();
  CHECK(m.count() == 512);
  CHECK(m.min() == 0);
  CHECK(m.max() == 8182);
  CHECK(m.mean() == Approx(39.642578).margin(5e-7));
  CHECK(m.stddev() == Approx(472.497042).margin(5e-7));
}

TEST_CASE("percentiles are those fio printed") {
  const auto list = default_percentiles();
  CHECK(measured().percentiles(list) ==
        std::vector<std::uint64_t>{1, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 20, 30, 8160, 8160, 8160});
}

TEST_CASE("latency classes are those fio printed: the bounds are exclusive") {
  LatencyClasses counts{};
  for (const auto& [ns, count] : samples) counts[latency_class(ns)] += count;
  CHECK(counts[0] == 9);                       // "2": 1.757812 % of 512
  CHECK(counts[1] == 0);                       // "4"
  CHECK(counts[2] == 1);                       // "10": 0.195312
  CHECK(counts[3] == 488);                     // "20": 95.312500
  CHECK(counts[4] == 12);                      // "50": 2.343750
  CHECK(counts[latency_classes_ns + 2] == 2);  // "10" us: 0.390625
  CHECK(latency_class(999) == 9);
  CHECK(latency_class(1'000) == latency_classes_ns);
  CHECK(latency_class(999'999) == latency_classes_ns + 9);
  CHECK(latency_class(1'000'000) == 20);
  CHECK(latency_class(999'999'999) == 29);
  CHECK(latency_class(1'000'000'000) == 30);
  CHECK(latency_class(2'000'000'000) == 31);
}

TEST_CASE("merging equals recording together") {
  Latency left(true), right(true), both(true);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? left : right).record(i * i);
    both.record(i * i);
  }
  left.merge(right);
  CHECK(left.moments().mean() == both.moments().mean());
  CHECK(left.moments().stddev() == both.moments().stddev());
  CHECK(left.moments().max() == both.moments().max());
  CHECK(std::equal(left.buckets().begin(), left.buckets().end(), both.buckets().begin()));
}

TEST_CASE("the deviation does not cancel where the values are large and close") {
  Moments m;
  for (int i = 0; i < 1'000; ++i) m.record(10'000'000'000'000'000u + (i % 2 == 0 ? 0u : 2u));
  CHECK(m.stddev() == Approx(1.00050037).margin(1e-8));
}

TEST_CASE("nothing recorded reads as zero") {
  const Latency none(true);
  CHECK(none.moments().min() == 0);
  CHECK(none.moments().mean() == 0.0);
  CHECK(none.percentiles(default_percentiles()).empty());
}
