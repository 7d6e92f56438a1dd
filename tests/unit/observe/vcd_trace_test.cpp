// SPDX-License-Identifier: Apache-2.0
// Signals as a Value Change Dump, read back by a reader of its own, and by vcd2fst where it is installed.
#include "platform/observe/vcd_trace.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/unit/observe/random_events.hpp"
#include "tests/unit/observe/scratch_folder.hpp"

using namespace gnomon;
using namespace gnomon::trace;
using observe::VcdTrace;

namespace {

/// What each signal was from each instant on.
struct Dump {
  std::map<std::string, std::map<std::uint64_t, std::uint64_t>> signals;
  bool in_order = true;
  std::uint64_t ends = 0;

  std::uint64_t at(const std::string& signal, std::uint64_t ps) const {
    return std::prev(signals.at(signal).upper_bound(ps))->second;
  }
};

Dump read_back(const std::filesystem::path& path) {
  std::ifstream in(path);
  Dump dump;
  std::map<std::string, std::string> names;  // by code
  std::string scope, word;
  std::uint64_t now = 0;
  const auto skip = [&] {
    while (in >> word && word != "$end") {
    }
  };
  while (in >> word) {
    if (word == "$scope") {
      in >> word >> word;
      scope += (scope.empty() ? "" : ".") + word;
      skip();
    } else if (word == "$upscope") {
      scope.erase(scope.find_last_of('.') == std::string::npos ? 0 : scope.find_last_of('.'));
      skip();
    } else if (word == "$var") {
      std::string width, code, name;
      in >> word >> width >> code >> name;
      REQUIRE(names.emplace(code, scope + "." + name).second);
      skip();
    } else if (word == "$dumpvars" || word == "$end") {
    } else if (word[0] == '$') {
      skip();
    } else if (word[0] == '#') {
      const std::uint64_t next = std::stoull(word.substr(1));
      dump.in_order = dump.in_order && next >= now;
      dump.ends = now = next;
    } else if (word[0] == 'b') {
      std::string code;
      in >> code;
      dump.signals[names.at(code)][now] = std::stoull(word.substr(1), nullptr, 2);
    } else {
      dump.signals[names.at(word.substr(1))][now] = static_cast<std::uint64_t>(word[0] - '0');
    }
  }
  return dump;
}

}  // namespace

TEST_CASE("signals have their values at their times, though spans are told when they end", "[vcd]") {
  test::ScratchFolder folder;
  const auto path = folder / "trace.vcd";
  VcdTrace trace({path, 2, {"viommu request", "big lock"}});
  const auto at = [&trace](std::uint64_t ps, const Event& event) { trace.on_event(Time::ps(ps), event); };
  at(100, IoSubmitted{1, 0, 4096, 0, 0, Direction::read, 0});
  at(300, LockAcquired{50, 1, 0});
  at(400, VmExit{200, 0, ExitReason::ept_misconfig});
  at(420, LockReleased{120, 1, 1});
  at(450, DmaBurst{0, 0, 64, 500, 1, 1, 0, 1, 0, 0});
  at(500, CpuSpan{50, 0, Activity::task});
  at(600, CpuSpan{500, 0, Activity::interrupt});
  at(700, IoReaped{1, 4096, 600, 0, 0, Direction::read, 0});
  at(900, CpuSpan{600, 0, Activity::idle});
  REQUIRE_FALSE(trace.close());
  const Dump dump = read_back(path);
  CHECK(dump.in_order);
  CHECK(dump.ends == 900);
  const auto values = [&](const std::string& name, std::vector<std::uint64_t> times) {
    for (std::uint64_t& t : times) t = dump.at("gnomon." + name, t);
    return times;
  };
  using V = std::vector<std::uint64_t>;
  CHECK(values("cpu0.state", {49, 50, 499, 500, 599, 600}) == V{0, 1, 1, 2, 2, 0});
  CHECK(values("cpu0.exit", {199, 200, 399, 400}) == V{0, 1, 1, 0});
  CHECK(values("cpu0.spin", {249, 250, 299, 300}) == V{0, 1, 1, 0});
  CHECK(values("lock.big_lock", {299, 300, 419, 420}) == V{0, 2, 2, 0});
  CHECK(values("io.in_flight", {99, 100, 699, 700}) == V{0, 1, 1, 0});
  CHECK(values("iommu.iotlb_hit", {449, 450}) == V{0, 1});
  CHECK(values("cpu1.state", {899}) == V{0});
}

TEST_CASE("a long stream stays in order and is what vcd2fst takes", "[vcd]") {
  test::ScratchFolder folder;
  const auto path = folder / "trace.vcd";
  VcdTrace trace({path, 4, {"a", "b", "c", "d"}});
  test::RandomEvents events(5);
  std::uint64_t last = 0;
  events.run(400'000, [&](Time at, const Event& event) {
    trace.on_event(at, event);
    if (trace.wants().test(event.index())) last = at.ps();
  });
  REQUIRE_FALSE(trace.close());
  const Dump dump = read_back(path);
  CHECK(dump.in_order);
  CHECK(dump.ends == last);
  CHECK(dump.signals.size() == 4 * 3 + 4 + 3 + 1 + 2);
  if (std::system("command -v vcd2fst > /dev/null") != 0) {
    WARN("vcd2fst (gtkwave) is not installed: not tried");
    return;
  }
  const std::string command = "vcd2fst '" + path.string() + "' '" + path.string() + ".fst' > /dev/null";
  CHECK(std::system(command.c_str()) == 0);
}

TEST_CASE("an unfinished dump leaves no file", "[vcd]") {
  test::ScratchFolder folder;
  { VcdTrace trace({folder / "trace.vcd", 1, {}}); }
  CHECK(folder.empty());
  VcdTrace nowhere({folder / "absent/trace.vcd", 1, {}});
  CHECK(nowhere.close() == std::errc::no_such_file_or_directory);
}
