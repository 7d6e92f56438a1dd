// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/trace_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace gnomon::observe {

namespace {
std::error_code last_error() {
  return {errno, std::generic_category()};
}
}  // namespace

TraceFile::TraceFile(std::filesystem::path path) : path_(std::move(path)), part_(path_) {
  part_ += ".part";
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) error_ = last_error();
}

TraceFile::~TraceFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(part_.c_str());
}

void TraceFile::fail(std::error_code error) {
  if (!error_) error_ = error;
}

void TraceFile::write(std::string_view bytes) {
  while (!error_ && !bytes.empty()) {
    const ssize_t done = ::write(file_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail(last_error());
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
}

std::error_code TraceFile::close() {
  if (file_ < 0) return error_;
  if (!error_ && ::fsync(file_) != 0 && errno != EINVAL && errno != EROFS) error_ = last_error();
  if (::close(std::exchange(file_, -1)) != 0) fail(last_error());
  if (!error_ && std::rename(part_.c_str(), path_.c_str()) != 0) error_ = last_error();
  if (error_) ::unlink(part_.c_str());
  return error_;
}

}  // namespace gnomon::observe
