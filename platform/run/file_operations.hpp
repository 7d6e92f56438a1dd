// SPDX-License-Identifier: Apache-2.0
// Every system call of those who write results: checked, retried after EINTR, and the one place a test makes fail.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <system_error>

namespace gnomon::run {

enum class FileOperation : std::uint8_t { open, write, sync, close, rename, make_folder, remove };

std::string_view name_of(FileOperation operation);

/// An output could not be written: the caller exits 74 (EX_IOERR). what() is "write out/summary.json: No space left
/// on device".
class IoError : public std::system_error {
 public:
  IoError(FileOperation operation, const std::filesystem::path& path, int error);
  FileOperation operation() const { return operation_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  FileOperation operation_;
  std::filesystem::path path_;
};

inline constexpr int exit_output_failed = 74;

/// For tests: called before each operation; an errno other than 0 makes it fail so. A write that fails has written
/// half of its bytes, as on a full disk; a close that fails has closed.
using FaultHook = std::function<int(FileOperation)>;

/// Throws IoError.
class FileOperations {
 public:
  explicit FileOperations(FaultHook faults = {}) : faults_(std::move(faults)) {}

  int open(const std::filesystem::path& path, int flags, unsigned mode);
  void write(int fd, std::string_view bytes, const std::filesystem::path& path);  ///< all of them
  void sync(int fd, const std::filesystem::path& path);
  void sync_folder(const std::filesystem::path& path);
  void close(int fd, const std::filesystem::path& path);
  void rename(const std::filesystem::path& from, const std::filesystem::path& to);
  /// Swaps two paths in one step. False where the file system cannot.
  [[nodiscard]] bool exchange(const std::filesystem::path& a, const std::filesystem::path& b);
  void make_folder(const std::filesystem::path& path);
  void remove_tree(const std::filesystem::path& path);

 private:
  int fault(FileOperation operation) const { return faults_ ? faults_(operation) : 0; }
  template <typename Call>
  auto attempt(FileOperation operation, const std::filesystem::path& path, Call call);

  FaultHook faults_;
};

}  // namespace gnomon::run
