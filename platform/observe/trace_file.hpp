// SPDX-License-Identifier: Apache-2.0
// A trace file that is there whole or not at all. Nothing throws for a failed write.
#pragma once

#include <filesystem>
#include <string_view>
#include <system_error>

namespace gnomon::observe {

/// Written as `<path>.part`; close() gives it its name. The first failure is kept, what follows is dropped, and
/// close() returns it. Unbuffered: callers write what they collected.
class TraceFile {
 public:
  explicit TraceFile(std::filesystem::path path);
  ~TraceFile();  ///< without close(): what was written is removed
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  void write(std::string_view bytes);
  std::error_code close();
  /// A failure of what is to be written, as if the file had failed.
  void fail(std::error_code error);
  bool failed() const { return static_cast<bool>(error_); }

 private:
  std::filesystem::path path_, part_;
  std::error_code error_;
  int file_ = -1;
};

}  // namespace gnomon::observe
