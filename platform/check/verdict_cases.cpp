// SPDX-License-Identifier: Apache-2.0
#include "platform/check/verdict_cases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "platform/check/golden.hpp"
#include "platform/scenario/metric_names.hpp"

namespace gnomon::check {
namespace {

using results::ExpectationResult;
using results::ScenarioResult;
using results::VariantResult;
using results::Verdict;

std::string subject(const scenario::Expectation& e) {
  if (e.status) return "status";
  if (!e.order.empty()) return fmt::format("order of {}: {}", *e.metric, fmt::join(e.order, " "));
  return e.relative_to ? fmt::format("{} / {}", *e.metric, *e.relative_to) : *e.metric;
}

std::string wanted(const ExpectationResult& r) {
  const scenario::Expectation& e = r.expected;
  if (e.status) return *e.status;
  if (e.value) return fmt::format("{:.6g} ± {:.4g}", *e.value, r.tolerance.value_or(0));
  if (e.min && e.max) return fmt::format("{:.6g} to {:.6g}", *e.min, *e.max);
  if (e.min) return fmt::format("at least {:.6g}", *e.min);
  if (e.max) return fmt::format("at most {:.6g}", *e.max);
  return "this order";
}

std::string got(const ExpectationResult& r) {
  if (r.expected.status) return r.simulated_status;
  return r.simulated ? fmt::format("{:.6g}", *r.simulated) : "nothing";
}

std::string place(const std::string& file, unsigned line) {
  return line == 0 ? file : fmt::format("{}:{}", file, line);
}

Case expectation_case(const ScenarioResult& result, const ExpectationResult& r, const ResultContext& context,
                      unsigned line) {
  Case c;
  c.name = (r.expected.variant ? *r.expected.variant + ": " : "") + subject(r.expected);
  c.file = context.file;
  c.line = line;
  if (r.verdict == Verdict::holds) return c;
  c.outcome = r.verdict == Verdict::skipped ? Outcome::skipped : Outcome::failed;
  const std::string& source = r.expected.source.empty() ? context.source : r.expected.source;
  c.message = fmt::format("{}: {}: simulated {}, expected {}: {} ({}; source: {})", result.scenario, c.name, got(r),
                          wanted(r), r.reason, place(context.file, line), source.empty() ? "none given" : source);
  return c;
}

/// Cases of one name are told apart by a number.
void make_unique(std::vector<Case>& cases) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    std::size_t same = 1;
    const std::string name = cases[i].name;
    for (std::size_t j = i + 1; j < cases.size(); ++j)
      if (cases[j].name == name) cases[j].name = fmt::format("{} ({})", name, ++same);
  }
}

std::string difference_text(const GoldenDifference& d) {
  if (d.expected.empty()) return fmt::format("{} is {}, the golden transcript has none", d.what, d.found);
  if (d.found.empty()) return fmt::format("{} is absent, the golden transcript has {}", d.what, d.expected);
  return fmt::format("{} is \"{}\", the golden transcript says \"{}\"", d.what, d.found, d.expected);
}

Case golden_case(const ScenarioResult& result, const VariantResult& variant, const std::vector<GoldenLine>* golden,
                 const std::string& file) {
  Case c;
  c.name = variant.name + ": golden transcript";
  c.file = file;
  if (golden == nullptr) {
    c.outcome = Outcome::failed;
    c.message = fmt::format("{}: {}: {} has no section of this variant; gnomon check --update writes it",
                            result.scenario, variant.name, file);
    return c;
  }
  const auto found = differences(*golden, golden_lines(variant));
  if (found.empty()) return c;
  c.outcome = Outcome::failed;
  c.line = found.front().line;
  constexpr std::size_t told = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(told, found.size()); ++i)
    text += (i == 0 ? "" : "; ") + difference_text(found[i]) +
            (found[i].line == 0 ? "" : fmt::format(" ({}:{})", file, found[i].line));
  if (found.size() > told) text += fmt::format("; {} more differ", found.size() - told);
  c.message =
      fmt::format("{}: {}: {}; if this is meant, gnomon check --update", result.scenario, variant.name, text);
  return c;
}

}  // namespace

std::vector<Case> expectation_cases(const ScenarioResult& result, const ResultContext& context) {
  std::vector<Case> cases;
  for (std::size_t i = 0; i < result.expectations.size(); ++i) {
    const unsigned line = i < context.expectation_lines.size() ? context.expectation_lines[i] : 0;
    cases.push_back(expectation_case(result, result.expectations[i], context, line));
  }
  for (const VariantResult* v : results::unexpected_statuses(result.variants, result.expectations))
    cases.push_back({v->name + ": ends well", Outcome::failed,
                     fmt::format("{}: {}: simulated status {}, expected ok: {}", result.scenario, v->name,
                                 v->status, v->explanation),
                     context.file, 0});
  for (const auto& u : results::unexpected_verdicts(result.variants, result.expectations))
    cases.push_back({u.variant + ": " + u.metric, Outcome::failed,
                     fmt::format("{}: {}: {}: simulated {:.6g}, expected 0: the sanitizer's verdict ({})",
                                 result.scenario, u.variant, u.metric, u.count, context.file),
                     context.file, 0});
  make_unique(cases);
  return cases;
}

std::vector<Case> golden_cases(const ScenarioResult& result, std::string_view golden, const std::string& file) {
  const auto sections = read_golden(golden);
  std::vector<Case> cases;
  for (const VariantResult& variant : result.variants) {
    if (variant.skipped()) continue;
    const auto at = sections.find(variant.name);
    cases.push_back(golden_case(result, variant, at == sections.end() ? nullptr : &at->second, file));
  }
  for (const auto& [name, lines] : sections) {
    const auto has_name = [&, &wanted = name](const VariantResult& v) { return v.name == wanted; };
    if (std::any_of(result.variants.begin(), result.variants.end(), has_name)) continue;
    cases.push_back({name + ": golden transcript", Outcome::failed,
                     fmt::format("{}: {}: {} has a section of it, and the scenario has no such variant",
                                 result.scenario, name, file),
                     file, lines.empty() ? 0 : lines.front().number});
  }
  return cases;
}

std::vector<Figure> trend_figures(const ScenarioResult& result) {
  static constexpr std::array followed = {"io.lat_ns.mean", "io.lat_ns.p99", "api.map_ns.mean", "api.unmap_ns.mean",
                                          "exits.time_ns"};
  std::vector<Figure> figures;
  for (const VariantResult& variant : result.variants) {
    if (variant.status != "ok") continue;
    for (const auto& [name, value] : variant.metrics) {
      const bool wanted = std::find(followed.begin(), followed.end(), name) != followed.end();
      if (wanted && value.mean != 0)
        figures.push_back({variant.name + "/" + name, "ns", value.mean, value.ci95,
                           fmt::format("seed {}, n = {}", result.seed, value.n)});
    }
  }
  for (const ExpectationResult& r : result.expectations) {
    if (!r.expected.value || !r.simulated || *r.expected.value == 0) continue;
    figures.push_back({fmt::format("{}/{}: error", *r.expected.variant, subject(r.expected)), "%",
                       100 * std::abs(*r.simulated / *r.expected.value - 1), 0,
                       fmt::format("simulated {:.6g}, published {:.6g}; {}", *r.simulated, *r.expected.value,
                                   r.expected.source)});
  }
  return figures;
}

}  // namespace gnomon::check
