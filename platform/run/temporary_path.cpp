// SPDX-License-Identifier: Apache-2.0
// The registry of temporary paths, and a removal that may run in a signal handler: system calls only, no
// allocation.
#include "platform/run/temporary_path.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

namespace gnomon::run {
namespace {

// A list changed by single stores, so that a signal handler finds it whole at any instant.
std::atomic<TemporaryPath*> first_temporary{nullptr};
static_assert(std::atomic<TemporaryPath*>::is_always_lock_free);

int remove_at(int folder, const char* name) noexcept;

// One pass over the folder's entries. Sets `removed` if there were any; an errno is the first failure.
int remove_entries(int fd, bool& removed) noexcept {
  alignas(dirent64) std::array<char, 2048> buffer;
  int first_error = 0;
  while (true) {
    const long got = ::syscall(SYS_getdents64, fd, buffer.data(), buffer.size());  // readdir() would allocate
    if (got < 0) return errno;
    if (got == 0) return first_error;
    for (long at = 0; at < got;) {
      const char* const record = buffer.data() + at;
      std::uint16_t length = 0;
      std::memcpy(&length, record + offsetof(dirent64, d_reclen), sizeof length);
      at += length;
      const char* const name = record + offsetof(dirent64, d_name);
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      const int error = remove_at(fd, name);
      if (error == 0) removed = true;
      if (first_error == 0) first_error = error;
    }
  }
}

int remove_at(int folder, const char* name) noexcept {
  if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;  // POSIX has EPERM for a folder, Linux EISDIR
  const int unlink_error = errno;
  const int fd = ::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOTDIR || errno == ELOOP ? unlink_error : errno;
  // A folder that shrinks while it is read may skip entries (readdir(3p)), so read again until nothing was there.
  int error = 0;
  for (bool removed = true; removed && error == 0;) {
    removed = false;
    error = remove_entries(fd, removed);
    ::lseek(fd, 0, SEEK_SET);
  }
  ::close(fd);
  if (error != 0) return error;
  return ::unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
}

std::filesystem::path free_name(const std::filesystem::path& folder) {
  static unsigned counter = 0;
  while (true) {  // a number may be taken by a process of another PID namespace, or by one that was killed
    auto path = folder / (".gnomon-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp");
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return path;
  }
}

/// Of ".gnomon-PID-N.tmp"; 0 of any other name.
pid_t owner_of(const std::string& name) noexcept {
  int pid = 0, length = 0;
  unsigned number = 0;
  if (std::sscanf(name.c_str(), ".gnomon-%9d-%9u.tmp%n", &pid, &number, &length) != 2) return 0;
  return pid > 0 && static_cast<std::size_t>(length) == name.size() ? pid : 0;
}

bool stale(const std::filesystem::path& path) {
  const pid_t owner = owner_of(path.filename().string());
  if (owner == 0 || ::kill(owner, 0) == 0 || errno != ESRCH) return false;
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  const bool kept = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return !kept;
}

}  // namespace

void remove_stale_temporaries(const std::filesystem::path& folder) noexcept try {
  std::error_code error;
  for (std::filesystem::directory_iterator at{folder, error}, end; !error && at != end; at.increment(error))
    if (stale(at->path())) remove_tree(at->path().c_str());
} catch (const std::bad_alloc&) {
  // They are for the next run.
}

int remove_tree(const char* path) noexcept {
  return remove_at(AT_FDCWD, path);
}

TemporaryPath::TemporaryPath(const std::filesystem::path& folder, unsigned made_parents)
    : path_(free_name(std::filesystem::absolute(folder))),
      parents_(path_.string()),
      made_parents_(made_parents),
      owner_(::getpid()) {
  next_ = first_temporary.load();
  first_temporary = this;
}

TemporaryPath::~TemporaryPath() {
  if (lock_ >= 0) ::close(lock_);
  std::atomic<TemporaryPath*>* link = &first_temporary;
  while (link->load() != this) link = &link->load()->next_;
  *link = next_.load();
}

void TemporaryPath::keep() noexcept {
  lock_ = ::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (lock_ >= 0) ::flock(lock_, LOCK_EX | LOCK_NB);
}

void TemporaryPath::remove() noexcept {
  if (::getpid() != owner_) return;
  const int saved_errno = errno;
  remove_tree(path_.c_str());
  for (; made_parents_ > 0; --made_parents_) {
    char* const slash = std::strrchr(parents_.data(), '/');
    if (slash == nullptr) break;
    *slash = '\0';
    ::rmdir(parents_.c_str());  // fails if somebody else has put something there, as it should
  }
  errno = saved_errno;
}

void remove_all_temporary_paths() noexcept {
  for (TemporaryPath* each = first_temporary; each != nullptr; each = each->next_) each->remove();
}

}  // namespace gnomon::run
