// SPDX-License-Identifier: Apache-2.0
#include "platform/report/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "platform/report/noise.hpp"
#include "platform/report/parting.hpp"

namespace gnomon::report {
namespace {

using nlohmann::ordered_json;

bool is_the_hosts(std::string_view metric) {
  static constexpr std::array own = {"sim.wall_s", "sim.cpu_s", "sim.peak_rss_bytes"};
  return std::find(own.begin(), own.end(), metric) != own.end();
}

bool is_figure(const ordered_json& value) {
  return value.is_number() || value.is_object();
}

Sample sample(const ordered_json& metrics, const std::string& name) {
  const auto at = metrics.find(name);
  if (at == metrics.end() || !is_figure(*at)) return {};  // what a run did not count is 0
  if (at->is_number()) return {at->get<double>(), 0, 1};
  return {at->at("mean"), at->at("stddev"), at->at("n").get<std::uint64_t>()};
}

struct Pair {
  std::string a, b;
};

const ordered_json& variant_of(const ResultFolder& result, const std::string& name) {
  for (const ordered_json& v : result.summary["variants"])
    if (v["name"] == name) return v;
  throw Unreadable(fmt::format("{}: has no variant \"{}\"", result.path.string(), name));
}

std::vector<Pair> pairs_of(const ResultFolder& a, const ResultFolder& b, std::vector<std::string>& notes) {
  if (a.only || b.only) return {{a.only ? *a.only : *b.only, b.only ? *b.only : *a.only}};
  std::vector<Pair> pairs;
  const auto look = [&](const ResultFolder& one, const ResultFolder& other, const char* side, bool add) {
    for (const ordered_json& v : one.summary["variants"]) {
      const std::string name = v["name"];
      if (v["status"] == "skipped") continue;
      const ordered_json* there = other.metrics(name);
      if (there == nullptr || variant_of(other, name)["status"] == "skipped")
        notes.push_back(fmt::format("{} ran only in {}", name, side));
      else if (add)
        pairs.push_back({name, name});
    }
  };
  look(a, b, "A", true);
  look(b, a, "B", false);
  if (pairs.empty())
    throw Unreadable(fmt::format("{} and {}: no variant ran in both; to compare two variants, name their folders",
                                 a.path.string(), b.path.string()));
  return pairs;
}

void note_context(const ResultFolder& a, const ResultFolder& b, std::vector<std::string>& notes) {
  const auto differs = [&](const char* key) { return a.summary[key] != b.summary[key]; };
  const auto repeats = [](const ResultFolder& r) { return r.summary.value("repeat", 1); };
  if (differs("gnomon"))
    notes.push_back(fmt::format("A is of gnomon {}, B of gnomon {}: traces may differ by how events are told",
                                a.summary["gnomon"].get<std::string>(), b.summary["gnomon"].get<std::string>()));
  if (differs("scenario"))
    notes.push_back(fmt::format("A is of scenario {}, B of {}", a.summary["scenario"].get<std::string>(),
                                b.summary["scenario"].get<std::string>()));
  if (differs("seed") && (repeats(a) < 2 || repeats(b) < 2))
    notes.push_back("the seeds differ, and without --repeat what is a change cannot be told from chance");
}

std::vector<std::string> metric_names(const ordered_json& a, const ordered_json& b) {
  std::vector<std::string> names;
  for (const ordered_json* metrics : {&a, &b}) {
    for (const auto& [name, value] : metrics->items())
      if (is_figure(value) && !is_the_hosts(name) && std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
  }
  return names;
}

std::vector<BlameChange> blame_of(const ordered_json& a, const ordered_json& b,
                                  const std::vector<std::string>& names) {
  std::vector<BlameChange> blame;
  for (const std::string& name : names) {
    if (!name.starts_with("blame.") || !name.ends_with("_ns") || name.find('.', 6) != std::string::npos) continue;
    blame.push_back({name.substr(6, name.size() - 9), sample(a, name).mean, sample(b, name).mean});
  }
  std::stable_sort(blame.begin(), blame.end(), [](const BlameChange& x, const BlameChange& y) {
    return std::abs(x.b - x.a) > std::abs(y.b - y.a);
  });
  return blame;
}

const VariantFiles* files_of(const ResultFolder& result, const std::string& name) {
  const auto at =
      std::find_if(result.variants.begin(), result.variants.end(), [&](const auto& f) { return f.name == name; });
  return at == result.variants.end() ? nullptr : &*at;
}

/// Candidates of all variants; which of them are changes is decided over all at once.
struct Candidate {
  std::size_t variant;
  MetricChange change;
  double p;
};

}  // namespace

bool Comparison::any_change() const {
  return std::any_of(variants.begin(), variants.end(), [](const auto& v) { return !v.changed.empty(); });
}

Comparison compare(const ResultFolder& a, const ResultFolder& b, const ComparisonOptions& options) {
  Comparison out{a.path.string(), b.path.string(), {}, {}};
  if (a.only) out.a = (a.path / *a.only).string();
  if (b.only) out.b = (b.path / *b.only).string();
  note_context(a, b, out.notes);
  std::vector<Candidate> candidates;
  for (const Pair& pair : pairs_of(a, b, out.notes)) {
    const ordered_json &va = variant_of(a, pair.a), &vb = variant_of(b, pair.b);
    if (va["status"] != vb["status"])
      out.notes.push_back(fmt::format("{} ended as {} in A, as {} in B", pair.a, va["status"].get<std::string>(),
                                      vb["status"].get<std::string>()));
    VariantComparison variant;
    variant.name = pair.a == pair.b ? pair.a : pair.a + " -> " + pair.b;
    const auto names = metric_names(va["metrics"], vb["metrics"]);
    variant.compared = names.size();
    for (const std::string& name : names) {
      const Sample sa = sample(va["metrics"], name), sb = sample(vb["metrics"], name);
      const Difference d = difference(sa, sb);
      candidates.push_back({out.variants.size(), {name, sa.mean, sb.mean, d.ci95}, d.p});
    }
    variant.blame = blame_of(va["metrics"], vb["metrics"], names);
    const VariantFiles *fa = files_of(a, pair.a), *fb = files_of(b, pair.b);
    if (fa != nullptr && fb != nullptr && fa->status == "ok" && fb->status == "ok")
      variant.parting = parting_text(fa->folder, fb->folder);
    out.variants.push_back(std::move(variant));
  }
  // Exact differences are no statistics: only those with noise share the rate of false discoveries.
  std::vector<double> p;
  for (const Candidate& c : candidates)
    if (c.change.ci95) p.push_back(c.p);
  const std::vector<bool> found = significant(p, options.false_discoveries);
  std::size_t tested = 0;
  for (Candidate& c : candidates) {
    const bool changed = c.change.ci95 ? found[tested++] : c.p == 0;
    const auto percent = c.change.percent();
    if (changed && (!percent || std::abs(*percent) >= options.threshold_percent))
      out.variants[c.variant].changed.push_back(std::move(c.change));
  }
  return out;
}

}  // namespace gnomon::report
