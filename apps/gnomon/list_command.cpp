// SPDX-License-Identifier: Apache-2.0
// gnomon list, gnomon explain.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/machine_constants.hpp"
#include "guest/iommu/flush_policy.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/scenario/data_root.hpp"
#include "platform/scenario/kernel_file.hpp"
#include "platform/scenario/metric_names.hpp"
#include "platform/scenario/scenario_file.hpp"

namespace gnomon::app {
namespace {

namespace fs = std::filesystem;
using config::Document;
using Rows = std::vector<std::pair<std::string, std::string>>;

std::string title_of(const fs::path& file) {
  config::Diagnostics ignored;
  const auto document = config::read_document(file.string(), config::OriginKind::scenario, ignored);
  const config::Node* title = document ? document->find("title") : nullptr;
  return title != nullptr && title->text() != nullptr ? *title->text() : "(it cannot be read)";
}

Rows scenarios() {
  Rows rows;
  const fs::path root = scenario::data_root() / "scenarios";
  std::error_code error;
  for (fs::recursive_directory_iterator at{root, error}, end; !error && at != end; at.increment(error)) {
    if (at->is_directory() && at->path().filename() == "bad") at.disable_recursion_pending();
    if (at->is_regular_file() && at->path().extension() == ".toml")
      rows.emplace_back(scenario::shown(at->path()), title_of(at->path()));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::string text_of(const Rows& rows) {
  std::size_t width = 0;
  for (const auto& [name, meaning] : rows) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, meaning] : rows) text += fmt::format("{:<{}}  {}\n", name, width, meaning);
  return text;
}

Rows titled(const fs::path& folder) {
  Rows rows;
  for (const std::string& name : scenario::toml_names(folder))
    rows.emplace_back(name, title_of(folder / (name + ".toml")));
  return rows;
}

const char* meaning_of(scenario::IommuKind iommu) {
  using enum scenario::IommuKind;
  switch (iommu) {
    case none: return "device addresses are physical, or guest-physical";
    case plain: return "a driver without hardware: what calls, walks and flushes cost by themselves";
    case virtio_iommu: return "QEMU's virtio-iommu, shadowed request by request";
    case intel_iommu: return "VT-d: the machine's own, or QEMU's in caching mode, nested or write-protected";
    case amd_iommu: return "AMD-Vi: the machine's own, or QEMU's, shadowed";
    case smmuv3: return "SMMUv3: the machine's own, or nested with a trapped or an owned command queue";
    case tegra_smmu: return "Tegra's SMMU, on bare metal";
    case s390_pci: return "s390's PCI functions: in a logical partition, or shadowed for a KVM guest";
  }
  return "";
}

Rows iommus() {
  Rows rows;
  for (const auto& entry : scenario::iommu_names) rows.emplace_back(entry.name, meaning_of(entry.value));
  return rows;
}

/// 6.7 before 6.12: the numbers of a name, one after another.
bool older(const std::string& a, const std::string& b) {
  const auto numbers = [](const std::string& name) {
    std::vector<unsigned long> found;
    for (std::size_t at = 0; at < name.size();) {
      std::size_t end = at;
      while (end < name.size() && name[end] >= '0' && name[end] <= '9') ++end;
      if (end > at) found.push_back(std::stoul(name.substr(at, end - at)));
      at = end + 1;
    }
    return found;
  };
  return std::pair(numbers(a), a) < std::pair(numbers(b), b);
}

std::string value_of(const config::Node* node) {
  if (node == nullptr) return "-";
  if (const bool* flag = std::get_if<bool>(&node->value)) return *flag ? "true" : "false";
  if (const std::int64_t* number = std::get_if<std::int64_t>(&node->value)) return std::to_string(*number);
  return node->text() != nullptr ? *node->text() : "-";
}

/// The kernels' titles, then every key in which they differ: who has which value; "-" where it has no meaning.
std::string kernels_text() {
  std::vector<std::string> names = scenario::toml_names(scenario::kernels_folder());
  std::sort(names.begin(), names.end(), older);
  std::vector<Document> documents;
  Rows titles;
  for (const std::string& name : names) {
    const fs::path file = scenario::kernels_folder() / (name + ".toml");
    config::Diagnostics ignored;
    documents.push_back(
        config::read_document(file.string(), config::OriginKind::kernel_file, ignored).value_or(Document{}));
    titles.emplace_back(name, title_of(file));
  }
  std::string text = text_of(titles) + "\nWhat differs:\n";
  for (const config::Parameter& key : config::parameters<scenario::KernelFile>()) {
    if (key.path == "title" || key.path == "source") continue;
    Rows values;  // and the kernels that have it
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string value = value_of(documents[i].find(key.path));
      const auto same = std::find_if(values.begin(), values.end(), [&](auto& v) { return v.first == value; });
      if (same == values.end()) {
        values.emplace_back(value, names[i]);
      } else {
        same->second += ", " + names[i];
      }
    }
    if (values.size() < 2) continue;
    std::string shown = key.path;
    for (const auto& [value, who] : values) {
      text += fmt::format("{:<35}  {:<17}  {}\n", std::exchange(shown, ""), value, who);
    }
  }
  return text;
}

std::string policies_text() {
  const Rows deferral{
      {"strict", "every unmap waits for its invalidation; guest.cmdline = \"iommu.strict=1\""},
      {"lazy, per-cpu",
       "invalidation deferred to a flush queue a CPU; guest.cmdline = \"iommu.strict=0\", guest.flush_queue = "
       "\"per-cpu\""},
      {"lazy, single",
       "invalidation deferred to one flush queue; guest.cmdline = \"iommu.strict=0\", guest.flush_queue = "
       "\"single\""},
      {"passthrough", "no translation; guest.cmdline = \"iommu.passthrough=1\""}};
  Rows flushing;
  for (const auto& policy : guest::flush_policies())
    flushing.emplace_back(policy.name, fmt::format("{} ({})", policy.meaning, policy.source));
  return text_of(deferral) + "\nHow a range is flushed, for guest.flush_policy:\n" + text_of(flushing);
}

Rows metrics() {
  Rows rows;
  for (const auto& metric : observe::metric_meanings())
    rows.emplace_back(metric.name, fmt::format("{} [{}]", metric.meaning, metric.unit));
  return rows;
}

struct List {
  std::string name;
  std::string meaning;
  std::function<std::string()> text;
};

const std::vector<List>& lists() {
  static const std::vector<List> all{
      {"scenarios", "the scenarios that come with the program", [] { return text_of(scenarios()); }},
      {"machines", "machine profiles, for machine.profile",
       [] { return text_of(titled(scenario::machines_folder())); }},
      {"iommus", "IOMMUs, for iommu.device", [] { return text_of(iommus()); }},
      {"kernels", "kernels, for guest.kernel", kernels_text},
      {"policies", "when translations are invalidated, and by which commands", policies_text},
      {"metrics", "what a run reports", [] { return text_of(metrics()); }},
      {"params", "every key of a scenario",
       [] { return config::list_text(config::parameters<scenario::ScenarioFile>()); }},
  };
  return all;
}

/// What every machine profile says of a constant.
std::string in_machines(const std::string& path) {
  constexpr std::string_view prefix = "machine.";
  if (!path.starts_with(prefix)) return "";
  const std::string key = path.substr(prefix.size());
  std::string out;
  for (const std::string& name : scenario::toml_names(scenario::machines_folder())) {
    const auto profile = profile_document(name);
    const auto constant = profile ? constant_in(*profile, key) : std::nullopt;
    if (!constant) continue;
    out += fmt::format("  {:<10}{} ({}: {})\n", name + " ", constant->value, constant->kind, constant->source);
  }
  return out;
}

}  // namespace

int list_command(const std::string& what) {
  if (what.empty()) {
    Rows rows;
    for (const List& list : lists()) rows.emplace_back("gnomon list " + list.name, list.meaning);
    print(text_of(rows));
    return 0;
  }
  std::vector<std::string> names;
  for (const List& list : lists()) {
    names.push_back(list.name);
    if (list.name != what) continue;
    print(list.text());
    return 0;
  }
  complain(fmt::format("gnomon list: there is no list \"{}\"\n{}\n", what, config::hint(what, names)));
  return results::exit_bad_input;
}

int explain_command(const std::string& name) {
  const auto parameters = config::parameters<scenario::ScenarioFile>();
  std::string text;
  for (const config::Parameter* parameter : config::find_parameters(parameters, name))
    text += config::explain_text(*parameter) + in_machines(parameter->path);
  if (const observe::MetricMeaning* metric = scenario::find_metric(name))
    text += fmt::format("{}: {}\n  {:<10}metric\n  {:<10}{}\n", metric->name, metric->meaning, "type", "unit",
                        metric->unit);
  if (!text.empty()) {
    print(text);
    return 0;
  }
  const std::string near = config::suggest_parameter(parameters, name);
  complain(fmt::format("gnomon explain: \"{}\" is neither a parameter nor a metric\n{}\n", name,
                       near.empty() ? scenario::metric_hint(name) : near));
  return results::exit_bad_input;
}

}  // namespace gnomon::app
