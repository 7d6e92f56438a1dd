// SPDX-License-Identifier: Apache-2.0
// A child process and a pipe from it.
#include "platform/trace_import/trace_cmd.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

extern char** environ;

namespace gnomon::trace_import {
namespace {

/// A file descriptor, closed once.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void close() {
    if (fd_ > 2) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

std::uint64_t push_all(int fd, Pipe& into) {
  std::array<char, 256 * 1024> buffer;
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw InputError{std::string{"cannot read: "} + std::strerror(errno)};
    if (size == 0) return total;
    total += static_cast<std::uint64_t>(size);
    into.push({buffer.data(), static_cast<std::size_t>(size)});
  }
}

/// A child that is waited for, and killed before where its output is no longer wanted.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
};

}  // namespace

void report_trace_dat(const std::string& path, Pipe& into) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw InputError{std::string{"cannot make a pipe: "} + std::strerror(errno)};
  Descriptor from{ends[0]}, to{ends[1]};
  // -t: nanoseconds; -N: no plugins, which print events in formats of their own. An absolute path is no option.
  std::string file = std::filesystem::absolute(path).string();
  std::string words[] = {"trace-cmd", "report", "-t", "-N", "-i", file};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(),
                       words[4].data(), words[5].data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, "trace-cmd", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT)
    throw InputError{"a trace.dat is read by way of trace-cmd, which is not installed (Debian package trace-cmd)"};
  if (error != 0) throw InputError{std::string{"cannot start trace-cmd: "} + std::strerror(error)};
  Child child{pid};
  to.close();
  static_cast<void>(push_all(from.get(), into));
  const int status = child.wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw InputError{"trace-cmd report failed on this file"};
}

std::uint64_t read_file(const std::string& path, Pipe& into) {
  Descriptor fd{path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  if (fd.get() < 0) throw InputError{std::string{"cannot read: "} + std::strerror(errno)};
  return push_all(fd.get(), into);
}

}  // namespace gnomon::trace_import
