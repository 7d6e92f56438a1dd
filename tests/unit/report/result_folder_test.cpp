// SPDX-License-Identifier: Apache-2.0
// Folders that hold results, and all the ways in which one does not.
#include "platform/report/result_folder.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/report/result_fixture.hpp"

using namespace gnomon::report;
using Catch::Matchers::Contains;
using report_test::Results;

TEST_CASE("an entry of an inline table has the origin of its table") {
  const auto lines =
      config_lines("[variant.set]  # a.toml:3\n\"x\" = 1\n[guest]  # a.toml:5\nvcpus = 2  # default\n");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].origin == "a.toml:3");
  CHECK(lines[1].origin == "default");
}

TEST_CASE("a result folder is read", "[report]") {
  const Results results;
  const ResultFolder r = read_result_folder(results.folder);
  REQUIRE(r.variants.size() == 1);
  CHECK(r.config == std::vector<ConfigLine>{{"title", "\"x # y\"", "a.toml:1"}, {"guest.vcpus", "4", "default"}});
  CHECK(r.variants[0].config == std::vector<ConfigLine>{{"guest.vcpus", "8", "variant strict"}});
  CHECK(r.variants[0].latency_ns.dump() == "[[5,1],[7,2]]");
  CHECK(r.metrics("strict")->at("io.iops") == 100);
}

TEST_CASE("a variant's folder chooses it", "[report]") {
  const Results results;
  CHECK(read_result_folder(results.folder / "strict").only == "strict");
  CHECK(read_result_folder((results.folder / "strict").string() + "/").only == "strict");
  std::filesystem::create_directory(results.folder / "other");
  CHECK_THROWS_WITH(read_result_folder(results.folder / "other"), Contains("knows no such variant"));
}

TEST_CASE("repeats: latencies of all runs, the series of the first", "[report]") {
  Results results;
  results.summary["repeat"] = 2;
  results.save();
  CHECK_THROWS_WITH(read_result_folder(results.folder), Contains("seed-1/series.json: is missing"));
  for (const char* seed : {"strict/seed-1/", "strict/seed-2/"})
    results.write(std::string{seed} + "series.json", report_test::series_text);
  CHECK(read_result_folder(results.folder).variants[0].latency_ns.dump() == "[[5,2],[7,4]]");
}

TEST_CASE("what is no result folder is told", "[report]") {
  const Results results;
  CHECK_THROWS_WITH(read_result_folder(results.folder / "absent"), Contains("no such folder"));
  CHECK_THROWS_WITH(read_result_folder(results.folder / "summary.json"), Contains("is not a folder"));
  std::filesystem::remove(results.folder / "summary.json");
  CHECK_THROWS_WITH(read_result_folder(results.folder), Contains("there is no summary.json in it"));
}

TEST_CASE("a summary that is damaged, foreign, older or newer is told", "[report]") {
  Results results;
  const auto says = [&](const std::string& what) {
    CHECK_THROWS_WITH(read_result_folder(results.folder), Contains("summary.json") && Contains(what));
  };
  const std::string whole = results.summary.dump();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    results.write("summary.json", whole.substr(0, size));
    says("it is not JSON");
  }
  results.write("summary.json", "{\"fio version\": \"fio-3.33\"}");
  says("is not a summary of gnomon's");
  const auto changed = [&](const auto& change) {
    results.summary = nlohmann::ordered_json::parse(whole);
    change(results.summary);
    results.save();
  };
  changed([](auto& j) { j["schema"] = 7; });
  says("has layout 7 of gnomon \"0.1.0\"; this program reads layout 1");
  changed([](auto& j) { j.erase("scenario"); });
  says("\"scenario\" is not a string");
  changed([](auto& j) { j["variants"][0]["name"] = "../../etc"; });
  says("is no variant's name");
  changed([](auto& j) { j["variants"][0]["metrics"]["io.iops"] = true; });
  says("io.iops of strict is not a figure");
  changed([](auto& j) { j["variants"] = 3; });
  says("\"variants\" is not a list");
  changed([](auto& j) { j["seed"] = -1; });
  says("\"seed\" is not a number");
}

TEST_CASE("a variant's files that are missing or damaged are told", "[report]") {
  Results results;
  const auto says = [&](const std::string& what) {
    CHECK_THROWS_WITH(read_result_folder(results.folder), Contains(what));
  };
  results.write("strict/series.json", report_test::series_text.substr(0, 200));
  says("series.json: is damaged");
  results.write("strict/series.json", R"({"schema":2})");
  says("is not a series of layout 1");
  results.write(
      "strict/series.json",
      R"({"schema":1,"bin_ns":1,"window_ns":[0,1],"columns":{"ios":[1,2],"bytes":[1]},"latency_ns":[],"exposure_ns":[]})");
  says("column \"bytes\" is not one number a bin");
  std::filesystem::remove(results.folder / "strict/series.json");
  says("an older gnomon wrote them");
  results.summary["variants"][0]["status"] = "crashed";  // then there is none
  results.save();
  CHECK(read_result_folder(results.folder).variants[0].series.is_null());
}
