// SPDX-License-Identifier: Apache-2.0
// A result folder that is there whole or not at all.
#pragma once

#include <filesystem>
#include <optional>
#include <stdexcept>

#include "platform/run/file_operations.hpp"
#include "platform/run/temporary_path.hpp"

namespace gnomon::run {

/// The file by which a folder is known to hold results, and may be replaced.
inline constexpr auto result_marker = "summary.json";

/// The target is there and no result folder: bad usage (exit 2), nothing was created.
class OutputRefused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What killed runs left beside the target is removed first. Built under a temporary name beside the target;
/// commit() swaps it in place and removes what was there. Until then the target is untouched. A target may be
/// absent, empty, or hold a summary.json; a symbolic link to one is followed. Throws IoError, and OutputRefused.
class OutputFolder {
 public:
  explicit OutputFolder(const std::filesystem::path& target, FaultHook faults = {});
  ~OutputFolder();  ///< not committed: the temporary goes, and so do the parents that were made for it
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where to write; absolute. The files' own bytes are their writers' to sync.
  const std::filesystem::path& path() const { return temporary_->path(); }

  /// Once, and last. Refuses if the target stopped being a result folder in the meantime. If only the old results
  /// could not be removed, throws with the new ones in place.
  void commit();

 private:
  bool target_exists() const;
  void swap_in();

  FileOperations files_;
  std::filesystem::path target_;
  std::optional<TemporaryPath> temporary_;
};

}  // namespace gnomon::run
