// SPDX-License-Identifier: Apache-2.0
// A file that is there whole or not at all.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "platform/run/file_operations.hpp"
#include "platform/run/temporary_path.hpp"

namespace gnomon::run {

/// Written under a temporary name in the same folder; commit() gives it its name. Until then, and after any
/// failure, what was there before is untouched. Everything throws IoError. A symbolic link is followed; a device, a
/// pipe or something of /proc (/dev/stdout) is appended to at once.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path, FaultHook faults = {});
  ~AtomicFile();  ///< not committed: the temporary is removed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);  ///< buffered

  /// Once, and last. The bytes are on the disk before the name points at them.
  void commit();

 private:
  void flush();

  FileOperations files_;
  std::filesystem::path path_;  // what a symbolic link led to
  std::optional<TemporaryPath> temporary_;
  int fd_ = -1;
  std::string buffer_;
};

void write_whole_file(const std::filesystem::path& path, std::string_view contents, FaultHook faults = {});

}  // namespace gnomon::run
