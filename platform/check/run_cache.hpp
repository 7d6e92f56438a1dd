// SPDX-License-Identifier: Apache-2.0
// Results of runs that need not be simulated again, by check::input_hash.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "platform/run/supervisor.hpp"

namespace gnomon::check {

/// A folder with a file a run. Whatever is damaged, foreign or cannot be read counts as absent; what cannot be
/// written is not kept. Several programs may share the folder.
class RunCache {
 public:
  /// $XDG_CACHE_HOME/gnomon/runs, else ~/.cache/gnomon/runs; empty where neither is set.
  static std::filesystem::path default_folder();

  explicit RunCache(std::filesystem::path folder, std::size_t most_entries = 4096);

  std::optional<run::Outcome> find(const std::string& hash) const;
  /// Only of a job that handed over a result: what crashed, ran out of memory or was killed is worth another try.
  void keep(const std::string& hash, const run::Outcome& outcome) const;
  /// Removes the entries that have not been used for longest until `most_entries` are left.
  void trim() const;

 private:
  std::filesystem::path folder_;
  std::size_t most_entries_;
};

}  // namespace gnomon::check
