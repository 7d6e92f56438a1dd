// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <nlohmann/json.hpp>

#include "platform/results/summary.hpp"

namespace gnomon::results {
namespace {

using nlohmann::ordered_json;

/// A count as an integer, anything else as it is.
ordered_json number(double value) {
  constexpr double exact = 9007199254740992.0;  // 2^53
  if (std::trunc(value) == value && std::abs(value) < exact) return static_cast<std::int64_t>(value);
  return value;
}

ordered_json hashes(const VariantResult& variant, bool repeated) {
  if (!repeated) return variant.runs.empty() ? "" : variant.runs.front().trace_hash;
  ordered_json all = ordered_json::array();
  for (const RunRecord& record : variant.runs) all.push_back(record.trace_hash);
  return all;
}

ordered_json variant_json(const VariantResult& variant, bool repeated) {
  ordered_json j;
  j["name"] = variant.name;
  j["status"] = variant.status;
  if (!variant.explanation.empty()) j["explanation"] = variant.explanation;
  if (!variant.notes.empty()) j["notes"] = variant.notes;
  if (!variant.skipped()) j["trace_hash"] = hashes(variant, repeated);
  j["metrics"] = ordered_json::object();
  for (const auto& [name, s] : variant.metrics) {
    if (repeated)
      j["metrics"][name] = {{"mean", number(s.mean)}, {"stddev", s.stddev}, {"ci95", s.ci95}, {"n", s.n}};
    else
      j["metrics"][name] = number(s.mean);
  }
  if (!variant.skipped()) j["metrics"]["sim.trace_hash"] = hashes(variant, repeated);
  return j;
}

template <class T>
ordered_json optional(const std::optional<T>& value) {
  if (!value) return nullptr;
  if constexpr (std::is_same_v<T, double>) return number(*value);
  return *value;
}

/// The contract's keys are always there; the others where they say something.
ordered_json expectation_json(const ExpectationResult& result) {
  const scenario::Expectation& e = result.expected;
  ordered_json j;
  j["variant"] = optional(e.variant);
  j["metric"] = optional(e.metric);
  if (e.relative_to) j["relative_to"] = *e.relative_to;
  if (!e.order.empty()) j["order"] = e.order;
  if (e.status) j["status"] = *e.status;
  j["value"] = optional(e.value);
  if (e.min) j["min"] = number(*e.min);
  if (e.max) j["max"] = number(*e.max);
  j["simulated"] = e.status && !result.simulated_status.empty() ? ordered_json(result.simulated_status)
                                                                : optional(result.simulated);
  j["tolerance"] = optional(result.tolerance);
  j["source"] = e.source;
  j["ok"] =
      result.verdict == Verdict::skipped ? ordered_json(nullptr) : ordered_json(result.verdict == Verdict::holds);
  if (result.verdict == Verdict::skipped) j["skipped"] = true;
  if (!result.reason.empty()) j["reason"] = result.reason;
  return j;
}

}  // namespace

std::string to_json(const ScenarioResult& result) {
  ordered_json j;
  j["schema"] = summary_schema;
  j["gnomon"] = GNOMON_VERSION;
  j["scenario"] = result.scenario;
  j["title"] = result.title;
  j["seed"] = result.seed;
  if (result.repeat > 1) j["repeat"] = result.repeat;
  j["variants"] = ordered_json::array();
  for (const VariantResult& variant : result.variants)
    j["variants"].push_back(variant_json(variant, result.repeat > 1));
  j["expectations"] = ordered_json::array();
  for (const ExpectationResult& e : result.expectations) j["expectations"].push_back(expectation_json(e));
  return j.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gnomon::results
