// SPDX-License-Identifier: Apache-2.0
// Golden transcripts: written, read back, and every kind of difference.
#include <catch2/catch.hpp>

#include "platform/check/golden.hpp"
#include "platform/check/verdict_cases.hpp"

using namespace gnomon;
using namespace gnomon::check;
using Catch::Matchers::Contains;

namespace {

results::VariantResult variant(double iops = 1000.4, const std::string& event = "+12 first") {
  results::RunRecord record;
  record.status = "ok";
  record.metrics = {{"io.iops", iops}, {"io.errors", 0}, {"cpu.busy_fraction", 0.5}, {"sim.wall_s", 3}};
  record.transcript = "events IoReaped 7\n" + event + "\n+3 second\n";
  return results::summarise("strict", {record}, {});
}

results::ScenarioResult result_of(results::VariantResult v) {
  results::ScenarioResult result;
  result.scenario = "quick";
  result.variants.push_back(std::move(v));
  return result;
}

std::vector<Case> cases(const results::VariantResult& now, const std::string& golden) {
  return golden_cases(result_of(now), golden, "quick.golden");
}

}  // namespace

TEST_CASE("a transcript holds whole numbers, and nothing of the host", "[check]") {
  CHECK(golden_lines(variant()) == std::vector<std::string>{"status ok", "metric io.iops 1000", "events IoReaped 7",
                                                            "+12 first", "+3 second"});
}

TEST_CASE("what is written is what is held", "[check]") {
  const std::string text = golden_text("quick", {variant()});
  const auto all = cases(variant(), text);
  REQUIRE(all.size() == 1);
  CHECK(all[0].outcome == Outcome::passed);
  CHECK(cases(variant(1000.4999), text)[0].outcome == Outcome::passed);
}

TEST_CASE("a difference is told with both values and the line", "[check]") {
  const std::string text = golden_text("quick", {variant()});
  const auto metric = cases(variant(1001), text);
  CHECK(metric[0].outcome == Outcome::failed);
  CHECK(metric[0].line == 6);
  CHECK_THAT(metric[0].message,
             Contains("quick: strict: metric io.iops is \"1001\"") && Contains("\"1000\" (quick.golden:6)"));
  const auto event = cases(variant(1000, "+13 first"), text);
  CHECK_THAT(event[0].message,
             Contains("event 1 of the window is \"+13 first\"") && Contains("says \"+12 first\""));
  CHECK_THAT(event[0].message, !Contains("event 2"));
}

TEST_CASE("lines, sections and variants that are missing", "[check]") {
  std::string text = golden_text("quick", {variant()});
  CHECK_THAT(cases(variant(0), text)[0].message, Contains("metric io.iops is absent"));
  text.erase(text.find("metric io.iops 1000\n"), 20);
  CHECK_THAT(cases(variant(), text)[0].message, Contains("metric io.iops is 1000, the golden transcript has none"));
  CHECK_THAT(cases(variant(), "")[0].message, Contains("has no section of this variant"));
  const auto renamed = cases(variant(), "[old]\nstatus ok\n" + golden_text("quick", {variant()}));
  REQUIRE(renamed.size() == 2);
  CHECK_THAT(renamed[1].message, Contains("old") && Contains("no such variant"));
}

TEST_CASE("an expectation that fails names scenario, metric, both values and the source", "[check]") {
  auto result = result_of(variant());
  scenario::Expectation e;
  e.variant = "strict";
  e.metric = "io.iops";
  e.value = 900;
  e.tolerance = 1;
  e.source = "Table 3";
  result.expectations = results::evaluate({e, e}, result.variants);
  const auto all = expectation_cases(result, {"quick.toml", {21, 28}, "paper"});
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "strict: io.iops");
  CHECK(all[1].name == "strict: io.iops (2)");
  CHECK(all[0].message ==
        "quick: strict: io.iops: simulated 1000.4, expected 900 ± 1: off by 100.4, more than 1 (quick.toml:21; "
        "source: "
        "Table 3)");
  CHECK(trend_figures(result).back().value == Approx(100 * (1000.4 / 900 - 1)));
}
