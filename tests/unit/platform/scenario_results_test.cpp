// SPDX-License-Identifier: Apache-2.0
// Records, statistics, expectations, exit codes, summary.json and the table.
#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "platform/results/summary.hpp"
#include "platform/scenario/variants.hpp"

using namespace gnomon;
using namespace gnomon::results;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

RunRecord record(double bandwidth, std::string status = "ok", double stale = 0) {
  RunRecord r;
  r.status = std::move(status);
  r.trace_hash = "00000000000000ab";
  r.metrics = {{"io.bw_bytes_per_s", bandwidth},
               {"io.iops", bandwidth / 4096},
               {"io.lat_ns.mean", 2'250'500.0},
               {"sanitizer.stale_dma", stale}};
  return r;
}

VariantResult variant(const std::string& name, double bandwidth) {
  return summarise(name, {record(bandwidth)}, {});
}

scenario::Expectation figure(const std::string& name, double value, double tolerance) {
  scenario::Expectation e;
  e.variant = name;
  e.metric = "io.bw_bytes_per_s";
  e.value = value;
  e.tolerance = tolerance;
  return e;
}

}  // namespace

TEST_CASE("statistics over seeds: sample deviation, Student's interval", "[results]") {
  const Statistic s = statistic({2, 4, 4, 4, 5, 5, 7, 9});
  CHECK(s.n == 8);
  CHECK(s.mean == Approx(5));
  CHECK(s.stddev == Approx(2.13809));              // sqrt(32 / 7)
  CHECK(s.ci95 == Approx(1.78749).epsilon(1e-4));  // t(0.975, 7) = 2.364624
  CHECK(statistic({3}) == Statistic{3, 0, 0, 1});
  CHECK(statistic({}) == Statistic{0, 0, 0, 0});
}

TEST_CASE("what one seed did not count is 0 for it", "[results]") {
  RunRecord a = record(1), b = record(1);
  b.metrics.emplace_back("exits.by_reason.HLT", 6);
  const VariantResult v = summarise("v", {a, b, a}, {});
  CHECK(v.metric("exits.by_reason.HLT") == 2.0);
  CHECK(v.metric("exits.by_reason.MSR_WRITE") == 0.0);
  CHECK_FALSE(v.metric("io.bandwidth"));
  CHECK(v.metrics.back().second.n == 3);
}

TEST_CASE("a variant is ok if all its seeds are", "[results]") {
  const VariantResult v = summarise("v", {record(10), record(99, "deadlock"), record(20)}, {});
  CHECK(v.status == "deadlock");
  CHECK(v.metric("io.bw_bytes_per_s") == 15.0);
  CHECK(summarise("v", {}, {}).skipped());
}

TEST_CASE("figures hold within their tolerance, bounds included", "[results]") {
  const std::vector variants{variant("host", 1000), variant("strict", 820)};
  const auto verdict = [&](const scenario::Expectation& e) { return evaluate({e}, variants).front(); };
  CHECK(verdict(figure("host", 990, 10)).verdict == Verdict::holds);
  CHECK(verdict(figure("host", 990, 9.9)).verdict == Verdict::fails);

  auto relative = figure("strict", 0.813, 0.02);
  relative.relative_to = "host";
  CHECK(*verdict(relative).simulated == Approx(0.82));
  CHECK(verdict(relative).verdict == Verdict::holds);
  relative.tolerance.reset();
  relative.tolerance_percent = 0.5;
  CHECK(*verdict(relative).tolerance == Approx(0.004065));
  CHECK(verdict(relative).verdict == Verdict::fails);

  scenario::Expectation bounds;
  bounds.variant = "host";
  bounds.metric = "io.bw_bytes_per_s";
  bounds.min = 1000;
  CHECK(verdict(bounds).verdict == Verdict::holds);
  bounds.max = 999;
  CHECK(verdict(bounds).verdict == Verdict::fails);
}

TEST_CASE("an order holds where every relation does", "[results]") {
  const std::vector variants{variant("host", 1000), variant("lazy", 990), variant("strict", 820)};
  const auto holds = [&](std::vector<std::string> order, std::optional<double> tolerance = {}) {
    scenario::Expectation e;
    e.metric = "io.bw_bytes_per_s";
    e.order = std::move(order);
    e.tolerance_percent = tolerance;
    return evaluate({e}, variants).front().verdict == Verdict::holds;
  };
  CHECK(holds({"host", ">", "lazy", ">", "strict"}));
  CHECK_FALSE(holds({"host", ">", "strict", ">", "lazy"}));
  CHECK(holds({"strict", "<", "host", ">=", "host", "<=", "host"}));
  CHECK_FALSE(holds({"host", ">", "host"}));
  CHECK(holds({"lazy", "~", "host"}, 1));
  CHECK_FALSE(holds({"strict", "~", "host"}, 1));
}

TEST_CASE("what did not run is skipped, what did not end fails", "[results]") {
  const std::vector variants{variant("host", 1000), summarise("strict", {}, {}),
                             summarise("lazy", {record(0, "watchdog")}, {})};
  auto against_skipped = figure("host", 1, 1);
  against_skipped.relative_to = "strict";
  const auto results = evaluate({figure("strict", 1, 1), against_skipped, figure("lazy", 0, 1)}, variants);
  CHECK(results[0].verdict == Verdict::skipped);
  CHECK(results[1].verdict == Verdict::skipped);
  CHECK(results[2].verdict == Verdict::fails);
}

TEST_CASE("exit codes are the contract's", "[results]") {
  const auto code = [](const std::vector<VariantResult>& variants,
                       const std::vector<scenario::Expectation>& expected,
                       bool check = true) { return exit_code(variants, evaluate(expected, variants), check); };
  CHECK(code({variant("a", 1)}, {figure("a", 1, 0)}) == 0);
  CHECK(code({variant("a", 1)}, {figure("a", 2, 0)}) == 1);
  CHECK(code({variant("a", 1)}, {figure("a", 2, 0)}, false) == 0);
  for (const char* status : {"deadlock", "watchdog", "out_of_memory", "crashed"})
    CHECK(code({summarise("a", {record(1, status)}, {})}, {}) == 3);
  const std::vector panicked{summarise("a", {record(1, "guest_panic")}, {})};
  CHECK(code(panicked, {}) == 4);
  scenario::Expectation panics;
  panics.variant = "a";
  panics.status = "guest_panic";
  CHECK(code(panicked, {panics}) == 0);
  CHECK(code({variant("a", 1)}, {panics}) == 1);
  CHECK(code({summarise("a", {}, {})}, {panics}) == 0);
}

TEST_CASE("the sanitizer's verdicts are failures unless they are foreseen", "[results]") {
  const std::vector variants{summarise("a", {record(1, "ok", 3)}, {})};
  const auto code = [&](std::vector<scenario::Expectation> e) {
    return exit_code(variants, evaluate(e, variants), false);
  };
  CHECK(code({}) == 1);
  scenario::Expectation e = figure("a", 3, 0);
  e.metric = "sanitizer.stale_dma";
  CHECK(code({e}) == 0);
  e.value = 0;  // an expectation of silence foresees nothing
  CHECK(code({e}) == 1);
}

TEST_CASE("a result goes through a job's channel unchanged", "[results]") {
  run::SimulationResult result;
  result.status = run::Status::deadlock;
  result.explanation = "nobody moves";
  result.metrics = {{"io.iops", 12.5}, {"io.completed", 9007199254740991.0}};
  result.findings.push_back({Time::us(3), trace::Verdict::stale_dma, 1, Iova{0xfffff000}, 4096, "late"});
  result.verdicts = 7;
  result.trace_hash = 0x0123456789abcdef;
  result.files.push_back({"fio.txt", "fio \xff text"});  // no UTF-8: must not end the job
  run::Outcome outcome;
  outcome.exit_code = 0;
  outcome.result = encode(result, "deadlock");
  outcome.wall_s = 1.5;
  outcome.peak_rss_bytes = 4096;
  const RunRecord r = to_record(outcome, 42);
  CHECK(r.seed == 42);
  CHECK(r.status == "deadlock");
  CHECK(r.explanation == "nobody moves");
  CHECK(r.metrics[0] == result.metrics[0]);
  CHECK(r.metrics[1] == result.metrics[1]);
  CHECK(r.metrics[2] == std::pair{std::string{"sim.wall_s"}, 1.5});
  CHECK(r.trace_hash == "0123456789abcdef");
  CHECK(r.verdicts == 7);
  CHECK_THAT(r.findings.at(0), Contains("stale_dma") && Contains("0xfffff000") && Contains("late"));
}

TEST_CASE("a job without a result has the status of its end", "[results]") {
  run::Outcome outcome;
  outcome.kind = run::Outcome::Kind::crashed;
  outcome.message = "killed by SIGSEGV";
  CHECK(to_record(outcome, 1).status == "crashed");
  CHECK(to_record(outcome, 1).explanation == "killed by SIGSEGV");
  outcome.kind = run::Outcome::Kind::done;
  outcome.exit_code = run::out_of_memory_exit;
  CHECK(to_record(outcome, 1).status == "out_of_memory");
  outcome.exit_code = 0;
  outcome.result = "{\"status\": 1}";
  CHECK(to_record(outcome, 1).status == "crashed");
  outcome.kind = run::Outcome::Kind::timed_out;
  CHECK(to_record(outcome, 1).status == "watchdog");
}

TEST_CASE("summary.json has the contract's keys", "[results]") {
  ScenarioResult result;
  result.scenario = "s";
  result.title = "t";
  result.seed = 7;
  result.variants = {variant("host", 1000), summarise("strict", {}, {})};
  auto expected = figure("host", 990, 10);
  expected.source = "somebody";
  result.expectations = evaluate({expected, figure("strict", 1, 1)}, result.variants);
  const json j = json::parse(to_json(result));
  CHECK(j.at("schema") == 1);
  CHECK(j.at("gnomon").is_string());
  CHECK(j.at("scenario") == "s");
  CHECK(j.at("seed") == 7);
  CHECK(j.at("variants").at(0).at("name") == "host");
  CHECK(j.at("variants").at(0).at("status") == "ok");
  CHECK(j.at("variants").at(0).at("metrics").at("io.bw_bytes_per_s") == 1000);
  CHECK(j.at("variants").at(0).at("metrics").at("sim.trace_hash") == "00000000000000ab");
  CHECK(j.at("variants").at(1).at("status") == "skipped");
  const json& e = j.at("expectations").at(0);
  CHECK(e.at("variant") == "host");
  CHECK(e.at("metric") == "io.bw_bytes_per_s");
  CHECK(e.at("value") == 990);
  CHECK(e.at("simulated") == 1000);
  CHECK(e.at("tolerance") == 10);
  CHECK(e.at("source") == "somebody");
  CHECK(e.at("ok") == true);
  CHECK(j.at("expectations").at(1).at("ok").is_null());
}

TEST_CASE("with repeats every metric is a statistic", "[results]") {
  ScenarioResult result;
  result.repeat = 2;
  result.variants = {summarise("a", {record(10), record(20)}, {})};
  const json j = json::parse(to_json(result));
  const json& metric = j.at("variants").at(0).at("metrics").at("io.bw_bytes_per_s");
  CHECK(metric.at("mean") == 15);
  CHECK(metric.at("stddev").get<double>() == Approx(7.0710678));
  CHECK(metric.at("ci95").get<double>() == Approx(63.531).epsilon(1e-4));  // t(0.975, 1) = 12.7062
  CHECK(metric.at("n") == 2);
  CHECK(j.at("variants").at(0).at("trace_hash").size() == 2);
}

TEST_CASE("the table: a variant a row, figures in their units", "[results]") {
  ScenarioResult result;
  result.scenario = "s";
  result.title = "t";
  result.variants = {variant("host", 2'684'354'560), variant("strict", 2'182'380'257)};
  auto relative = figure("strict", 0.9, 0.02);
  relative.relative_to = "host";
  result.expectations = evaluate({figure("host", 2'684'354'560, 0), relative}, result.variants);
  CHECK(to_table(result) ==
        "s: t\n\n"
        "variant    bandwidth     IOPS  mean latency  figure                      simulated    published   error  "
        "verdict\n"
        "host     2.500 GiB/s  655.4 k      2.251 ms  io.bw_bytes_per_s         2.500 GiB/s  2.500 GiB/s  +0.0 %  "
        "ok\n"
        "strict   2.032 GiB/s  532.8 k      2.251 ms  io.bw_bytes_per_s / host        0.813        0.900  -0.087  "
        "FAILED\n"
        "FAILED: strict io.bw_bytes_per_s / host: off by -0.087, more than 0.02\n");
}

TEST_CASE("the table of a workload without I/O: the columns are its own, and nothing stands where nothing was",
          "[results]") {
  const auto unmaps = [](const std::string& name, double commands) {
    RunRecord r;
    r.status = "ok";
    r.metrics = {{"api.map_ns.mean", 0},
                 {"api.unmap_ns.mean", 1650},
                 {"api.map_calls", 0},
                 {"api.unmap_calls", 1},
                 {"api.driver_map_calls", 0},
                 {"api.driver_unmap_calls", 3},
                 {"guest.invalidation_commands", commands},
                 {"guest.wait_commands", 1},
                 {"exits.total", commands + 1},
                 {"hypervisor.map_ioctls", 2},
                 {"hypervisor.unmap_ioctls", 5},
                 {"invalidation.pages_covered", 16},
                 {"invalidation.pages_modified", 7},
                 {"sim.window_ns", 2500}};
    return summarise(name, {r}, {});
  };
  ScenarioResult result;
  result.scenario = "s";
  result.title = "t";
  result.variants = {unmaps("split", 3), unmaps("block", 1)};
  CHECK(to_table(result) ==
        "s: t\n\n"
        "variant  map     unmap  driver calls  invalidations  waits  exits  ioctls  pages covered  modified    in "
        "all  "
        "verdict\n"
        "split         1.650 us             3              3      1      4       7             16         7  2.500 "
        "us\n"
        "block         1.650 us             3              1      1      2       7             16         7  2.500 "
        "us\n");
}

TEST_CASE("what is expected of several variants is a line; those that fail have their rows", "[results]") {
  ScenarioResult result;
  result.scenario = "s";
  result.title = "t";
  result.variants = {variant("a-1", 4096), variant("a-2", 8192), variant("b", 1)};
  std::vector<scenario::Variant> variants{{"a-1", {}}, {"a-2", {}}, {"b", {}}};
  scenario::Expectation e = figure("a-*", 0, 0);
  e.value.reset(), e.tolerance.reset();
  e.max = 5000;
  result.expectations = evaluate(scenario::expand_expectations({e}, variants), result.variants);
  REQUIRE(result.expectations.size() == 2);
  const std::string table = to_table(result);
  CHECK_THAT(table, Contains("a-*: io.bw_bytes_per_s at most 4.883 KiB/s  FAILED (1 variants)\n"));
  CHECK_THAT(table, Contains("FAILED: a-2 io.bw_bytes_per_s: above 5000\n"));
  CHECK(table.find("at most", table.find("at most") + 1) != std::string::npos);  // a-2's row
  e.max = 9000;
  result.expectations = evaluate(scenario::expand_expectations({e}, variants), result.variants);
  CHECK_THAT(to_table(result), Contains("a-*: io.bw_bytes_per_s at most 8.789 KiB/s  ok (2 variants)\n"));
}

TEST_CASE("a star in relative_to is what the variant's stood for", "[results]") {
  const std::vector<scenario::Variant> variants{
      {"x-one", {}}, {"y-one", {}}, {"x-two", {}}, {"y-two", {}}, {"x-", {}}};
  scenario::Expectation e = figure("x-*", 1, 0);
  e.relative_to = "y-*";
  const auto all = scenario::expand_expectations({figure("y-one", 1, 0), e}, variants);
  REQUIRE(all.size() == 4);
  CHECK(all[0].pattern.empty());
  CHECK(*all[1].variant == "x-one");
  CHECK(*all[1].relative_to == "y-one");
  CHECK(all[1].pattern == "x-*");
  CHECK(all[1].written == 1);
  CHECK(*all[2].relative_to == "y-two");
  CHECK(*all[3].variant == "x-");
  CHECK(*all[3].relative_to == "y-");
}

TEST_CASE("units", "[results]") {
  CHECK(bandwidth_text(512) == "512.0 B/s");
  CHECK(bandwidth_text(2'684'354'560) == "2.500 GiB/s");
  CHECK(count_text(999) == "999");
  CHECK(count_text(487'012) == "487.0 k");
  CHECK(time_text(3602) == "3.602 us");
  CHECK(time_text(2.5e10) == "25.00 s");
}
