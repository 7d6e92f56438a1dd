// SPDX-License-Identifier: Apache-2.0
// A folder of results, read back. Nothing in it is believed before it has been looked at.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon::report {

/// A folder that is absent, damaged, foreign, or written by another version: what is wrong and where, one sentence.
class Unreadable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One value of a configuration: the line PATH = VALUE  # ORIGIN of a config.toml, with its table's name.
struct ConfigLine {
  std::string path, value, origin;
  bool operator==(const ConfigLine&) const = default;
};
std::vector<ConfigLine> config_lines(std::string_view toml);

struct VariantFiles {
  std::string name;
  std::string status;
  std::filesystem::path folder;            ///< of its first run
  nlohmann::json series;                   ///< series.json of the first run; null where the variant did not end
  nlohmann::json latency_ns, exposure_ns;  ///< [[ns, count], ...] over all runs
  std::vector<ConfigLine> config;          ///< what differs from the scenario's own
  std::string findings;                    ///< of the first run that has some
};

struct ResultFolder {
  std::filesystem::path path;
  nlohmann::ordered_json summary;  ///< valid: every key of the contract is there, with its type
  std::vector<ConfigLine> config;
  std::vector<VariantFiles> variants;  ///< those that ran
  std::optional<std::string> only;     ///< the path named a variant's folder: this one

  const nlohmann::ordered_json* metrics(std::string_view variant) const;
};

/// `path` is a result folder, or the folder of a variant in one. Throws Unreadable.
ResultFolder read_result_folder(const std::filesystem::path& path);

/// `path` itself if it is a result folder; else the result folders directly in it, sorted. Throws Unreadable where
/// there are none.
std::vector<std::filesystem::path> result_folders_at(const std::filesystem::path& path);

}  // namespace gnomon::report
