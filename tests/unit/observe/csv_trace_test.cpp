// SPDX-License-Identifier: Apache-2.0
// Events as CSV, read back by zstd's own program.
#include "platform/observe/csv_trace.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/observe/random_events.hpp"
#include "tests/unit/observe/scratch_folder.hpp"

using namespace gnomon;
using namespace gnomon::trace;
using observe::CsvTrace;

namespace {

using Row = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line) c == ',' ? cells.emplace_back() : cells.back() += c, void();
  return cells;
}

/// Rows without their empty cells.
std::vector<Row> read_back(const std::filesystem::path& path) {
  const std::string command = "zstd -q -dc '" + path.string() + "'";
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 65536> piece{};
  while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), pipe)) text.append(piece.data(), n);
  REQUIRE(::pclose(pipe) == 0);
  std::istringstream in(text);
  std::string line;
  std::getline(in, line);
  const auto header = split(line);
  std::vector<Row> rows;
  while (std::getline(in, line)) {
    const auto cells = split(line);
    REQUIRE(cells.size() == header.size());
    Row& row = rows.emplace_back();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!cells[i].empty()) row[header[i]] = cells[i];
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("a row holds an event's fields under their names, and nothing else", "[csv]") {
  test::ScratchFolder folder;
  const auto path = folder / "trace.csv.zst";
  {
    CsvTrace trace(path);
    trace.on_event(Time::ps(1234567890123), IoSubmitted{7, 1u << 20, 4096, 2, 3, Direction::write, 1});
    trace.on_event(Time::ps(~std::uint64_t{0}), VmExit{5, 1, ExitReason::hlt});
    trace.on_event(Time::ps(9), GuestRequest{~0ull, 4096, 1, ~0u, 0, RequestType::unmap, 0});
    CHECK_FALSE(std::filesystem::exists(path));  // whole or not at all
    REQUIRE_FALSE(trace.close());
  }
  const auto rows = read_back(path);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0] == Row{{"time_ps", "1234567890123"},
                       {"event", "io_submitted"},
                       {"io", "7"},
                       {"offset", "1048576"},
                       {"bytes", "4096"},
                       {"job", "2"},
                       {"cpu", "3"},
                       {"direction", "write"},
                       {"device", "1"}});
  CHECK(rows[1] == Row{{"time_ps", "18446744073709551615"},
                       {"event", "vm_exit"},
                       {"began_ps", "5"},
                       {"cpu", "1"},
                       {"reason", "hlt"}});
  CHECK(rows[2].at("domain") == "4294967295");
  CHECK(rows[2].at("iova") == "18446744073709551615");
  CHECK(rows[2].at("type") == "unmap");
}

TEST_CASE("every event of a stream has its row, in order, however long the stream", "[csv]") {
  test::ScratchFolder folder;
  const auto path = folder / "trace.csv.zst";
  std::vector<std::uint64_t> times;
  {
    CsvTrace trace(path);
    test::RandomEvents events(3);
    events.run(60'000, [&](Time at, const Event& event) {
      times.push_back(at.ps());
      trace.on_event(at, event);
    });
    REQUIRE_FALSE(trace.close());
  }
  const auto rows = read_back(path);
  REQUIRE(rows.size() == times.size());
  bool same = true;
  for (std::size_t i = 0; i < rows.size(); ++i) same = same && rows[i].at("time_ps") == std::to_string(times[i]);
  CHECK(same);
}

TEST_CASE("a trace that is not finished, or cannot be, leaves no file", "[csv]") {
  test::ScratchFolder folder;
  { CsvTrace trace(folder / "trace.csv.zst"); }
  CHECK(folder.empty());
  CsvTrace nowhere(folder / "absent/trace.csv.zst");
  nowhere.on_event(Time{}, GuestTableRead{1});
  CHECK(nowhere.close() == std::errc::no_such_file_or_directory);
  CsvTrace full("/dev/full/trace.csv.zst");
  CHECK(full.close());
}
