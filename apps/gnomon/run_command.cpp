// SPDX-License-Identifier: Apache-2.0
// gnomon run, gnomon validate.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/execution.hpp"
#include "platform/results/result_files.hpp"
#include "platform/run/output_folder.hpp"
#include "platform/run/signals.hpp"
#include "platform/scenario/data_root.hpp"

namespace gnomon::app {

namespace fs = std::filesystem;
using scenario::ResolvedScenario;

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw run::IoError{run::FileOperation::write, "standard output", errno};
}

void complain(const std::string& text) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

namespace {

/// Nothing if any of them is in error; everything that is wrong is told.
std::optional<std::vector<ResolvedScenario>> resolve_all(const std::vector<std::string>& paths,
                                                         const std::vector<std::string>& settings, bool quiet) {
  config::Diagnostics diagnostics;
  std::vector<ResolvedScenario> scenarios;
  for (const std::string& path : paths) {
    auto resolved = scenario::resolve(path, {settings, ""}, diagnostics);
    if (resolved) scenarios.push_back(std::move(*resolved));
  }
  if (diagnostics.has_errors() || !quiet) complain(diagnostics.render());
  if (diagnostics.has_errors()) return std::nullopt;
  return scenarios;
}

class Runner {
 public:
  explicit Runner(const RunOptions& options) : options_(options) {}

  int run() {
    if (!read_trace()) return results::exit_bad_input;
    auto scenarios = resolve_all(options_.scenarios, options_.settings, options_.quiet);
    if (!scenarios || !fits(*scenarios)) return results::exit_bad_input;
    // All before the first run, so that a target that is refused leaves nothing behind.
    std::vector<std::unique_ptr<run::OutputFolder>> folders;
    for (const ResolvedScenario& scenario : *scenarios)
      folders.push_back(std::make_unique<run::OutputFolder>(target_of(scenario)));
    int code = 0;
    for (std::size_t i = 0; i < scenarios->size(); ++i) {
      const int one = run_one((*scenarios)[i], *folders[i]);
      if (one > 128) return one;
      code = worse(code, one);
    }
    if (options_.json) print_summaries();
    return code;
  }

 private:
  /// One summary as it is, several as a JSON array.
  void print_summaries() const {
    if (summaries_.size() == 1) return print(summaries_.front());
    print(fmt::format("[\n{}]\n", fmt::join(summaries_, ",\n")));
  }

  static int worse(int a, int b) {
    static constexpr std::array order{run::exit_output_failed, results::exit_not_finished,
                                      results::exit_guest_panic, results::exit_expectation_failed, 0};
    for (const int code : order)
      if (a == code || b == code) return code;
    return a;
  }

  bool refuse(const std::string& message) const {
    complain("gnomon run: " + message + "\n");
    return false;
  }

  bool read_trace() {
    if (options_.trace.empty()) return true;
    traces_.emplace();
    if (options_.trace == "none") return true;
    for (std::size_t at = 0; at <= options_.trace.size();) {
      const std::size_t end = std::min(options_.trace.find(',', at), options_.trace.size());
      const std::string kind = options_.trace.substr(at, end - at);
      if (kind != "perfetto" && kind != "vcd" && kind != "csv")
        return refuse(fmt::format("--trace: there is no trace \"{}\"\n    accepted: perfetto, vcd, csv, or none", kind));
      traces_->push_back(kind);
      at = end + 1;
    }
    return true;
  }

  bool fits(const std::vector<ResolvedScenario>& scenarios) const {
    std::set<std::string> names;
    std::vector<std::string> variants;
    for (const ResolvedScenario& scenario : scenarios) {
      if (!names.insert(scenario.name).second)
        return refuse(
            fmt::format("two scenarios are called {}: their results would have one folder", scenario.name));
      for (const auto& variant : scenario.variants) variants.push_back(variant.name);
      if (options_.in_process &&
          (selected(scenario, options_.only).size() * options_.repeat != 1 || scenarios.size() > 1))
        return refuse("--in-process simulates once: choose one scenario and one variant, by --only");
    }
    for (const std::string& name : options_.only)
      if (std::find(variants.begin(), variants.end(), name) == variants.end())
        return refuse(fmt::format("--only: there is no variant \"{}\"\n{}", name, config::hint(name, variants)));
    std::error_code ignored;
    if (scenarios.size() > 1 && !options_.out.empty() &&
        fs::exists(fs::path{options_.out} / run::result_marker, ignored))
      return refuse(fmt::format("{} holds the results of one scenario, and several are asked for", options_.out));
    return true;
  }

  fs::path target_of(const ResolvedScenario& scenario) const {
    if (options_.out.empty()) return fs::path{"out"} / scenario.name;
    return options_.scenarios.size() > 1 ? fs::path{options_.out} / scenario.name : fs::path{options_.out};
  }

  int run_one(const ResolvedScenario& scenario, run::OutputFolder& folder) {
    ExecutionOptions execution;
    execution.seed = options_.seed;
    execution.repeat = options_.repeat;
    execution.jobs = options_.jobs;
    execution.stall_s = options_.stall_s;
    execution.only = options_.only;
    execution.in_process = options_.in_process;
    execution.quiet = options_.quiet;
    execution.traces = traces_.value_or(scenario.file.trace);
    execution.log = options_.log;
    execution.folder = folder.path();
    results::make_run_folders(folder.path(), selected(scenario, options_.only), options_.seed, options_.repeat);
    const Execution done = execute(scenario, execution);
    if (done.signal != 0) return run::exit_status_of_signal(done.signal);
    for (const std::string& error : done.output_errors) complain("gnomon run: " + error + "\n");
    if (!done.output_errors.empty()) return run::exit_output_failed;
    results::write_files(folder.path(), done.result, scenario);
    folder.commit();
    report(done.result, target_of(scenario), execution.traces);
    return results::exit_code(done.result.variants, done.result.expectations, options_.check);
  }

  void report(const results::ScenarioResult& result, const fs::path& target,
              const std::vector<std::string>& traces) {
    if (options_.json) {
      summaries_.push_back(results::to_json(result));
    } else if (!options_.quiet) {
      std::string text = results::to_table(result);
      text += fmt::format("\nresults: {}\n", scenario::shown(target));
      for (const std::string& kind : traces) {
        if (kind == "perfetto") text += "traces:  */trace.pftrace there; https://ui.perfetto.dev opens them\n";
        if (kind == "vcd") text += "signals: */trace.vcd there; gtkwave opens them\n";
        if (kind == "csv") text += "events:  */trace.csv.zst there; zstd -dc unpacks them\n";
      }
      print(text);
    }
  }

  const RunOptions& options_;
  std::optional<std::vector<std::string>> traces_;  // as the scenario says where not given
  std::vector<std::string> summaries_;  // for --json
};

}  // namespace

int run_command(const RunOptions& options) {
  try {
    return Runner{options}.run();
  } catch (const run::OutputRefused& error) {
    complain(fmt::format("gnomon run: {}\n", error.what()));
    return results::exit_bad_input;
  }
}

int validate_command(const ValidateOptions& options) {
  const auto scenarios = resolve_all(options.scenarios, options.settings, options.quiet);
  if (!scenarios) return results::exit_bad_input;
  if (options.quiet) return 0;
  for (const ResolvedScenario& scenario : *scenarios)
    print(fmt::format("{}: good, {} variants, {} expectations\n", scenario.path.string(), scenario.variants.size(),
                      scenario.file.expectations.size()));
  return 0;
}

}  // namespace gnomon::app
