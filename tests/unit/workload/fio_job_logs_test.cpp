// SPDX-License-Identifier: Apache-2.0
// fio's logs: its columns, its averages, and its own plotter reads them.
#include "guest/fio/job_logs.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/unit/observe/scratch_folder.hpp"

using namespace gnomon;
using fio::Direction;
using fio::JobLogs;

namespace {

fio::JobSpec job() {
  fio::JobSpec job;
  job.engine = fio::Engine::libaio;
  job.write_bw_log = job.write_lat_log = job.write_iops_log = std::string(1, 'p');
  return job;
}

std::map<std::string, std::string> files(const JobLogs& logs, std::uint32_t number = 1) {
  std::map<std::string, std::string> by_name;
  for (auto& [name, text] : logs.files(number)) by_name[name] = text;
  return by_name;
}

void one_io(JobLogs& logs, Direction d, Time begun, Time took, std::uint64_t bytes = 4096,
            std::uint64_t offset = 8192) {
  logs.submitted(d, bytes, offset, begun, begun + Time::us(1));
  logs.completed(d, bytes, offset, begun, begun + Time::us(1), begun + took);
}

}  // namespace

TEST_CASE("a row an I/O: time, value, direction, block size, priority", "[fio-logs]") {
  const fio::JobSpec spec = job();
  JobLogs logs(spec);
  logs.start(Time::ms(100));
  one_io(logs, Direction::read, Time::ms(100), Time::us(11));
  one_io(logs, Direction::write, Time::ms(107), Time::us(21));
  const auto text = files(logs, 3);
  REQUIRE(text.size() == 5);
  CHECK(text.at("p_slat.3.log") == "0, 1000, 0, 4096, 0\n7, 1000, 1, 4096, 0\n");
  CHECK(text.at("p_clat.3.log") == "0, 10000, 0, 4096, 0\n7, 20000, 1, 4096, 0\n");
  CHECK(text.at("p_lat.3.log") == "0, 11000, 0, 4096, 0\n7, 21000, 1, 4096, 0\n");
  CHECK(text.at("p_iops.3.log") == "0, 1, 0, 4096, 0\n7, 1, 1, 4096, 0\n");
  CHECK(text.at("p_bw.3.log") == "0, 409600, 0, 4096, 0\n7, 204800, 1, 4096, 0\n");
}

TEST_CASE("log_offset adds the offset before the priority; psync has no submission latency apart", "[fio-logs]") {
  fio::JobSpec spec = job();
  spec.log_offset = true;
  spec.engine = fio::Engine::psync;
  JobLogs logs(spec);
  logs.start(Time{});
  one_io(logs, Direction::read, Time{}, Time::us(11));
  CHECK(files(logs).at("p_lat.1.log") == "0, 11000, 0, 4096, 8192, 0\n");
  CHECK(files(logs).at("p_slat.1.log").empty());
}

TEST_CASE("log_avg_msec averages each direction; an idle one has no row", "[fio-logs]") {
  fio::JobSpec spec = job();
  spec.log_avg_msec = 10;
  JobLogs logs(spec);
  logs.start(Time{});
  for (std::uint64_t ms = 0; ms < 20; ++ms) one_io(logs, Direction::read, Time::ms(ms), Time::us(11 + ms));
  logs.finish(Time::ms(20));
  const auto text = files(logs);
  // fio adds the first I/O beyond a window to it.
  CHECK(text.at("p_clat.1.log") == "10, 15000, 0, 0, 0\n20, 25000, 0, 0, 0\n");
  CHECK(text.at("p_bw.1.log") == "10, 4000, 0, 0, 0\n20, 4000, 0, 0, 0\n");
  CHECK(text.at("p_iops.1.log") == "10, 1000, 0, 0, 0\n20, 1000, 0, 0, 0\n");
}

TEST_CASE("the ramp is not logged, and no option means no file", "[fio-logs]") {
  fio::JobSpec spec = job();
  spec.ramp_time = Time::ms(5);
  JobLogs logs(spec);
  logs.start(Time{});
  one_io(logs, Direction::read, Time::ms(1), Time::us(10));
  one_io(logs, Direction::read, Time::ms(6), Time::us(10));
  CHECK(files(logs).at("p_iops.1.log") == "6, 1, 0, 4096, 0\n");
  CHECK_FALSE(JobLogs::wanted(fio::JobSpec{}));
}

TEST_CASE("fio's own plotters read the logs", "[fio-logs]") {
  if (std::system("command -v fio2gnuplot > /dev/null") != 0) {
    WARN("fio2gnuplot (Debian's fio) is not installed: not tried");
    return;
  }
  const fio::JobSpec spec = job();
  JobLogs logs(spec);
  logs.start(Time{});
  for (std::uint64_t ms = 0; ms < 500; ++ms) one_io(logs, Direction::read, Time::ms(ms), Time::us(50 + ms % 7));
  test::ScratchFolder folder;
  for (const auto& [name, text] : logs.files(1)) std::ofstream(folder / name.c_str()) << text;
  const std::string at = "cd '" + (folder / ".").string() + "' && ";
  CHECK(std::system((at + "fio2gnuplot -b -p '*_bw*.log' > out.txt 2>&1").c_str()) == 0);
  CHECK(std::system((at + "grep -q '1 files Selected' out.txt && grep -q '[0-9]' _bw.average").c_str()) == 0);
  if (std::system("command -v gnuplot > /dev/null") != 0) {
    WARN("gnuplot is not installed: no pictures tried");
    return;
  }
  CHECK(std::system((at + "fio_generate_plots title > plots.txt 2>&1").c_str()) == 0);
  CHECK(std::filesystem::file_size(folder / "title-lat.svg") > 1000);
}
