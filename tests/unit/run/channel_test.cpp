// SPDX-License-Identifier: Apache-2.0
// Frames on a pipe, at both ends.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <thread>

#include "platform/run/channel.hpp"

using namespace gnomon::run;

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string read_available() {
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    std::string all;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
      all.append(buffer.data(), static_cast<std::size_t>(n));
    return all;
  }
  std::array<int, 2> ends{};
};

constexpr std::chrono::milliseconds always{0};

const std::string long_result = std::string(5, '\0').append(300, 'r');
const std::string zeros(8, '\0');

std::string some_traffic() {
  Pipe pipe;
  PipeChannel channel{pipe.ends[1], always};
  channel.progress({1, 2, 3});
  channel.result(long_result);
  channel.progress({~0ull, 0, 7});
  channel.failure("because");
  return pipe.read_available();
}

}  // namespace

TEST_CASE("what is sent arrives, wherever the pipe cuts it", "[run][channel]") {
  const std::string bytes = some_traffic();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameDecoder inbox;
    REQUIRE(inbox.feed(std::string_view{bytes}.substr(0, cut)));
    REQUIRE(inbox.feed(std::string_view{bytes}.substr(cut)));
    REQUIRE(inbox.take_progress() == Progress{~0ull, 0, 7});
    REQUIRE(inbox.take_result() == long_result);
    REQUIRE(inbox.take_failure() == "because");
  }
  FrameDecoder inbox;
  for (const char c : bytes) REQUIRE(inbox.feed({&c, 1}));
  CHECK(inbox.take_failure() == "because");
}

TEST_CASE("a result that is not whole is none", "[run][channel]") {
  Pipe pipe;
  PipeChannel{pipe.ends[1]}.result(std::string(1000, 'r'));
  const std::string bytes = pipe.read_available();
  REQUIRE(bytes.size() > 1000);
  FrameDecoder inbox;
  REQUIRE(inbox.feed(std::string_view{bytes}.substr(0, bytes.size() - 1)));
  CHECK(inbox.take_result().empty());
}

TEST_CASE("of several results the last counts; progress is reported once", "[run][channel]") {
  Pipe pipe;
  PipeChannel channel{pipe.ends[1], always};
  channel.result("first");
  channel.result("second");
  channel.progress({4, 5, 6});
  FrameDecoder inbox;
  REQUIRE(inbox.feed(pipe.read_available()));
  CHECK(inbox.take_result() == "second");
  CHECK(inbox.take_progress() == Progress{4, 5, 6});
  CHECK_FALSE(inbox.take_progress().has_value());
}

TEST_CASE("bytes that are no frames are refused, and so is all that follows", "[run][channel]") {
  const auto garbage = GENERATE_COPY(as<std::string>{}, std::string(9, '\0'), std::string("\4").append(zeros),
                                     std::string("\1\1").append(zeros), std::string(64, '\xff'));
  FrameDecoder inbox;
  CHECK_FALSE(inbox.feed(garbage));
  CHECK_FALSE(inbox.feed(some_traffic()));
  CHECK(inbox.take_result().empty());
}

TEST_CASE("a huge size allocates nothing before its bytes come", "[run][channel]") {
  FrameDecoder inbox;
  CHECK(inbox.feed(std::string("\2").append(8, '\xff')));
  CHECK(inbox.take_result().empty());
}

TEST_CASE("progress into a full pipe is dropped whole, and does not block", "[run][channel]") {
  Pipe pipe;
  PipeChannel channel{pipe.ends[1], always};
  constexpr std::uint64_t sent = 10'000;  // 330 kB into 64 KiB
  for (std::uint64_t i = 1; i <= sent; ++i) channel.progress({i, sent, i});
  FrameDecoder inbox;
  REQUIRE(inbox.feed(pipe.read_available()));
  const auto newest = inbox.take_progress();
  REQUIRE(newest.has_value());
  CHECK(newest->simulated_ps < sent);
  CHECK(newest->simulated_ps > 1000);

  channel.progress({sent + 1, sent, 0});  // there is room again
  REQUIRE(inbox.feed(pipe.read_available()));
  CHECK(inbox.take_progress() == Progress{sent + 1, sent, 0});
}

TEST_CASE("progress that comes too soon is left out", "[run][channel]") {
  Pipe pipe;
  PipeChannel channel{pipe.ends[1], std::chrono::hours{1}};
  channel.progress({1, 0, 0});
  channel.progress({2, 0, 0});
  FrameDecoder inbox;
  REQUIRE(inbox.feed(pipe.read_available()));
  CHECK(inbox.take_progress() == Progress{1, 0, 0});
}

TEST_CASE("a result larger than the pipe waits for its reader", "[run][channel]") {
  Pipe pipe;
  std::string result(3'000'000, '\0');
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<char>(i * 7 + i / 1000);
  FrameDecoder inbox;
  std::thread reader{[&] {
    std::array<char, 4096> buffer{};
    std::size_t missing = result.size() + 9;
    while (missing > 0) {
      const ssize_t n = ::read(pipe.ends[0], buffer.data(), buffer.size());
      if (n <= 0 || !inbox.feed({buffer.data(), static_cast<std::size_t>(n)})) return;
      missing -= static_cast<std::size_t>(n);
    }
  }};
  PipeChannel{pipe.ends[1]}.result(result);
  reader.join();
  CHECK((inbox.take_result() == result));
}
