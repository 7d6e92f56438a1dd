// SPDX-License-Identifier: Apache-2.0
// gnomon check: every scenario runs, its expectations hold and it behaves as its golden transcript says; every file
// under bad/ is refused as it should be.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/execution.hpp"
#include "platform/check/checked.hpp"
#include "platform/check/golden.hpp"
#include "platform/check/verdict_cases.hpp"
#include "platform/run/atomic_file.hpp"
#include "platform/run/signals.hpp"
#include "platform/scenario/data_root.hpp"

namespace gnomon::app {
namespace {

namespace fs = std::filesystem;
using check::Case;

bool is_bad(const fs::path& path) {
  return std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == "bad"; });
}

/// The .toml files at or below `path`, sorted; nothing where there is no such path.
std::vector<fs::path> scenarios_below(const fs::path& path) {
  std::vector<fs::path> found;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return {path};
  for (fs::recursive_directory_iterator at{path, error}, end; !error && at != end; at.increment(error))
    if (at->is_regular_file() && at->path().extension() == ".toml") found.push_back(at->path());
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<std::string> contents(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>{in}, {}};
}

/// Where each [[expect]] of the file stands.
std::vector<unsigned> expectation_lines(const fs::path& path, std::size_t count) {
  config::Diagnostics ignored;
  const auto document = config::read_document(path.string(), config::OriginKind::scenario, ignored);
  std::vector<unsigned> lines;
  for (std::size_t i = 0; document && i < count; ++i) {
    const config::Node* node = document->find(fmt::format("expect.{}", i));
    lines.push_back(node == nullptr ? 0 : node->where.line);
  }
  return lines;
}

/// What is called wrong in a scenario takes the place of its figures.
check::Scenario in_error(check::Scenario checked, std::string message, std::string details, int code) {
  checked.cases.push_back(
      {"it can be checked", check::Outcome::failed, fmt::format("{}: {}", checked.name, message), checked.file, 0});
  checked.details = std::move(details);
  checked.exit_code = code;
  return checked;
}

class Checker {
 public:
  explicit Checker(const CheckOptions& options)
      : options_(options), cache_(options.no_cache ? fs::path{} : check::RunCache::default_folder()) {}

  int run() {
    std::vector<fs::path> files;
    for (const fs::path& path : roots()) {
      const auto below = scenarios_below(path);
      if (below.empty()) {
        complain(fmt::format("gnomon check: {}: no scenario there\n", path.string()));
        return results::exit_bad_input;
      }
      files.insert(files.end(), below.begin(), below.end());
    }
    int code = 0;
    for (const fs::path& file : files) {
      checked_.push_back(is_bad(file) ? check_bad(file) : check_good(file));
      if (checked_.back().exit_code > 128) return checked_.back().exit_code;
      tell(checked_.back());
      code = worse(code, checked_.back().exit_code);
    }
    cache_.trim();
    const auto good =
        std::count_if(checked_.begin(), checked_.end(), [](const auto& s) { return s.exit_code == 0; });
    print(fmt::format("{} as expected, {} not\n", good, checked_.size() - static_cast<std::size_t>(good)));
    write_reports();
    return code;
  }

 private:
  std::vector<fs::path> roots() const {
    if (options_.paths.empty()) return {scenario::data_root() / "scenarios"};
    return {options_.paths.begin(), options_.paths.end()};
  }

  static int worse(int a, int b) {
    static constexpr std::array order{results::exit_not_finished, results::exit_guest_panic,
                                      results::exit_bad_input, results::exit_expectation_failed, 0};
    for (const int code : order)
      if (a == code || b == code) return code;
    return a;
  }

  void tell(const check::Scenario& s) const {
    if (options_.quiet && s.exit_code == 0) return;
    std::string text = fmt::format("{}  {}", s.exit_code == 0 ? "ok    " : "FAILED", s.file);
    if (s.runs == 0 && s.exit_code == 0) text += "  refused as expected";
    if (s.runs > 0) text += fmt::format("  {} runs ({} cached), {} checks", s.runs, s.cached, s.cases.size());
    if (const auto skipped = s.count(check::Outcome::skipped); skipped > 0)
      text += fmt::format(", {} skipped", skipped);
    text += '\n';
    for (const Case& c : s.cases)
      if (c.outcome == check::Outcome::failed) text += "        " + c.message + "\n";
    if (s.exit_code != 0) text += s.details;
    print(text);
  }

  void write_reports() const {
    const auto write = [](const std::string& path, const std::string& text) {
      if (!path.empty()) run::write_whole_file(path, text);
    };
    if (!options_.junit.empty()) write(options_.junit, check::to_junit(checked_));
    if (!options_.markdown.empty()) write(options_.markdown, check::to_markdown(checked_));
    if (!options_.bench_json.empty()) write(options_.bench_json, check::to_bench_json(checked_));
    const char* actions = std::getenv("GITHUB_ACTIONS");
    if (actions != nullptr && std::string_view{actions} == "true") print(check::to_annotations(checked_));
  }

  static check::Scenario named(const fs::path& path) {
    check::Scenario checked;
    checked.name = path.stem().string();
    checked.file = scenario::shown(path);
    return checked;
  }

  check::Scenario check_good(const fs::path& path) const {
    const auto began = std::chrono::steady_clock::now();
    check::Scenario checked = named(path);
    config::Diagnostics diagnostics;
    const auto resolved = scenario::resolve(path, {}, diagnostics);
    if (!resolved)
      return in_error(checked, "the scenario is in error", diagnostics.render(), results::exit_bad_input);
    ExecutionOptions execution;
    execution.jobs = options_.jobs;
    execution.stall_s = options_.stall_s;
    execution.quiet = options_.quiet;
    execution.transcript = true;
    execution.cache = &cache_;
    const Execution done = execute(*resolved, execution);
    if (done.signal != 0) return in_error(checked, "interrupted", "", run::exit_status_of_signal(done.signal));
    checked.runs = done.runs;
    checked.cached = done.cached;
    checked.cases = check::expectation_cases(
        done.result,
        {checked.file, expectation_lines(path, done.result.expectations.size()), resolved->file.source});
    hold_golden(path, done.result, checked);
    checked.figures = check::trend_figures(done.result);
    checked.exit_code = results::exit_code(done.result.variants, done.result.expectations, true);
    if (checked.exit_code != 0) checked.details = results::to_table(done.result);
    if (checked.exit_code == 0 && checked.count(check::Outcome::failed) > 0)
      checked.exit_code = results::exit_expectation_failed;
    checked.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return checked;
  }

  void hold_golden(const fs::path& path, const results::ScenarioResult& result, check::Scenario& checked) const {
    const fs::path golden = check::golden_path(path);
    if (options_.update) run::write_whole_file(golden, check::golden_text(result.scenario, result.variants));
    const auto text = contents(golden);
    if (!text) {
      checked.cases.push_back(
          {"golden transcript", check::Outcome::skipped,
           fmt::format("there is no {}; gnomon check --update writes it", scenario::shown(golden)), checked.file,
           0});
      return;
    }
    for (Case& c : check::golden_cases(result, *text, scenario::shown(golden)))
      checked.cases.push_back(std::move(c));
  }

  /// Refused, with exactly the message in NAME.expected beside it.
  check::Scenario check_bad(const fs::path& path) const {
    check::Scenario checked = named(path);
    checked.name = "bad/" + checked.name;
    config::Diagnostics diagnostics;
    const bool refused = !scenario::resolve(path, {{}, path.filename().string()}, diagnostics);
    const std::string said = diagnostics.render();
    const fs::path expected_path = fs::path{path}.replace_extension(".expected");
    if (!refused) return in_error(checked, "it is not refused", said, results::exit_expectation_failed);
    if (options_.update) run::write_whole_file(expected_path, said);
    const auto expected = contents(expected_path);
    if (expected != said)
      return in_error(checked,
                      expected ? "it is refused with another message than " + scenario::shown(expected_path)
                               : "there is no " + scenario::shown(expected_path),
                      said, results::exit_expectation_failed);
    checked.cases.push_back({"is refused as expected", check::Outcome::passed, "", checked.file, 0});
    return checked;
  }

  const CheckOptions& options_;
  check::RunCache cache_;
  std::vector<check::Scenario> checked_;
};

}  // namespace

int check_command(const CheckOptions& options) {
  return Checker{options}.run();
}

}  // namespace gnomon::app
