// SPDX-License-Identifier: Apache-2.0
#include "platform/results/verdicts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gnomon::results {
namespace {

using scenario::Expectation;

class Evaluation {
 public:
  explicit Evaluation(const std::vector<VariantResult>& variants) : variants_(variants) {}

  ExpectationResult of(const Expectation& e) const {
    ExpectationResult result;
    result.expected = e;
    if (e.tolerance) result.tolerance = e.tolerance;
    if (e.tolerance_percent && e.value) result.tolerance = std::abs(*e.value) * *e.tolerance_percent / 100;
    if (!e.order.empty()) {
      order(e, result);
    } else if (e.status) {
      status(e, result);
    } else {
      figure(e, result);
    }
    return result;
  }

 private:
  const VariantResult* find(const std::string& name) const {
    const auto at = std::find_if(variants_.begin(), variants_.end(), [&](const auto& v) { return v.name == name; });
    return at == variants_.end() ? nullptr : &*at;
  }

  static void fail(ExpectationResult& result, std::string reason) {
    result.verdict = Verdict::fails;
    result.reason = std::move(reason);
  }

  /// The metric of a variant that ran; else says so in `result` and gives nothing.
  std::optional<double> metric(const std::string& variant, const std::string& name,
                               ExpectationResult& result) const {
    const VariantResult* v = find(variant);
    if (v == nullptr || v->skipped()) {
      result.verdict = Verdict::skipped;
      return std::nullopt;
    }
    if (v->status != "ok") {
      fail(result, fmt::format("{} ended as {}", variant, v->status));
      return std::nullopt;
    }
    const auto value = v->metric(name);
    if (!value) fail(result, fmt::format("{} reports no {}", variant, name));
    return value;
  }

  void status(const Expectation& e, ExpectationResult& result) const {
    const VariantResult* v = find(*e.variant);
    if (v == nullptr || v->skipped()) return;
    result.simulated_status = v->status;
    if (v->status == *e.status)
      result.verdict = Verdict::holds;
    else
      fail(result, fmt::format("it ended as {}", v->status));
  }

  void figure(const Expectation& e, ExpectationResult& result) const {
    auto simulated = metric(*e.variant, *e.metric, result);
    if (!simulated) return;
    if (e.relative_to) {
      const auto base = metric(*e.relative_to, *e.metric, result);
      if (!base) return;
      if (*base == 0) return fail(result, fmt::format("{} is 0 for {}", *e.metric, *e.relative_to));
      simulated = *simulated / *base;
    }
    result.simulated = simulated;
    result.verdict = Verdict::holds;
    if (e.value && result.tolerance && !(std::abs(*simulated - *e.value) <= *result.tolerance))
      fail(result, fmt::format("off by {:.4g}, more than {:.4g}", *simulated - *e.value, *result.tolerance));
    if (e.min && !(*simulated >= *e.min)) fail(result, fmt::format("below {:.6g}", *e.min));
    if (e.max && !(*simulated <= *e.max)) fail(result, fmt::format("above {:.6g}", *e.max));
  }

  static bool compares(double a, const std::string& relation, double b, const Expectation& e) {
    if (relation == ">") return a > b;
    if (relation == ">=") return a >= b;
    if (relation == "<") return a < b;
    if (relation == "<=") return a <= b;
    const double allowed = e.tolerance ? *e.tolerance : std::abs(b) * e.tolerance_percent.value_or(0) / 100;
    return std::abs(a - b) <= allowed;
  }

  void order(const Expectation& e, ExpectationResult& result) const {
    for (std::size_t i = 0; i + 2 < e.order.size(); i += 2) {
      const auto a = metric(e.order[i], *e.metric, result);
      if (!a) return;
      const auto b = metric(e.order[i + 2], *e.metric, result);
      if (!b) return;
      if (!compares(*a, e.order[i + 1], *b, e))
        return fail(result, fmt::format("{} has {:.6g}, {} has {:.6g}", e.order[i], *a, e.order[i + 2], *b));
    }
    result.verdict = Verdict::holds;
  }

  const std::vector<VariantResult>& variants_;
};

bool foresees(const ExpectationResult& e, const std::string& variant, const std::string& metric) {
  return e.verdict == Verdict::holds && e.expected.variant == variant && e.expected.metric == metric &&
         !e.expected.relative_to;
}

}  // namespace

std::vector<ExpectationResult> evaluate(const std::vector<Expectation>& expectations,
                                        const std::vector<VariantResult>& variants) {
  const Evaluation evaluation{variants};
  std::vector<ExpectationResult> results;
  for (const Expectation& e : expectations) results.push_back(evaluation.of(e));
  return results;
}

std::vector<UnexpectedVerdict> unexpected_verdicts(const std::vector<VariantResult>& variants,
                                                   const std::vector<ExpectationResult>& expectations) {
  std::vector<UnexpectedVerdict> found;
  for (const VariantResult& variant : variants) {
    for (const auto& [name, value] : variant.metrics) {
      if (!name.starts_with("sanitizer.") || value.mean == 0) continue;
      const auto foreseen = [&, &metric = name](const ExpectationResult& e) { return foresees(e, variant.name, metric); };
      if (std::none_of(expectations.begin(), expectations.end(), foreseen))
        found.push_back({variant.name, name, value.mean});
    }
  }
  return found;
}

std::vector<const VariantResult*> unexpected_statuses(const std::vector<VariantResult>& variants,
                                                      const std::vector<ExpectationResult>& expectations) {
  std::vector<const VariantResult*> found;
  for (const VariantResult& variant : variants) {
    if (variant.status == "ok" || variant.skipped()) continue;
    const auto foreseen = [&](const ExpectationResult& e) {
      return e.expected.variant == variant.name && e.expected.status == variant.status;
    };
    if (std::none_of(expectations.begin(), expectations.end(), foreseen)) found.push_back(&variant);
  }
  return found;
}

int exit_code(const std::vector<VariantResult>& variants, const std::vector<ExpectationResult>& expectations,
              bool check) {
  bool panic = false;
  for (const VariantResult* variant : unexpected_statuses(variants, expectations)) {
    if (variant->status != "guest_panic") return exit_not_finished;
    panic = true;
  }
  if (panic) return exit_guest_panic;
  const auto fails = [](const ExpectationResult& e) { return e.verdict == Verdict::fails; };
  const bool failed = check && std::any_of(expectations.begin(), expectations.end(), fails);
  return failed || !unexpected_verdicts(variants, expectations).empty() ? exit_expectation_failed : 0;
}

}  // namespace gnomon::results
