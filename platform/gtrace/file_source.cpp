// SPDX-License-Identifier: Apache-2.0
// open and pread.
#include "platform/gtrace/file_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace gnomon::gtrace {
namespace {

[[noreturn]] void fail(int error) {
  throw std::system_error{error, std::generic_category(), "cannot read"};
}

}  // namespace

FileSource::FileSource(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) fail(errno);
  struct stat about {};
  const int error = ::fstat(fd, &about) != 0 ? errno
                    : S_ISREG(about.st_mode) ? 0
                    : S_ISDIR(about.st_mode) ? EISDIR
                                             : ESPIPE;
  if (error != 0) {
    ::close(fd);
    fail(error);
  }
  fd_ = fd;
  size_ = static_cast<std::uint64_t>(about.st_size);
}

FileSource::~FileSource() {
  ::close(fd_);
}

void FileSource::read(std::uint64_t offset, std::span<char> into) {
  while (!into.empty()) {
    const ssize_t size = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) fail(size < 0 ? errno : EIO);
    into = into.subspan(static_cast<std::size_t>(size));
    offset += static_cast<std::uint64_t>(size);
  }
}

}  // namespace gnomon::gtrace
