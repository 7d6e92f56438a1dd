// SPDX-License-Identifier: Apache-2.0
// What a check says, as JUnit XML, Markdown, benchmark JSON and GitHub's commands.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "platform/check/checked.hpp"

using namespace gnomon::check;
using Catch::Matchers::Contains;

namespace {

std::vector<Scenario> two() {
  Scenario good, bad;
  good.name = "quickstart";
  good.file = "scenarios/quickstart.toml";
  good.runs = 3, good.cached = 2, good.seconds = 0.25;
  good.cases = {{"strict: io.iops", Outcome::passed, "", good.file, 12},
                {"lazy: x", Outcome::skipped, "no", "", 0}};
  good.figures = {{"strict/io.lat_ns.mean", "ns", 1234.5, 2.25, "n = 3"}};
  bad.name = "a<b>&\"c\"";
  bad.file = "a,b:c.toml";
  bad.runs = 1;
  bad.details = "table\x01\xff]]>";
  bad.cases = {{"x", Outcome::failed, "a < b\n100 % | \"q\"", bad.file, 7}};
  return {good, bad};
}

}  // namespace

TEST_CASE("JUnit XML: counts, and every character that XML gives a meaning", "[check]") {
  const std::string xml = to_junit(two());
  CHECK_THAT(xml,
             Contains("<testsuites name=\"gnomon check\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""));
  CHECK_THAT(xml, Contains("<testsuite name=\"a&lt;b&gt;&amp;&quot;c&quot;\" tests=\"1\" failures=\"1\""));
  CHECK_THAT(xml, Contains("message=\"a &lt; b&#10;100 % | &quot;q&quot;\">a &lt; b\n100 % | \"q\"</failure>"));
  CHECK_THAT(xml, Contains("table\xef\xbf\xbd\xef\xbf\xbd]]&gt;"));
  CHECK_THAT(xml, Contains("file=\"scenarios/quickstart.toml\" line=\"12\" time=\"0\"/>"));
  CHECK_THAT(xml, Contains("<skipped message=\"no\"/>"));
}

TEST_CASE("Markdown: what failed comes first, and nothing of it is markup", "[check]") {
  const std::string text = to_markdown(two());
  CHECK(text.starts_with("## gnomon check: 1 of 3 fail\n\n### What failed\n\n- a \\< b 100 % \\| \"q\"\n"));
  CHECK_THAT(text, Contains("| ok | quickstart | 1 | 0 | 1 | 3 (2) | 0.2 s |"));
  CHECK_THAT(text, Contains("| **failed** | a\\<b\\>\\&\"c\" |"));
}

TEST_CASE("benchmark JSON is what github-action-benchmark reads", "[check]") {
  const auto json = nlohmann::json::parse(to_bench_json(two()));
  REQUIRE(json.size() == 1);
  CHECK(json[0] == nlohmann::json{{"name", "quickstart/strict/io.lat_ns.mean"},
                                  {"unit", "ns"},
                                  {"value", 1234.5},
                                  {"range", "± 2.25"},
                                  {"extra", "n = 3"}});
}

TEST_CASE("GitHub's commands: separators are coded", "[check]") {
  CHECK(to_annotations(two()) ==
        "::error file=a%2Cb%3Ac.toml,line=7,title=gnomon check%3A a<b>&\"c\"::a < b%0A100 %25 | \"q\"\n");
}
