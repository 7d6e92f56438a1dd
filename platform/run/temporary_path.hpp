// SPDX-License-Identifier: Apache-2.0
// Paths that must not outlive the process, known to the signal path as well.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <string>

namespace gnomon::run {

/// Removes a file, or a folder with all it holds; follows no symbolic links. 0 or an errno; nothing there is 0.
/// Async-signal-safe.
int remove_tree(const char* path) noexcept;

/// Removes what runs that were killed (SIGKILL, a power cut) left in `folder`: temporaries by their name whose
/// process is gone and which nobody keeps, see TemporaryPath::keep(). What cannot be removed stays.
void remove_stale_temporaries(const std::filesystem::path& folder) noexcept;

/// A temporary file or folder. While one of these lives, remove_all_temporary_paths() removes what is there.
/// Belongs to the process that made it: in a forked child it does nothing. One thread uses it.
class TemporaryPath {
 public:
  /// A free name in `folder`, "absolute folder/.gnomon-PID-N.tmp". Creates nothing. The first `made_parents`
  /// folders above it were made for its sake, and go with it if they are empty.
  explicit TemporaryPath(const std::filesystem::path& folder, unsigned made_parents = 0);
  ~TemporaryPath();  ///< removes nothing
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Async-signal-safe, and safe to repeat.
  void remove() noexcept;

  /// It is there now: locks it for this process and its children, so that those of another PID namespace, on a
  /// volume they share, do not take it for stale. Nothing happens where the file system has no locks.
  void keep() noexcept;

 private:
  friend void remove_all_temporary_paths() noexcept;

  const std::filesystem::path path_;
  std::string parents_;  // remove() cuts it shorter and shorter: a copy could not be made in a signal handler
  unsigned made_parents_;
  const pid_t owner_;
  int lock_ = -1;
  std::atomic<TemporaryPath*> next_{nullptr};
};

/// Async-signal-safe.
void remove_all_temporary_paths() noexcept;

}  // namespace gnomon::run
