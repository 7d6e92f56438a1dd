// SPDX-License-Identifier: Apache-2.0
#include "platform/check/golden.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "platform/scenario/metric_names.hpp"

namespace gnomon::check {

namespace fs = std::filesystem;

fs::path golden_path(const fs::path& scenario) {
  return fs::path{scenario}.replace_extension(".golden");
}

namespace {

bool is_approved(const std::string& name) {
  if (name.starts_with("sim.")) return false;
  const observe::MetricMeaning* meaning = scenario::find_metric(name);
  return meaning == nullptr || (meaning->unit != "fraction" && meaning->unit != "byte seconds");
}

/// A golden line in two: what it is about, and what it says of it. An event of the window is about its place.
struct Item {
  std::string key, value;
};

Item item_of(const std::string& line, std::size_t& events) {
  if (line.starts_with('+')) return {fmt::format("event {} of the window", ++events), line};
  const std::size_t blank = line.rfind(' ');
  if (blank == std::string::npos) return {line, ""};
  return {line.substr(0, blank), line.substr(blank + 1)};
}

}  // namespace

std::vector<std::string> golden_lines(const results::VariantResult& variant) {
  std::vector<std::string> lines{"status " + variant.status};
  for (const auto& [name, value] : variant.metrics)
    if (is_approved(name) && std::llround(value.mean) != 0)
      lines.push_back(fmt::format("metric {} {}", name, std::llround(value.mean)));
  if (variant.runs.empty()) return lines;
  std::istringstream transcript{variant.runs.front().transcript};
  for (std::string line; std::getline(transcript, line);) lines.push_back(line);
  return lines;
}

std::string golden_text(const std::string& scenario, const std::vector<results::VariantResult>& variants) {
  std::string text = fmt::format(
      "# What {}.toml does with seed 1: `gnomon check` compares, `gnomon check --update` writes it anew.\n"
      "# Times in ps after a plus sign count from the line before.\n",
      scenario);
  for (const results::VariantResult& variant : variants) {
    text += fmt::format("\n[{}]\n", variant.name);
    for (const std::string& line : golden_lines(variant)) text += line + "\n";
  }
  return text;
}

std::map<std::string, std::vector<GoldenLine>, std::less<>> read_golden(std::string_view text) {
  std::map<std::string, std::vector<GoldenLine>, std::less<>> sections;
  std::vector<GoldenLine>* section = nullptr;
  for (unsigned number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with('[') && line.ends_with(']'))
      section = &sections[std::string{line.substr(1, line.size() - 2)}];
    else if (section != nullptr && !line.empty() && !line.starts_with('#'))
      section->push_back({number, std::string{line}});
  }
  return sections;
}

std::vector<GoldenDifference> differences(const std::vector<GoldenLine>& golden,
                                          const std::vector<std::string>& run) {
  std::map<std::string, std::string> found;
  std::vector<std::string> order;
  std::size_t events = 0;
  for (const std::string& line : run) {
    Item item = item_of(line, events);
    order.push_back(item.key);
    found.emplace(std::move(item.key), std::move(item.value));
  }
  std::vector<GoldenDifference> out;
  bool event_told = false;
  const auto tell = [&](GoldenDifference difference) {
    if (difference.what.ends_with(" of the window") && std::exchange(event_told, true)) return;
    out.push_back(std::move(difference));
  };
  events = 0;
  for (const GoldenLine& line : golden) {
    const Item item = item_of(line.text, events);
    const auto at = found.find(item.key);
    if (at == found.end()) {
      tell({line.number, item.key, item.value, ""});
      continue;
    }
    if (at->second != item.value) tell({line.number, item.key, item.value, at->second});
    found.erase(at);
  }
  for (const std::string& key : order)
    if (const auto at = found.find(key); at != found.end()) tell({0, key, "", at->second});
  return out;
}

}  // namespace gnomon::check
