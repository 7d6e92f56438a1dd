// SPDX-License-Identifier: Apache-2.0
// gnomon reference: the pages under docs/reference, from the descriptions the program itself reads by.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/machine_constants.hpp"
#include "platform/gtrace/print.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/scenario/data_root.hpp"
#include "platform/scenario/machine_description.hpp"
#include "platform/scenario/scenario_file.hpp"
#include "platform/trace_import/parser.hpp"

namespace gnomon::app {
namespace {

using config::Parameter;

std::string head(std::string_view title, std::string_view what) {
  return fmt::format("<!-- Written by `gnomon reference {}`; not by hand. -->\n# {}\n\n", what, title);
}

/// `text` in a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '<') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string code(std::string_view text) {
  return text.empty() ? "" : fmt::format("`{}`", text);
}

std::string scenario_page() {
  std::vector<Parameter> shown;
  for (const Parameter& p : config::parameters<scenario::ScenarioFile>())
    if (!p.path.starts_with("machine.") || p.path == "machine.profile") shown.push_back(p);
  return head("Keys of a scenario", "params") +
         "A scenario is one TOML file. Every key it may hold is here; `gnomon explain KEY` tells the same of one.\n"
         "A quantity is a string with its unit. Where a default is missing, the kernel or the driver decides, as\n"
         "the meaning says.\n\n"
         "`[machine]` may hold any constant of [a machine profile](machines.md) too, but only in a scenario with\n"
         "`study = \"sensitivity\"`.\n\n## Tables\n\n" +
         config::markdown_reference(shown);
}

/// What a profile says of itself: title and choices, which carry no provenance.
std::string plain_value(const config::Document& profile, const Parameter& p) {
  const config::Node* node = profile.find(p.path);
  return node != nullptr && node->text() != nullptr ? *node->text() : "";
}

std::string profile_section(const std::string& name, const std::vector<Parameter>& constants) {
  const auto profile = profile_document(name);
  if (!profile) return fmt::format("\n## {}\n\nThe profile cannot be read.\n", name);
  std::string plain, table;
  for (const Parameter& p : constants) {
    const auto constant = constant_in(*profile, p.path);
    if (!constant) {
      plain += fmt::format("- {}: {}\n", code(p.path), plain_value(*profile, p));
      continue;
    }
    std::string source = constant->source;
    if (!constant->fitted_to.empty())
      source += fmt::format("; fitted to: {}", fmt::join(constant->fitted_to, "; "));
    table +=
        fmt::format("| {} | {} | {} | {} |\n", code(p.path), cell(constant->value), constant->kind, cell(source));
  }
  return fmt::format("\n## `{}`\n\n{}\n| constant | value | kind | source |\n|---|---|---|---|\n{}", name, plain,
                     table);
}

std::string machines_page() {
  std::vector<Parameter> constants = config::parameters<scenario::MachineProfile>();
  for (Parameter& p : constants) p.required = true;  // what the struct holds by default is never used
  std::string text =
      head("Constants of a machine", "machine") +
      "A machine is one file, `platform/machines/NAME.toml`. A machine has no defaults: its profile gives every\n"
      "constant, each with its kind and source; [machines.md](../machines.md) tells what the kinds mean. Below "
      "are\n"
      "the constants, and then what every profile gives them.\n\n## Tables\n\n" +
      config::markdown_reference(constants);
  for (const std::string& name : scenario::toml_names(scenario::machines_folder()))
    text += profile_section(name, constants);
  return text;
}

std::string metrics_page() {
  std::string text =
      head("Metrics", "metrics") +
      "What a run reports in its `summary.json`, and what an `[[expect]]` may name. Unless its meaning\n"
      "says otherwise, a metric is of the measured window. `<job>`, `<lock>` and `<reason>` stand for\n"
      "the names of a run's own.\n\n"
      "| metric | unit | meaning |\n|---|---|---|\n";
  for (const observe::MetricMeaning& metric : observe::metric_meanings())
    text += fmt::format("| {} | {} | {} |\n", code(metric.name), cell(metric.unit), cell(metric.meaning));
  return text;
}

std::string gtrace_page() {
  return head("Events of a gtrace", "gtrace") +
         "What a `.gtrace` holds and `gnomon inspect` prints; [the format](../gtrace-format.md) tells how it is\n"
         "stored. Every event has a time, a lane (a CPU, or a thread of QEMU) and a task (0 where it is not known).\n\n" +
         gtrace::markdown_kinds();
}

std::string import_page() {
  return head("Events that are imported", "import") +
         "What `gnomon import` makes of the events it knows; [how to record them](../record-a-trace.md). An event that\n"
         "is not here is ignored, counted and named in the report; `--keep-event NAME` keeps its times.\n" +
         trace_import::markdown_events();
}

std::string scenario_schema() {
  auto schema = config::json_schema(config::description_of<scenario::ScenarioFile>(), "Gnomon scenario");
  // The one key of two types; bind_scenario() chooses by what the file holds.
  auto& section = schema["properties"]["workload"]["properties"]["section"];
  const nlohmann::ordered_json list{{"type", section["type"]}, {"items", section["items"]}};
  section = {{"anyOf", {section["items"], list}}, {"description", section["description"]}};
  return schema.dump(1) + "\n";
}

struct Page {
  std::string name;
  std::string meaning;
  std::string (*text)();
};

const std::vector<Page>& pages() {
  static const std::vector<Page> all{
      {"params", "the keys of a scenario, as Markdown", scenario_page},
      {"machine", "the constants of a machine and what every profile gives them, as Markdown", machines_page},
      {"metrics", "what a run reports, as Markdown", metrics_page},
      {"gtrace", "events of a .gtrace and their fields, as Markdown", gtrace_page},
      {"import", "events of traces, used or ignored, as Markdown", import_page},
      {"schema", "the JSON Schema of scenarios, for editors", scenario_schema},
  };
  return all;
}

}  // namespace

int reference_command(const std::string& what) {
  std::vector<std::string> names;
  for (const Page& page : pages()) {
    names.push_back(page.name);
    if (page.name != what) continue;
    print(page.text());
    return 0;
  }
  if (!what.empty()) {
    complain(fmt::format("gnomon reference: there is no page \"{}\"\n{}\n", what, config::hint(what, names)));
    return results::exit_bad_input;
  }
  for (const Page& page : pages()) print(fmt::format("gnomon reference {:<7}  {}\n", page.name, page.meaning));
  return 0;
}

}  // namespace gnomon::app
