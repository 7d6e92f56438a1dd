// SPDX-License-Identifier: Apache-2.0
// The JSON report: keys and order of fio 3.33, its figures for a run of its own, its style.
#include <catch2/catch.hpp>

#include "guest/fio/fio_json.hpp"

using namespace gnomon;
using namespace gnomon::fio;
using Json = nlohmann::ordered_json;

namespace {

std::string keys(const Json& object) {
  std::string out;
  for (const auto& item : object.items()) out += (out.empty() ? "" : " ") + item.key();
  return out;
}

/// The 512 reads of which fio 3.33 printed the figures expected below.
JobStatistics measured(const JobSpec& job) {
  constexpr std::pair<std::uint64_t, int> samples[] = {{0, 4},  {1, 5},   {9, 1},  {10, 477}, {11, 6},
                                                       {19, 5}, {20, 11}, {30, 1}, {6920, 1}, {8182, 1}};
  JobStatistics s(job);
  s.start(Time{});
  for (const auto& [ns, count] : samples) {
    for (int i = 0; i < count; ++i) {
      const Time end = Time::us(100);
      s.record_submission(Direction::read, end - Time::ns(ns), end - Time::ns(ns), 1);
      s.record_completion(Direction::read, 4096, end - Time::ns(ns), end - Time::ns(ns), end);
    }
  }
  s.finish(Time::ms(1));
  return s;
}

struct Run {
  JobFile file = parse_job_file("[global]\nioengine=null\ntime_based\nruntime=1\n[a]\nsize=1M\nbs=4k\nstonewall\n");
  RunReport report;
  Run() {
    REQUIRE(file.ok());
    report.timestamp_ms = 1795212825372;
    report.elapsed_s = 1;
    report.global_options = file.global_options;
    report.jobs = file.jobs;
    const JobStatistics threads[] = {measured(file.jobs[0])};
    report.entries = merge_entries(file.jobs, threads);
  }
};

}  // namespace

TEST_CASE("the keys are fio's, in its order") {
  Run run;
  run.report.disks.push_back({"nvme0n1", {512, 0}, {}, {3, 0}, 3, 12.5});
  const Json document = to_fio_json(run.report);
  CHECK(keys(document) == "fio version timestamp timestamp_ms time global options jobs disk_util");
  const Json& job = document["jobs"][0];
  CHECK(
      keys(job) ==
      "jobname groupid error eta elapsed job options read write trim sync job_runtime usr_cpu sys_cpu ctx majf "
      "minf "
      "iodepth_level iodepth_submit iodepth_complete latency_ns latency_us latency_ms latency_depth latency_target "
      "latency_percentile latency_window");
  for (const char* direction : {"read", "write", "trim"})
    CHECK(keys(job[direction]) ==
          "io_bytes io_kbytes bw_bytes bw iops runtime total_ios short_ios drop_ios slat_ns clat_ns lat_ns bw_min "
          "bw_max "
          "bw_agg bw_mean bw_dev bw_samples iops_min iops_max iops_mean iops_stddev iops_samples");
  CHECK(keys(job["read"]["clat_ns"]) == "min max mean stddev N percentile");
  CHECK(keys(job["write"]["clat_ns"]) == "min max mean stddev N");  // no samples: no percentiles
  CHECK(keys(job["read"]["lat_ns"]) == "min max mean stddev N");    // lat_percentiles=0
  CHECK(keys(job["sync"]) == "total_ios lat_ns");
  CHECK(keys(job["iodepth_level"]) == "1 2 4 8 16 32 >=64");
  CHECK(keys(job["iodepth_submit"]) == "0 4 8 16 32 64 >=64");
  CHECK(keys(job["latency_us"]) == "2 4 10 20 50 100 250 500 750 1000");
  CHECK(keys(job["latency_ms"]) == "2 4 10 20 50 100 250 500 750 1000 2000 >=2000");
  CHECK(keys(document["disk_util"][0]) ==
        "name read_ios write_ios read_merges write_merges read_ticks write_ticks in_queue util");
}

TEST_CASE("the figures are those fio printed for the same I/Os") {
  Run run;
  const Json document = to_fio_json(run.report, JsonFlavour::json_plus);
  CHECK(document["fio version"] == "fio-3.33");
  CHECK(document["timestamp"] == 1795212825);
  CHECK(document["time"] == "Fri Nov 20 22:13:45 2026");
  CHECK(document["global options"] == Json({{"ioengine", "null"}, {"runtime", "1"}}));  // flags are left out
  const Json& job = document["jobs"][0];
  CHECK(job["job options"] == Json({{"size", "1M"}, {"bs", "4k"}}));
  const Json& read = job["read"];
  CHECK(read["io_bytes"] == 2097152);
  CHECK(read["io_kbytes"] == 2048);
  CHECK(read["bw_bytes"] == 2097152000);
  CHECK(read["bw"] == 2048000);
  CHECK(read["iops"] == 512000.0);
  CHECK(read["runtime"] == 1);
  CHECK(read["bw_agg"] == 0.0);
  CHECK(write_fio_json(read["clat_ns"]) == R"({
  "min" : 0,
  "max" : 8182,
  "mean" : 39.642578,
  "stddev" : 472.497042,
  "N" : 512,
  "percentile" : {
    "1.000000" : 1,
    "5.000000" : 10,
    "10.000000" : 10,
    "20.000000" : 10,
    "30.000000" : 10,
    "40.000000" : 10,
    "50.000000" : 10,
    "60.000000" : 10,
    "70.000000" : 10,
    "80.000000" : 10,
    "90.000000" : 10,
    "95.000000" : 10,
    "99.000000" : 20,
    "99.500000" : 30,
    "99.900000" : 8160,
    "99.950000" : 8160,
    "99.990000" : 8160
  },
  "bins" : {
    "0" : 4,
    "1" : 5,
    "9" : 1,
    "10" : 477,
    "11" : 6,
    "19" : 5,
    "20" : 11,
    "30" : 1,
    "6944" : 1,
    "8160" : 1
  }
}
)");
  CHECK(write_fio_json(job["latency_ns"]) == R"({
  "2" : 1.757812,
  "4" : 0.000000,
  "10" : 0.195312,
  "20" : 95.312500,
  "50" : 2.343750,
  "100" : 0.000000,
  "250" : 0.000000,
  "500" : 0.000000,
  "750" : 0.000000,
  "1000" : 0.000000
}
)");
  CHECK(job["latency_us"]["10"] == 0.390625);
  CHECK(job["iodepth_level"]["1"] == 100.0);
  CHECK(job["latency_percentile"] == 100.0);
}

TEST_CASE("strings are escaped, ours ride along under their own key") {
  const Json document = {{"fio version", "fio-3.33"},
                         {"gnomon", {{"note", "a \"b\"\n"}, {"list", {1, 2.5, true}}}}};
  CHECK(write_fio_json(document) == R"({
  "fio version" : "fio-3.33",
  "gnomon" : {
    "note" : "a \"b\"\n",
    "list" : [
      1,
      2.500000,
      true
    ]
  }
}
)");
  CHECK(Json::parse(write_fio_json(document)) == document);
}

TEST_CASE("shares of almost nothing still show") {
  CHECK(share(0, 1'000'000, least_latency_share) == 0.0);
  CHECK(share(1, 1'000'000, least_latency_share) == 0.01);
  CHECK(share(1, 1'000'000, least_depth_share) == 0.1);
  CHECK(share(1, 4, least_depth_share) == 25.0);
}
