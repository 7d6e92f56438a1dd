// SPDX-License-Identifier: Apache-2.0
// What an [[expect]] must and must not hold.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "platform/observe/metrics.hpp"
#include "platform/scenario/metric_names.hpp"
#include "platform/scenario/variants.hpp"

namespace gnomon::scenario {
namespace {

using config::Diagnostics;
using config::Location;

const std::vector<std::string> statuses{"ok", "guest_panic", "deadlock", "watchdog", "out_of_memory", "crashed"};
const std::vector<std::string> relations{">", ">=", "<", "<=", "~"};

/// What the star of `pattern` stands for in `name`; nothing where it does not fit. Without a star they must be
/// equal.
std::optional<std::string> fit(const std::string& pattern, const std::string& name) {
  const std::size_t star = pattern.find('*');
  if (star == std::string::npos) return pattern == name ? std::optional(std::string{}) : std::nullopt;
  const std::string_view tail = std::string_view{pattern}.substr(star + 1);
  if (name.size() < pattern.size() - 1 || !name.starts_with(pattern.substr(0, star)) || !name.ends_with(tail))
    return std::nullopt;
  return name.substr(star, name.size() - (pattern.size() - 1));
}

std::string filled(std::string pattern, const std::string& text) {
  const std::size_t star = pattern.find('*');
  return star == std::string::npos ? pattern : pattern.replace(star, 1, text);
}

class Rules {
 public:
  Rules(const Expectation& e, const config::Document& document, std::string path,
        const std::vector<std::string>& variants, const config::Origins& origins, Diagnostics& diagnostics)
      : e_(e),
        document_(document),
        path_(std::move(path)),
        variants_(variants),
        origins_(origins),
        diagnostics_(diagnostics) {}

  void check() {
    if (!e_.order.empty()) return order();
    if (origins_.find(path_ + ".order") != nullptr) return error("order", "'order' is empty");
    if (!e_.variant && given("variant")) return;
    if (!e_.variant) return error("", "it names no variant", "an expectation has 'variant', or 'order'");
    several_variants();
    if (e_.status) return status();
    metric();
    figures();
  }

 private:
  Location where(std::string_view key) const {
    return origins_.where(key.empty() ? path_ : fmt::format("{}.{}", path_, key));
  }
  /// Whether the file has the key, with whatever value: one in error is told already.
  bool given(std::string_view key) const { return document_.find(fmt::format("{}.{}", path_, key)) != nullptr; }
  void error(std::string_view key, std::string message, std::string note = "") {
    diagnostics_.error(where(key), std::move(message), std::move(note));
  }
  bool known_variant(std::string_view key, const std::string& name) {
    if (std::find(variants_.begin(), variants_.end(), name) != variants_.end()) return true;
    error(key, fmt::format("there is no variant \"{}\"", name), config::hint(name, variants_));
    return false;
  }
  /// The variants a star stands for, each with what it is relative to.
  void several_variants() {
    bool any = false;
    for (const std::string& name : variants_) {
      const auto star = fit(*e_.variant, name);
      if (!star) continue;
      any = true;
      if (e_.relative_to && !known_variant("relative_to", filled(*e_.relative_to, *star))) break;
    }
    if (any) return;
    known_variant("variant", *e_.variant);
    if (e_.relative_to && e_.relative_to->find('*') == std::string::npos)
      known_variant("relative_to", *e_.relative_to);
  }
  void alone(std::string_view with, std::initializer_list<std::string_view> others) {
    for (const std::string_view other : others)
      if (origins_.find(fmt::format("{}.{}", path_, other)) != nullptr)
        error(other, fmt::format("'{}' does not go with '{}'", other, with));
  }

  void status() {
    if (std::find(statuses.begin(), statuses.end(), *e_.status) == statuses.end())
      error("status", fmt::format("there is no status \"{}\"", *e_.status), config::hint(*e_.status, statuses));
    alone("status", {"metric", "relative_to", "value", "tolerance", "tolerance_percent", "min", "max"});
  }

  void metric() {
    if (!e_.metric && given("metric")) return;
    if (!e_.metric) return error("", "it names no metric", "an expectation has 'metric', or 'status'");
    if (!is_metric(*e_.metric))
      error("metric", fmt::format("there is no metric \"{}\"", *e_.metric), metric_hint(*e_.metric));
  }

  void figures() {
    const bool tolerated = e_.tolerance || e_.tolerance_percent;
    if (!given("value") && !given("min") && !given("max"))
      return error("", "it expects no figure", "give 'value' with its tolerance, or 'min' and/or 'max'");
    if (e_.tolerance && e_.tolerance_percent) alone("tolerance", {"tolerance_percent"});
    if (e_.value && !tolerated && !e_.min && !e_.max)
      error("value", "'value' does not say how far it may be off",
            "give 'tolerance' or 'tolerance_percent', or 'min' and/or 'max'");
    if (tolerated && !given("value"))
      error(e_.tolerance ? "tolerance" : "tolerance_percent", "a tolerance needs a 'value'");
    for (const auto& [key, number] :
         {std::pair{"tolerance", e_.tolerance}, {"tolerance_percent", e_.tolerance_percent}})
      if (number && *number < 0) error(key, fmt::format("'{}' is negative", key));
    if (e_.min && e_.max && *e_.min > *e_.max) error("max", "'max' is below 'min'");
  }

  void order() {
    alone("order", {"variant", "relative_to", "value", "min", "max", "status"});
    metric();
    bool equals = false;
    for (std::size_t i = 0; i < e_.order.size(); ++i) {
      const std::string key = fmt::format("order");
      const std::string& word = e_.order[i];
      if (i % 2 == 0) {
        known_variant(key, word);
      } else if (std::find(relations.begin(), relations.end(), word) == relations.end()) {
        error(key, fmt::format("\"{}\" is no relation", word), config::hint(word, relations));
      }
      equals = equals || word == "~";
    }
    if (e_.order.size() < 3 || e_.order.size() % 2 == 0)
      error("order", "'order' expects variants with relations between them",
            "for instance [\"host\", \">\", \"strict\"]");
    const bool tolerated = e_.tolerance || e_.tolerance_percent;
    if (equals && !tolerated) error("order", "'~' needs a tolerance or a tolerance_percent");
  }

  const Expectation& e_;
  const config::Document& document_;
  const std::string path_;
  const std::vector<std::string>& variants_;
  const config::Origins& origins_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::vector<Expectation> expand_expectations(const std::vector<Expectation>& expectations,
                                             const std::vector<Variant>& variants) {
  std::vector<Expectation> all;
  for (std::size_t i = 0; i < expectations.size(); ++i) {
    const Expectation& e = expectations[i];
    if (!e.variant || e.variant->find('*') == std::string::npos) {
      all.push_back(e);
      continue;
    }
    for (const Variant& variant : variants) {
      const auto star = fit(*e.variant, variant.name);
      if (!star) continue;
      Expectation one = e;
      one.pattern = *e.variant;
      one.relative_pattern = e.relative_to.value_or("");
      one.written = i;
      one.variant = variant.name;
      if (one.relative_to) one.relative_to = filled(*one.relative_to, *star);
      all.push_back(std::move(one));
    }
  }
  return all;
}

void check_expectations(const ScenarioFile& file, const config::Document& document,
                        const std::vector<Variant>& variants, const config::Origins& origins,
                        Diagnostics& diagnostics) {
  std::vector<std::string> names;
  for (const Variant& variant : variants) names.push_back(variant.name);
  for (std::size_t i = 0; i < file.expectations.size(); ++i)
    Rules{file.expectations[i], document, fmt::format("expect.{}", i), names, origins, diagnostics}.check();
}

}  // namespace gnomon::scenario
