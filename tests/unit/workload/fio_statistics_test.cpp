// SPDX-License-Identifier: Apache-2.0
// What a thread's statistics keep: windows, ramp, depths, merging.
#include <catch2/catch.hpp>

#include "guest/fio/statistics.hpp"

using namespace gnomon;
using namespace gnomon::fio;

namespace {

JobSpec libaio_job() {
  JobSpec job;
  job.engine = Engine::libaio;
  return job;
}

/// A read of 4 KiB that ends at `end` after 1 us in preparation and 9 us in the device.
void read_ending(JobStatistics& s, Time end) {
  s.record_submission(Direction::read, end - Time::us(10), end - Time::us(9), 1);
  s.record_completion(Direction::read, 4096, end - Time::us(10), end - Time::us(9), end);
}

}  // namespace

TEST_CASE("latencies are split at the submission") {
  JobStatistics s(libaio_job());
  s.start(Time{});
  read_ending(s, Time::ms(1));
  s.finish(Time::ms(2));
  CHECK(s[Direction::read].slat.moments().max() == 1'000);
  CHECK(s[Direction::read].clat.moments().max() == 9'000);
  CHECK(s[Direction::read].lat.moments().max() == 10'000);
  CHECK(s[Direction::read].issued == 1);
  CHECK(s[Direction::read].runtime_ms == 2);
  CHECK(s[Direction::write].runtime_ms == 0);
  JobSpec job = libaio_job();
  job.engine = Engine::psync;
  JobStatistics sync(job);
  read_ending(sync, Time::ms(1));
  CHECK(sync[Direction::read].slat.moments().count() == 0);  // a synchronous engine has none, in fio too
  CHECK(sync[Direction::read].lat.moments().count() == 1);
}

TEST_CASE("a rate is sampled every 500 ms, idle windows are not") {
  JobStatistics s(libaio_job());
  s.start(Time{});
  for (std::uint64_t ms = 1; ms < 500; ++ms) read_ending(s, Time::ms(ms));        // 499 in the first window
  for (std::uint64_t ms = 1'500; ms < 1'700; ++ms) read_ending(s, Time::ms(ms));  // 200 in the fourth
  for (std::uint64_t ms = 2'000; ms < 2'100; ++ms) read_ending(s, Time::ms(ms));  // the last stays open
  s.finish(Time::ms(2'400));
  const RateSummary& iops = s[Direction::read].iops;
  CHECK(iops.samples == 2);
  CHECK(iops.max == 998);
  CHECK(iops.min == 400);
  CHECK(iops.mean == 699.0);
  CHECK(iops.stddev() == Approx(422.8499).margin(1e-4));
  CHECK(s[Direction::read].bandwidth.max == 998 * 4);
  CHECK(s[Direction::write].iops.samples == 0);
}

TEST_CASE("a window that is full at the end counts") {
  JobStatistics s(libaio_job());
  s.start(Time::s(3));
  read_ending(s, Time::ms(3'499));
  s.finish(Time::ms(3'500));
  CHECK(s[Direction::read].iops.samples == 1);
  CHECK(s[Direction::read].iops.max == 2);
}

TEST_CASE("the ramp is left out, and the clock starts after it") {
  JobSpec job = libaio_job();
  job.ramp_time = Time::ms(200);
  JobStatistics s(job);
  s.start(Time::s(1));
  s.record_submit_call(1, Time::ms(1'100));
  read_ending(s, Time::ms(1'100));
  s.record_submit_call(1, Time::ms(1'300));
  read_ending(s, Time::ms(1'300));
  s.finish(Time::ms(2'200));
  CHECK(s[Direction::read].issued == 1);
  CHECK(s[Direction::read].clat.moments().count() == 1);
  CHECK(s.depth_submit == DepthCounts{0, 1, 0, 0, 0, 0, 0});
  CHECK(s[Direction::read].runtime_ms == 1'000);
  CHECK(s.total_issued() == 1);
}

TEST_CASE("runtimes are rounded up to a millisecond") {
  JobStatistics s(libaio_job());
  s.start(Time{});
  read_ending(s, Time::ms(1));
  s.finish(Time::ms(1) + Time::ps(1));
  CHECK(s.run_ms == 2);
}

TEST_CASE("depth classes are fio's") {
  const auto level = [](std::uint32_t depth) { return depth_level_class(depth); };
  CHECK(level(1) == 0);
  CHECK(level(2) == 1);
  CHECK(level(3) == 1);
  CHECK(level(4) == 2);
  CHECK(level(7) == 2);
  CHECK(level(31) == 4);
  CHECK(level(63) == 5);
  CHECK(level(64) == 6);
  CHECK(level(4096) == 6);
  const auto batch = [](std::uint32_t count) { return batch_class(count); };
  CHECK(batch(0) == 0);
  CHECK(batch(1) == 1);
  CHECK(batch(4) == 1);
  CHECK(batch(5) == 2);
  CHECK(batch(8) == 2);
  CHECK(batch(9) == 3);
  CHECK(batch(16) == 3);
  CHECK(batch(32) == 4);
  CHECK(batch(33) == 5);
  CHECK(batch(64) == 5);
  CHECK(batch(65) == 6);
}

TEST_CASE("a group adds its threads up: rates add, runtimes do not") {
  std::vector<JobStatistics> threads(2, JobStatistics(libaio_job()));
  for (std::size_t i = 0; i < 2; ++i) {
    threads[i].start(Time{});
    for (std::uint64_t ms = 1; ms < 1'000 + 500 * i; ++ms) read_ending(threads[i], Time::ms(ms));
    threads[i].record_reap_call(3, Time::ms(5));
    threads[i].user_time = Time::ms(7);
    threads[i].finish(Time::ms(1'000 + 500 * i));
  }
  JobStatistics group = threads[0];
  group.merge(threads[1]);
  CHECK(group[Direction::read].issued == 999 + 1'499);
  CHECK(group[Direction::read].bytes == (999 + 1'499) * 4096);
  CHECK(group[Direction::read].runtime_ms == 1'500);
  CHECK(group.run_ms == 2'500);
  CHECK(group[Direction::read].iops.samples == 5);
  CHECK(group[Direction::read].iops.min == 998 + 998);
  CHECK(group[Direction::read].iops.mean ==
        Approx(threads[0][Direction::read].iops.mean + threads[1][Direction::read].iops.mean));
  CHECK(group[Direction::read].clat.moments().count() == 999 + 1'499);
  CHECK(group.depth_complete[1] == 2);
  CHECK(group.user_time == Time::ms(14));
}
