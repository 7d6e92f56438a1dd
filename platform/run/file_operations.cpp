// SPDX-License-Identifier: Apache-2.0
// Checked system calls.
#include "platform/run/file_operations.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "platform/run/temporary_path.hpp"

namespace gnomon::run {
namespace fs = std::filesystem;

std::string_view name_of(FileOperation operation) {
  switch (operation) {
    case FileOperation::open: return "open";
    case FileOperation::write: return "write";
    case FileOperation::sync: return "sync";
    case FileOperation::close: return "close";
    case FileOperation::rename: return "rename";
    case FileOperation::make_folder: return "create folder";
    case FileOperation::remove: return "remove";
  }
  __builtin_unreachable();
}

IoError::IoError(FileOperation operation, const fs::path& path, int error)
    : std::system_error(error, std::generic_category(), std::string{name_of(operation)} + " " + path.string()),
      operation_(operation),
      path_(path) {}

// Calls until it succeeds or fails for good; -1 with errno is failure, as everywhere in POSIX.
template <typename Call>
auto FileOperations::attempt(FileOperation operation, const fs::path& path, Call call) {
  while (true) {
    int error = fault(operation);
    if (error == 0) {
      const auto result = call();
      if (result >= 0) return result;
      error = errno;
    }
    if (error != EINTR) throw IoError{operation, path, error};
  }
}

int FileOperations::open(const fs::path& path, int flags, unsigned mode) {
  return attempt(FileOperation::open, path, [&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
}

void FileOperations::write(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    int error = fault(FileOperation::write);
    const std::size_t size = error == 0 ? bytes.size() : bytes.size() / 2;
    const ssize_t written = ::write(fd, bytes.data(), size);
    if (written < 0) error = errno;
    if (error != 0 && error != EINTR) throw IoError{FileOperation::write, path, error};
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void FileOperations::sync(int fd, const fs::path& path) {
  attempt(FileOperation::sync, path, [fd] { return ::fsync(fd); });
}

void FileOperations::sync_folder(const fs::path& path) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY, 0);
  try {
    sync(fd, path);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
}

// Never retried: on Linux the descriptor is gone whatever close() returns, and EINTR says nothing was lost.
void FileOperations::close(int fd, const fs::path& path) {
  const int injected = fault(FileOperation::close);
  int error = ::close(fd) == 0 ? injected : errno;
  if (error == EINTR) error = 0;
  if (error != 0) throw IoError{FileOperation::close, path, error};
}

void FileOperations::rename(const fs::path& from, const fs::path& to) {
  attempt(FileOperation::rename, to, [&] { return ::rename(from.c_str(), to.c_str()); });
}

bool FileOperations::exchange(const fs::path& a, const fs::path& b) {
  try {
    attempt(FileOperation::rename, b,
            [&] { return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE); });
  } catch (const IoError& error) {
    // renameat2(2): EINVAL is a file system without the flag, ENOSYS a kernel without the call.
    if (error.code().value() == EINVAL || error.code().value() == ENOSYS) return false;
    throw;
  }
  return true;
}

void FileOperations::make_folder(const fs::path& path) {
  attempt(FileOperation::make_folder, path, [&] { return ::mkdir(path.c_str(), 0777); });
}

void FileOperations::remove_tree(const fs::path& path) {
  attempt(FileOperation::remove, path, [&] {
    const int error = run::remove_tree(path.c_str());
    errno = error;
    return error == 0 ? 0 : -1;
  });
}

}  // namespace gnomon::run
