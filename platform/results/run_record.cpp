// SPDX-License-Identifier: Apache-2.0
#include "platform/results/run_record.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace gnomon::results {
namespace {

using nlohmann::json;
using Kind = run::Outcome::Kind;

std::string finding_text(const observe::Finding& f) {
  return fmt::format("{:.3f} us  {}  domain {}  IOVA {:#x}  {} bytes\n  {}", static_cast<double>(f.at.ps()) * 1e-6,
                     observe::verdict_name(f.verdict), f.domain, f.iova.value, f.bytes, f.explanation);
}

void decode(const std::string& text, RunRecord& record) {
  const json j = json::parse(text);
  record.status = j.at("status");
  record.explanation = j.at("explanation");
  for (const json& metric : j.at("metrics")) record.metrics.emplace_back(metric.at(0), metric.at(1).get<double>());
  record.trace_hash = j.at("trace_hash");
  record.findings = j.at("findings").get<std::vector<std::string>>();
  record.verdicts = j.at("verdicts");
  record.exit_table = j.at("exit_table");
  record.transcript = j.at("transcript");
  for (const json& file : j.at("files")) record.files.push_back({file.at(0), file.at(1)});
  record.output_error = j.at("output_error");
}

/// The status of a job that handed over no result.
const char* failed_status(const run::Outcome& outcome) {
  switch (outcome.kind) {
    case Kind::done: return outcome.exit_code == run::out_of_memory_exit ? "out_of_memory" : "crashed";
    case Kind::timed_out:
    case Kind::stalled: return "watchdog";
    case Kind::cancelled: return "skipped";
    case Kind::crashed: return "crashed";
  }
  return "crashed";
}

}  // namespace

std::string encode(const run::SimulationResult& result, std::string_view status) {
  json j;
  j["status"] = status;
  j["explanation"] = result.explanation;
  j["metrics"] = json::array();
  for (const auto& [name, value] : result.metrics) j["metrics"].push_back(json::array({name, value}));
  j["trace_hash"] = fmt::format("{:016x}", result.trace_hash);
  j["findings"] = json::array();
  for (const observe::Finding& finding : result.findings) j["findings"].push_back(finding_text(finding));
  j["verdicts"] = result.verdicts;
  j["exit_table"] = result.exit_table;
  j["transcript"] = result.transcript;
  j["files"] = json::array();
  for (const auto& [name, text] : result.files) j["files"].push_back(json::array({name, text}));
  j["files"].push_back(json::array({"series.json", result.series}));
  j["files"].push_back(json::array({"trace.hashes", result.trace_hashes}));
  j["output_error"] = result.output_error;
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

RunRecord to_record(const run::Outcome& outcome, std::uint64_t seed) {
  RunRecord record;
  if (outcome.kind == Kind::done && !outcome.result.empty()) {
    try {
      decode(outcome.result, record);
    } catch (const json::exception& error) {
      record = {};
      record.status = "crashed";
      record.explanation = fmt::format("its result cannot be read: {}", error.what());
    }
  } else {
    record.status = failed_status(outcome);
    record.explanation = outcome.message;
  }
  record.seed = seed;
  record.metrics.emplace_back("sim.wall_s", outcome.wall_s);
  record.metrics.emplace_back("sim.cpu_s", outcome.cpu_s);
  record.metrics.emplace_back("sim.peak_rss_bytes", static_cast<double>(outcome.peak_rss_bytes));
  return record;
}

}  // namespace gnomon::results
