// SPDX-License-Identifier: Apache-2.0
// Temporary name, checked writes, fsync, rename, fsync of the folder.
#include "platform/run/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace gnomon::run {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t buffer_size = 64 * 1024;
constexpr int longest_link_chain = 40;  // the kernel's own limit, MAXSYMLINKS

// Where the links lead: up to, not through, those of /proc, which name open files rather than paths.
fs::path follow_links(const fs::path& path) {
  fs::path at = path;
  std::error_code error;
  for (int i = 0; i < longest_link_chain; ++i) {
    const fs::path folder = fs::weakly_canonical(fs::absolute(at).parent_path(), error);
    if (error) throw IoError{FileOperation::open, path, error.value()};
    at = folder / at.filename();
    if (folder.string().starts_with("/proc/") || !fs::is_symlink(fs::symlink_status(at, error))) return at;
    at = folder / fs::read_symlink(at, error);
    if (error) throw IoError{FileOperation::open, path, error.value()};
  }
  throw IoError{FileOperation::open, path, ELOOP};
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path, FaultHook faults)
    : files_(std::move(faults)), path_(follow_links(path)) {
  struct stat there {};
  const bool exists = ::stat(path_.c_str(), &there) == 0;
  if (exists && S_ISDIR(there.st_mode)) throw IoError{FileOperation::open, path_, EISDIR};
  if (path_.string().starts_with("/proc/") || (exists && !S_ISREG(there.st_mode))) {
    fd_ = files_.open(path_, O_WRONLY | O_APPEND | O_NOCTTY, 0);
    return;
  }
  remove_stale_temporaries(path_.parent_path());
  temporary_.emplace(path_.parent_path());
  fd_ = files_.open(temporary_->path(), O_WRONLY | O_CREAT | O_EXCL, 0666);
  temporary_->keep();
  if (exists) static_cast<void>(::fchmod(fd_, there.st_mode & 07777));  // as far as we may
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (temporary_) temporary_->remove();
}

void AtomicFile::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > buffer_size) flush();
  if (bytes.size() > buffer_size) {
    files_.write(fd_, bytes, path_);
  } else {
    buffer_.append(bytes);
  }
}

void AtomicFile::flush() {
  files_.write(fd_, buffer_, path_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  if (temporary_) files_.sync(fd_, path_);
  files_.close(std::exchange(fd_, -1), path_);
  if (!temporary_) return;
  files_.rename(temporary_->path(), path_);
  temporary_.reset();
  files_.sync_folder(path_.parent_path());
}

void write_whole_file(const fs::path& path, std::string_view contents, FaultHook faults) {
  AtomicFile file{path, std::move(faults)};
  file.write(contents);
  file.commit();
}

}  // namespace gnomon::run
