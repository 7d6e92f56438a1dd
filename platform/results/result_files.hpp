// SPDX-License-Identifier: Apache-2.0
// A folder of results, filled.
#pragma once

#include <cstdint>
#include <filesystem>

#include "platform/results/summary.hpp"
#include "platform/scenario/resolve.hpp"

namespace gnomon::results {

/// Where the files of one run go: the variant's folder, or with repeats a folder a seed in it.
std::filesystem::path run_folder(const std::filesystem::path& root, const std::string& variant, std::uint64_t seed,
                                 std::uint64_t repeat);

/// Makes the folders of the runs, before they start: traces are written into them. Throws run::IoError.
void make_run_folders(const std::filesystem::path& root, const std::vector<std::string>& variants,
                      std::uint64_t first_seed, std::uint64_t repeat);

/// summary.json (last), config.toml, and of each variant that ran config.toml and each run's exits.txt, fio.txt,
/// fio.json, fio-plus.json and, if the sanitizer found something, findings.txt. Throws run::IoError.
void write_files(const std::filesystem::path& root, const ScenarioResult& result,
                 const scenario::ResolvedScenario& scenario);

}  // namespace gnomon::results
