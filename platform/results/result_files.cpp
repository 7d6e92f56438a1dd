// SPDX-License-Identifier: Apache-2.0
#include "platform/results/result_files.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "platform/run/atomic_file.hpp"
#include "platform/run/file_operations.hpp"

namespace gnomon::results {

namespace fs = std::filesystem;

fs::path run_folder(const fs::path& root, const std::string& variant, std::uint64_t seed, std::uint64_t repeat) {
  const fs::path folder = root / variant;
  return repeat > 1 ? folder / fmt::format("seed-{}", seed) : folder;
}

void make_run_folders(const fs::path& root, const std::vector<std::string>& variants, std::uint64_t first_seed,
                      std::uint64_t repeat) {
  run::FileOperations files;
  for (const std::string& variant : variants) {
    files.make_folder(root / variant);
    if (repeat < 2) continue;
    for (std::uint64_t i = 0; i < repeat; ++i) files.make_folder(run_folder(root, variant, first_seed + i, repeat));
  }
}

namespace {

std::string findings_text(const RunRecord& record) {
  std::string text =
      fmt::format("{} verdicts of the sanitizer, the first {}:\n\n", record.verdicts, record.findings.size());
  for (const std::string& finding : record.findings) text += finding + "\n\n";
  return text;
}

void write_run(const fs::path& folder, const RunRecord& record) {
  const auto write = [&](const char* name, const std::string& text) {
    if (!text.empty()) run::write_whole_file(folder / name, text);
  };
  write("exits.txt", record.exit_table);
  for (const guest::WorkloadOutput& file : record.files) write(file.name.c_str(), file.text);
  if (record.verdicts > 0) write("findings.txt", findings_text(record));
}

}  // namespace

void write_files(const fs::path& root, const ScenarioResult& result, const scenario::ResolvedScenario& scenario) {
  for (const VariantResult& variant : result.variants) {
    if (variant.skipped()) continue;
    const auto resolved = std::find_if(scenario.variants.begin(), scenario.variants.end(),
                                       [&](const auto& v) { return v.name == variant.name; });
    if (resolved != scenario.variants.end())
      run::write_whole_file(root / variant.name / "config.toml", resolved->effective_toml);
    for (const RunRecord& record : variant.runs)
      write_run(run_folder(root, variant.name, record.seed, result.repeat), record);
  }
  run::write_whole_file(root / "config.toml", scenario.effective_toml);
  run::write_whole_file(root / "summary.json", to_json(result));
}

}  // namespace gnomon::results
