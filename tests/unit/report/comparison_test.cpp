// SPDX-License-Identifier: Apache-2.0
// What gnomon diff tells of two results.
#include "platform/report/comparison.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/report/result_fixture.hpp"

using namespace gnomon::report;
using Catch::Matchers::Contains;
using report_test::Results;

namespace {

Comparison compared(const Results& a, const Results& b, ComparisonOptions options = {}) {
  return compare(read_result_folder(a.folder), read_result_folder(b.folder), options);
}

void set(Results& results, const std::string& metric, nlohmann::ordered_json value) {
  results.summary["variants"][0]["metrics"][metric] = std::move(value);
  results.save();
}

nlohmann::ordered_json repeated(double mean, double stddev) {
  return {{"mean", mean}, {"stddev", stddev}, {"ci95", 0}, {"n", 5}};
}

}  // namespace

TEST_CASE("without repeats every change is told, but the host's own", "[diff]") {
  Results a, b;
  set(b, "io.iops", 101);
  set(b, "sim.wall_s", 99);
  set(b, "exits.by_reason.HLT", 4);
  const Comparison c = compared(a, b);
  REQUIRE(c.variants.size() == 1);
  REQUIRE(c.variants[0].changed.size() == 2);
  CHECK(c.variants[0].changed[0].metric == "io.iops");
  CHECK(c.variants[0].changed[0].percent() == 1.0);
  CHECK_FALSE(c.variants[0].changed[1].percent());  // from 0
  CHECK_THAT(c.variants[0].parting, Contains("The traces are the same, 1 events"));
  CHECK(compared(a, a).any_change() == false);
  CHECK(compared(a, b, {1.5}).variants[0].changed.size() == 1);
  CHECK_THAT(comparison_text(c), Contains("io.iops") && Contains("+1.00 %"));
  CHECK(comparison_json(c)["variants"][0]["changed"][0]["change_percent"] == 1.0);
}

TEST_CASE("with repeats a change within the noise is none", "[diff]") {
  Results a, b;
  for (Results* r : {&a, &b}) {
    r->summary["repeat"] = 1;  // the files of one run; the metrics are statistics
    set(*r, "sim.wall_s", repeated(1, 0.5));
  }
  set(a, "io.iops", repeated(100, 5));
  set(b, "io.iops", repeated(103, 5));
  CHECK_FALSE(compared(a, b).any_change());
  set(b, "io.iops", repeated(130, 5));
  const Comparison c = compared(a, b);
  REQUIRE(c.variants[0].changed.size() == 1);
  CHECK(*c.variants[0].changed[0].ci95 == Approx(2.306004 * 5 * 0.6324555));  // t(0.975, 8)
}

TEST_CASE("blame is told with the largest difference first", "[diff]") {
  Results a, b;
  set(a, "blame.exit_ns", 100);
  set(a, "blame.lock_wait_ns", 10);
  set(b, "blame.exit_ns", 110);
  set(b, "blame.lock_wait_ns", 500);
  const auto blame = compared(a, b).variants[0].blame;
  REQUIRE(blame.size() == 2);
  CHECK(blame[0].cause == "lock_wait");
  CHECK(blame[1].b - blame[1].a == 10);
}

TEST_CASE("two variants are compared by naming their folders", "[diff]") {
  Results a;
  a.summary["variants"].push_back({{"name", "lazy"}, {"status", "ok"}, {"metrics", {{"io.iops", 300}}}});
  a.save();
  a.write("lazy/config.toml", "");
  a.write("lazy/series.json", report_test::series_text);
  a.write("lazy/trace.hashes", "# gnomon trace hashes 1: x\n1 7 00000000000000ff\n");
  const Comparison c = compare(read_result_folder(a.folder / "strict"), read_result_folder(a.folder / "lazy"), {});
  REQUIRE(c.variants.size() == 1);
  CHECK(c.variants[0].name == "strict -> lazy");
  CHECK(c.variants[0].changed[0].percent() == 200.0);
  CHECK_THAT(c.variants[0].parting, Contains("differ from the first event on"));
}

TEST_CASE("logs name the event", "[diff]") {
  Results a, b;
  b.write("strict/trace.hashes", "# gnomon trace hashes 1: x\n1 7 00000000000000ff\n");
  a.write("strict/events.log", "one\ntwo\nthree\n");
  b.write("strict/events.log", "one\ntwo\nTHREE\n");
  CHECK_THAT(compared(a, b).variants[0].parting,
             Contains("Event 3 is the first that differs:\n    one\n    two\n  A three\n  B THREE\n"));
}

TEST_CASE("what keeps two results from being compared is noted, or told", "[diff]") {
  Results a, b;
  b.summary["seed"] = 2;
  b.summary["gnomon"] = "9.9";
  b.summary["variants"].push_back({{"name", "lazy"}, {"status", "skipped"}, {"metrics", nlohmann::json::object()}});
  b.save();
  const auto notes = compared(a, b).notes;
  REQUIRE(notes.size() == 2);
  CHECK_THAT(notes[0], Contains("gnomon 0.1.0, B of gnomon 9.9"));
  CHECK_THAT(notes[1], Contains("the seeds differ"));
  b.summary["variants"] = {{{"name", "lazy"}, {"status", "skipped"}, {"metrics", nlohmann::json::object()}}};
  b.save();
  CHECK_THROWS_WITH(compared(a, b), Contains("no variant ran in both"));
}
