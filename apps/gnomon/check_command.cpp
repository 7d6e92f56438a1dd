// SPDX-License-Identifier: Apache-2.0
// gnomon check: every scenario runs and its expectations hold; every file under bad/ is refused as it should be.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/execution.hpp"
#include "platform/run/atomic_file.hpp"
#include "platform/run/signals.hpp"
#include "platform/scenario/data_root.hpp"

namespace gnomon::app {
namespace {

namespace fs = std::filesystem;

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

class Checker {
 public:
  explicit Checker(const CheckOptions& options) : options_(options) {}

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
    for (const fs::path& file : files) {
      const int code = is_bad(file) ? check_bad(file) : check_good(file);
      if (code > 128) return code;
      counts_[code == 0]++;
      code_ = worse(code_, code);
    }
    print(fmt::format("{} as expected, {} not\n", counts_[1], counts_[0]));
    return code_;
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

  void tell(int code, const fs::path& path, const std::string& text) const {
    if (options_.quiet && code == 0) return;
    print(fmt::format("{}  {}  {}\n", code == 0 ? "ok    " : "FAILED", scenario::shown(path), text));
  }

  int check_good(const fs::path& path) {
    config::Diagnostics diagnostics;
    const auto resolved = scenario::resolve(path, {}, diagnostics);
    if (!resolved) {
      tell(results::exit_bad_input, path, "it is in error");
      complain(diagnostics.render());
      return results::exit_bad_input;
    }
    ExecutionOptions execution;
    execution.jobs = options_.jobs;
    execution.quiet = options_.quiet;
    const Execution done = execute(*resolved, execution);
    if (done.signal != 0) return run::exit_status_of_signal(done.signal);
    const int code = results::exit_code(done.result.variants, done.result.expectations, true);
    tell(code, path,
         fmt::format("{} variants, {} expectations", done.result.variants.size(), done.result.expectations.size()));
    if (code != 0) print(results::to_table(done.result));
    return code;
  }

  /// Refused, with exactly the message in NAME.expected beside it.
  int check_bad(const fs::path& path) {
    config::Diagnostics diagnostics;
    const bool refused = !scenario::resolve(path, {{}, path.filename().string()}, diagnostics);
    const std::string said = diagnostics.render();
    const fs::path expected_path = fs::path{path}.replace_extension(".expected");
    if (!refused) {
      tell(results::exit_expectation_failed, path, "it is not refused");
      return results::exit_expectation_failed;
    }
    if (options_.update) run::write_whole_file(expected_path, said);
    std::ifstream in{expected_path, std::ios::binary};
    std::ostringstream expected;
    expected << in.rdbuf();
    if (in && said == expected.str()) {
      tell(0, path, "refused as expected");
      return 0;
    }
    tell(results::exit_expectation_failed, path,
         in ? "it is refused with another message:" : "there is no " + expected_path.filename().string());
    print(said);
    return results::exit_expectation_failed;
  }

  const CheckOptions& options_;
  int code_ = 0;
  std::array<std::size_t, 2> counts_{};
};

}  // namespace

int check_command(const CheckOptions& options) {
  return Checker{options}.run();
}

}  // namespace gnomon::app
