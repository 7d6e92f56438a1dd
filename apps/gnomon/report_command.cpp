// SPDX-License-Identifier: Apache-2.0
// gnomon report, gnomon diff.
#include <fmt/format.h>

#include "apps/gnomon/commands.hpp"
#include "platform/report/comparison.hpp"
#include "platform/report/page.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/run/atomic_file.hpp"
#include "platform/scenario/data_root.hpp"

namespace gnomon::app {

namespace fs = std::filesystem;

namespace {

/// Told as bad input: nothing has been written.
int unreadable(const char* command, const report::Unreadable& error) {
  complain(fmt::format("gnomon {}: {}\n", command, error.what()));
  return results::exit_bad_input;
}

/// Two variants of one result are shown as that result.
std::vector<report::ResultFolder> pages_of(const report::ResultFolder& a, const report::ResultFolder& b) {
  std::error_code error;
  if (fs::equivalent(a.path, b.path, error)) return {a};
  return {a, b};
}

void write_page(const fs::path& file, const std::string& page, bool quiet) {
  run::write_whole_file(file, page);
  if (!quiet) print(fmt::format("{}: {:.1f} KB\n", scenario::shown(file), static_cast<double>(page.size()) / 1e3));
}

}  // namespace

int report_command(const ReportOptions& options) {
  try {
    std::vector<report::ResultFolder> results;
    for (const std::string& argument : options.folders)
      for (const fs::path& folder : report::result_folders_at(argument))
        results.push_back(report::read_result_folder(folder));
    const fs::path file = options.out.empty() ? results.front().path / "report.html" : fs::path{options.out};
    write_page(file, report::make_page(results), options.quiet);
    return 0;
  } catch (const report::Unreadable& error) {
    return unreadable("report", error);
  }
}

int diff_command(const DiffOptions& options) {
  try {
    const auto a = report::read_result_folder(options.a), b = report::read_result_folder(options.b);
    const report::Comparison comparison = report::compare(a, b, {options.threshold_percent});
    const auto json = report::comparison_json(comparison);
    if (!options.out.empty()) write_page(options.out, report::make_page(pages_of(a, b), json), true);
    print(options.json ? json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"
                       : report::comparison_text(comparison));
    return options.exit_code && comparison.any_change() ? results::exit_expectation_failed : 0;
  } catch (const report::Unreadable& error) {
    return unreadable("diff", error);
  }
}

}  // namespace gnomon::app
