// SPDX-License-Identifier: Apache-2.0
// Progress as text, and on terminals and elsewhere.
#include "platform/run/progress.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <limits>
#include <string>

#include "platform/run/progress_display.hpp"

using namespace gnomon::run;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t ms = 1'000'000'000;  // in picoseconds

std::string drain(int fd) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string all;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
    all.append(buffer.data(), static_cast<std::size_t>(n));
  return all;
}

/// A terminal of 100 x 6 without an emulator behind it.
struct Terminal {
  Terminal() {
    ::setenv("TERM", "xterm", 1);
    master = ::posix_openpt(O_RDWR | O_NOCTTY);
    REQUIRE(::grantpt(master) == 0);
    REQUIRE(::unlockpt(master) == 0);
    slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
    REQUIRE(slave >= 0);
    termios raw{};
    ::tcgetattr(slave, &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(slave, TCSANOW, &raw);
    const winsize size{6, 100, 0, 0};
    ::ioctl(slave, TIOCSWINSZ, &size);
  }
  ~Terminal() {
    ::close(slave);
    ::close(master);
  }
  int master = -1;
  int slave = -1;
};

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("a row says how far, how fast and how long", "[run][progress]") {
  CHECK(format_progress_row({"strict", {500 * ms, 2000 * ms, 42}, 3.1e6, 11.5}, 8, 120) ==
        "strict    [#####...............]  25%  0.500 s of 2.000 s  3.1 M events/s  ETA 0:12");
  CHECK(format_progress_row({"strict", {0, 10 * ms, 0}}, 6, 120) ==
        "strict  [....................]   0%  0.00 ms of 10.00 ms");
  CHECK(format_progress_row({"lazy", {10 * ms, 10 * ms, 1}, 0.0, 0.0}, 4, 120) ==
        "lazy  [####################] 100%  10.00 ms of 10.00 ms  0 events/s  ETA 0:00");
}

TEST_CASE("past the horizon is all of it; without one there is no bar", "[run][progress]") {
  CHECK(format_progress_row({"x", {30 * ms, 10 * ms, 0}}, 1, 120) ==
        "x  [####################] 100%  30.00 ms of 10.00 ms");
  CHECK(format_progress_row({"x", {1'234'000, 0, 0}}, 1, 120) == "x  1.234 us");
  const auto most = std::numeric_limits<std::uint64_t>::max();
  CHECK(format_progress_row({"x", {most, most, most}}, 1, 120) ==
        "x  [####################] 100%  18446744 s of 18446744 s");
}

TEST_CASE("a row keeps to its columns, whatever the name", "[run][progress]") {
  const ProgressRow row{"a-rather-long-name", {500 * ms, 2000 * ms, 42}, 3.1e6, 11.5};
  for (std::size_t columns = 0; columns < 100; ++columns) {
    REQUIRE(format_progress_row(row, 10, columns).size() == std::min<std::size_t>(columns, 85));
  }
  CHECK(format_progress_row(row, 10, 200).starts_with("a-rather-l  ["));
  CHECK(format_progress_row({"e\x1b[2J\n", {}}, 7, 80) == "e?[2J?   0 ps");
  CHECK(format_progress_row({"größe", {}}, 7, 80) == "größe    0 ps");
  CHECK(format_progress_row({"größe", {}}, 3, 80) == "grö  0 ps");
}

TEST_CASE("simulated time has the unit of its horizon", "[run][progress]") {
  CHECK(format_simulated_time(999, 999) == "999 ps");
  CHECK(format_simulated_time(1'000, 1'000) == "1.000 ns");
  CHECK(format_simulated_time(1'000, 500 * ms) == "0.0 ms");
  CHECK(format_simulated_time(123 * ms, 500 * ms) == "123.0 ms");
  CHECK(format_simulated_time(90'000 * ms, 90'000 * ms) == "90.00 s");
  CHECK(format_simulated_time(0, 0) == "0 ps");
}

TEST_CASE("rates and durations are short", "[run][progress]") {
  CHECK(format_rate(0) == "0");
  CHECK(format_rate(999.4) == "999");
  CHECK(format_rate(1234) == "1.23 k");
  CHECK(format_rate(45.67e6) == "45.7 M");
  CHECK(format_rate(2e9) == "2 G");
  CHECK(format_duration(0) == "0:00");
  CHECK(format_duration(59.1) == "1:00");
  CHECK(format_duration(3723) == "1:02:03");
  CHECK(format_duration(4 * 86400 + 2 * 3600 + 180) == "4 d 02:03");
  CHECK(format_duration(-3) == "0:00");
  CHECK(format_duration(std::numeric_limits<double>::infinity()) == "> 999 d");
  CHECK(format_duration(std::numeric_limits<double>::quiet_NaN()) == "> 999 d");
}

TEST_CASE("a speed follows the last seconds", "[run][progress]") {
  const Speed::TimePoint start{};
  Speed speed{start};
  CHECK_FALSE(speed.per_second().has_value());
  speed.sample(start + 50ms, 1e9);  // too soon
  CHECK_FALSE(speed.per_second().has_value());
  speed.sample(start + 1s, 100);
  CHECK(speed.per_second().value() == Approx(100));
  double total = 100;
  for (int i = 2; i <= 31; ++i) speed.sample(start + std::chrono::seconds{i}, total += 500);
  CHECK(speed.per_second().value() == Approx(500).epsilon(0.001));
  speed.sample(start + 34s, total);  // three seconds of nothing: falls by e
  CHECK(speed.per_second().value() == Approx(500 * 0.36788).epsilon(0.001));
}

TEST_CASE("the board shows who runs, in order, and counts", "[run][progress]") {
  const ProgressBoard::TimePoint start{};
  ProgressBoard board{{"one", "two", "three"}};
  board.started(2, start);
  board.started(0, start);
  board.progressed(0, {10 * ms, 40 * ms, 1000}, start + 2s);
  board.progressed(1, {1, 1, 1}, start + 2s);  // does not run: nothing to show
  CHECK(board.render(120, 24) ==
        std::vector<std::string>{
            "one    [#####...............]  25%  10.00 ms of 40.00 ms  500 events/s  ETA 0:06",
            "three  0 ps",
            "0 of 3 done, 2 running",
        });
  CHECK(board.render(120, 2) ==
        std::vector<std::string>{
            "one    [#####...............]  25%  10.00 ms of 40.00 ms  500 events/s  ETA 0:06",
            "0 of 3 done, 2 running (1 not shown)",
        });
  board.finished(0);
  board.finished(1);
  CHECK(board.render(13, 24) == std::vector<std::string>{"three  0 ps", "2 of 3 done, "});
}

TEST_CASE("in a pipe, or when quiet, there is silence", "[run][progress]") {
  const Terminal terminal;
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const auto use = [](int fd, bool quiet) {
    ProgressDisplay display{{"x"}, fd, quiet};
    display.started(0);
    display.progressed(0, {1, 2, 3});
    display.finished(0);
    return display.visible();
  };
  CHECK_FALSE(use(pipe[1], false));
  CHECK_FALSE(use(terminal.slave, true));
  ::setenv("TERM", "dumb", 1);
  CHECK_FALSE(use(terminal.slave, false));
  CHECK(drain(pipe[0]).empty());
  CHECK(drain(terminal.master).empty());
  ::setenv("TERM", "xterm", 1);
  CHECK(use(terminal.slave, false));
  CHECK_FALSE(drain(terminal.master).empty());
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_CASE("a terminal is redrawn in place, ten times a second at most, and left clean", "[run][progress]") {
  const Terminal terminal;
  const auto start = std::chrono::steady_clock::now();
  std::string text;
  std::chrono::steady_clock::duration took{};
  {
    ProgressDisplay display{{"x"}, terminal.slave, false};
    display.started(0);
    CHECK(drain(terminal.master) == "x  0 ps\n0 of 1 done, 1 running\n");
    for (std::uint64_t i = 1; i <= 350; ++i) {
      display.progressed(0, {i, 350, i});
      ::usleep(1000);
      text += drain(terminal.master);
    }
    took = std::chrono::steady_clock::now() - start;
  }
  const std::size_t redraws = count(text, "0 of 1 done");
  CHECK(redraws >= 2);
  CHECK(redraws <= static_cast<std::size_t>(took / 100ms));
  CHECK(count(text, "\x1b[2F\x1b[J") == redraws);
  CHECK(drain(terminal.master) == "\x1b[2F\x1b[J");
}
