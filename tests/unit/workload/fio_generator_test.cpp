// SPDX-License-Identifier: Apache-2.0
// Streams of I/Os: coverage, mix, limits, repeatability.
#include <catch2/catch.hpp>
#include <vector>

#include "guest/fio/io_generator.hpp"

using namespace gnomon;
using namespace gnomon::fio;

namespace {

constexpr std::uint64_t device = std::uint64_t{1} << 30;

JobSpec job(Pattern pattern, std::uint64_t size) {
  JobSpec spec;
  spec.pattern = pattern;
  spec.size.bytes = size;
  return spec;
}

IoGenerator generator(const JobSpec& spec, std::uint64_t master = 1, std::uint32_t thread = 1) {
  const Region region = resolve_region(spec, device);
  REQUIRE(region.error.empty());
  return IoGenerator(spec, region, master, thread);
}

/// Up to `most` I/Os.
std::vector<IoRequest> draw(IoGenerator stream, std::size_t most = 1'000'000) {
  std::vector<IoRequest> ios;
  for (IoRequest io; ios.size() < most && stream.next(io);) ios.push_back(io);
  return ios;
}

/// Block numbers of 4 KiB.
std::vector<std::uint64_t> blocks(const std::vector<IoRequest>& ios) {
  std::vector<std::uint64_t> numbers;
  for (const auto& io : ios) numbers.push_back(io.offset / 4096);
  return numbers;
}

using Blocks = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a random job visits every block of its region once a pass") {
  for (const std::uint64_t count : {1u, 2u, 3u, 7u, 8u, 1000u, 4097u, 262'144u}) {
    auto spec = job(Pattern::randwrite, count * 4096 + (count < 100 ? 100 : 0));  // a rest is left alone
    const auto ios = draw(generator(spec));
    REQUIRE(ios.size() == count);
    std::vector<bool> seen(count);
    bool sorted = true;
    for (std::size_t i = 0; i < ios.size(); ++i) {
      REQUIRE(ios[i].bytes == 4096);
      REQUIRE(ios[i].offset % 4096 == 0);
      REQUIRE(ios[i].offset / 4096 < count);
      REQUIRE_FALSE(seen[ios[i].offset / 4096]);
      seen[ios[i].offset / 4096] = true;
      sorted = sorted && ios[i].offset == i * 4096;
    }
    if (count >= 1000) CHECK_FALSE(sorted);
  }
}

TEST_CASE("random offsets are spread: neighbours in time are far apart in space") {
  const auto ios = draw(generator(job(Pattern::randread, device)), 100'000);
  std::uint64_t near = 0, low_half = 0;
  for (std::size_t i = 1; i < ios.size(); ++i) {
    const auto a = ios[i - 1].offset, b = ios[i].offset;
    near += (a > b ? a - b : b - a) < device / 100 ? 1 : 0;
    low_half += b < device / 2 ? 1 : 0;
  }
  CHECK(near > 1'600);  // expected 1.99 % of 100,000
  CHECK(near < 2'400);
  CHECK(low_half > 49'000);
  CHECK(low_half < 51'000);
}

TEST_CASE("the mix is exact over every hundred I/Os, and not regular") {
  for (const std::uint32_t percent : {0u, 1u, 30u, 50u, 99u, 100u}) {
    auto spec = job(Pattern::randrw, device);
    spec.rwmixread = percent;
    spec.time_based = true;
    const auto ios = draw(generator(spec), 100'000);
    std::uint64_t reads = 0, alternations = 0;
    for (std::size_t i = 0; i < ios.size(); ++i) {
      reads += ios[i].direction == Direction::read ? 1 : 0;
      alternations += i != 0 && ios[i].direction != ios[i - 1].direction ? 1 : 0;
      if (i % 100 == 99) REQUIRE(reads == (i + 1) / 100 * percent);
    }
    CHECK(reads == percent * 1000);
    if (percent == 50) {
      CHECK(alternations > 49'000);
      CHECK(alternations < 52'000);
    }
  }
}

TEST_CASE("a mixed random job shares one map between its directions") {
  auto spec = job(Pattern::randrw, 64 * 4096);
  std::vector<bool> seen(64);
  for (const auto block : blocks(draw(generator(spec)))) seen[block] = true;
  CHECK(std::count(seen.begin(), seen.end(), true) == 64);
}

TEST_CASE("sequential jobs run through their region from its offset") {
  auto spec = job(Pattern::read, 8 * 4096 + 2048);
  spec.offset.bytes = 4 * 4096;
  CHECK(blocks(draw(generator(spec))) == Blocks{4, 5, 6, 7, 8, 9, 10, 11});
  spec.time_based = true;
  CHECK(blocks(draw(generator(spec), 10)) == Blocks{4, 5, 6, 7, 8, 9, 10, 11, 4, 5});
}

TEST_CASE("a mixed sequential job keeps one position per direction") {
  const auto ios = draw(generator(job(Pattern::readwrite, 64 * 4096)));
  REQUIRE(ios.size() == 64);
  PerDirection<std::uint64_t> expected;
  for (const auto& io : ios) {
    CHECK(io.offset == expected[io.direction]);
    expected[io.direction] += 4096;
  }
  CHECK(expected.read > 0);
  CHECK(expected.write > 0);
}

TEST_CASE("limits end a job as they end fio's") {
  auto spec = job(Pattern::read, 8 * 4096);
  SECTION("io_size below the size, rounded up to a block") {
    spec.io_size = 10 * 1024;
    CHECK(blocks(draw(generator(spec))) == Blocks{0, 1, 2});
  }
  SECTION("io_size beyond the size goes round") {
    spec.io_size = 10 * 4096;
    CHECK(blocks(draw(generator(spec))) == Blocks{0, 1, 2, 3, 4, 5, 6, 7, 0, 1});
  }
  SECTION("number_ios stops, never extends") {
    spec.number_ios = 3;
    CHECK(draw(generator(spec)).size() == 3);
    spec.number_ios = 30;
    CHECK(draw(generator(spec)).size() == 8);
  }
  SECTION("loops repeat the limits and go on where they were") {
    spec.number_ios = 3;
    spec.loops = 4;
    CHECK(blocks(draw(generator(spec))) == Blocks{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3});
  }
  SECTION("time_based knows no limit") {
    spec.number_ios = 3;
    spec.io_size = 4096;
    spec.time_based = true;
    CHECK(draw(generator(spec), 100).size() == 100);
  }
  SECTION("a finished stream stays finished") {
    auto stream = generator(spec);
    IoRequest io;
    for (int i = 0; i < 8; ++i) REQUIRE(stream.next(io));
    CHECK_FALSE(stream.next(io));
    CHECK_FALSE(stream.next(io));
  }
}

TEST_CASE("loops repeat the sequence with randrepeat, time_based never does") {
  auto spec = job(Pattern::randrw, 64 * 4096);
  spec.loops = 2;
  const auto halves = [](const std::vector<IoRequest>& ios) {
    REQUIRE(ios.size() == 128);
    return std::equal(ios.begin(), ios.begin() + 64, ios.begin() + 64);
  };
  CHECK(halves(draw(generator(spec))));
  spec.randrepeat = false;
  CHECK_FALSE(halves(draw(generator(spec))));
  spec.randrepeat = true;
  spec.time_based = true;
  CHECK_FALSE(halves(draw(generator(spec), 128)));
}

TEST_CASE("norandommap repeats blocks") {
  auto spec = job(Pattern::randread, 1000 * 4096);
  spec.norandommap = true;
  const auto ios = draw(generator(spec));
  REQUIRE(ios.size() == 1000);
  std::vector<bool> seen(1000);
  for (const auto block : blocks(ios)) seen[block] = true;
  const auto distinct = std::count(seen.begin(), seen.end(), true);
  CHECK(distinct > 580);  // 1 - 1/e of them
  CHECK(distinct < 690);
}

TEST_CASE("two block sizes each keep their own length and alignment") {
  auto spec = job(Pattern::randrw, device);
  spec.block_size = {4096, 65536};
  spec.norandommap = true;
  for (const auto& io : draw(generator(spec), 1000)) {
    CHECK(io.bytes == spec.block_size[io.direction]);
    CHECK(io.offset % io.bytes == 0);
    CHECK(io.offset + io.bytes <= device);
  }
}

TEST_CASE("the seeds decide the sequence, and only they") {
  auto spec = job(Pattern::randrw, device);
  const auto first = [&spec](std::uint64_t master, std::uint32_t thread) {
    return draw(generator(spec, master, thread), 200);
  };
  const auto base = first(1, 1);
  CHECK(first(1, 1) == base);
  CHECK(first(2, 1) == base);  // randrepeat=1: the same on every run
  CHECK(first(1, 2) != base);
  spec.randrepeat = false;
  CHECK(first(1, 1) == first(1, 1));
  CHECK(first(1, 1) != first(2, 1));
  spec.allrandrepeat = true;
  CHECK(first(2, 1) == base);
  spec.allrandrepeat = false;
  spec.randseed = 42;
  spec.randseed_given = true;  // fio repeats a given seed even with randrepeat=0
  CHECK(first(1, 1) == first(2, 1));
  CHECK(first(1, 1) != base);
}

TEST_CASE("the sequence is pinned: it is part of every recorded result") {
  const auto ios = draw(generator(job(Pattern::randrw, 16 * 4096)));
  std::string text;
  for (const auto& io : ios)
    text += (io.direction == Direction::read ? 'r' : 'w') + std::to_string(io.offset / 4096) + ' ';
  CHECK(text == "w8 w0 r6 r12 w1 r4 r15 w14 r3 r13 r5 r2 w7 r10 r9 w11 ");
}

TEST_CASE("a region that does not fit the device is refused") {
  auto spec = job(Pattern::read, 8192);
  spec.offset.bytes = device;
  CHECK(resolve_region(spec, device).error == "offset 1073741824 is beyond the device of 1073741824 bytes");
  spec.offset.bytes = device - 4096;
  CHECK(resolve_region(spec, device).error == "offset plus size exceed the device of 1073741824 bytes");
  spec.size = {};
  CHECK(resolve_region(spec, device).bytes == 4096);
  spec.size.bytes = 100;
  CHECK(resolve_region(spec, device).error == "size 100 is below the block size of 4096");
}

TEST_CASE("rate_iops paces without drift") {
  CHECK(paced_issue_time(0, 3) == Time{});
  CHECK(paced_issue_time(1, 3) == Time::ps(333'333'333'333));
  CHECK(paced_issue_time(3'000'000, 3) == Time::s(1'000'000));
}
