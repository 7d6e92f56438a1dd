// SPDX-License-Identifier: Apache-2.0
// Processes of a test's own, and ways to see what happened in them.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>

#include "platform/run/signals.hpp"

#ifdef GNOMON_COVERAGE
extern "C" void __gcov_dump();
#endif

namespace gnomon::run::test {

/// Forks `body` off, with the signal handlers of a fresh program; what it returns is the exit code.
inline pid_t spawn(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  take_child_signals();
  for (const int signal : termination_signals) std::signal(signal, SIG_DFL);
  int code = 99;
  try {
    code = body();
  } catch (...) {  // 99 is no code a test expects
  }
#ifdef GNOMON_COVERAGE
  __gcov_dump();
#endif
  ::_exit(code);
}

inline int wait_status(pid_t pid) {
  int status = -1;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

/// The exit code, or 1000 + the signal.
inline int end_of(pid_t pid) {
  const int status = wait_status(pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

inline int run_alone(const std::function<int()>& body) {
  return end_of(spawn(body));
}

/// Memory that forked children share.
template <typename T>
class Shared {
 public:
  Shared() : at_(new (::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) T{}) {}
  ~Shared() { ::munmap(at_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() const { return *at_; }
  T* operator->() const { return at_; }

 private:
  T* at_;
};

/// A pipe whose write end every process forked from here on holds open, until it dies.
class Leash {
 public:
  Leash() {
    if (::pipe(ends_.data()) != 0) throw std::runtime_error{"pipe"};
  }
  ~Leash() {
    drop();
    ::close(ends_[0]);
  }
  Leash(const Leash&) = delete;
  Leash& operator=(const Leash&) = delete;

  void drop() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  void mark() const {
    if (::write(ends_[1], "x", 1) != 1) ::_exit(98);
  }
  /// Waits for a process to mark.
  bool marked() const {
    char c = 0;
    return readable() && ::read(ends_[0], &c, 1) == 1;
  }
  /// True once no process holds the other end. Gives up after ten seconds.
  bool all_dead() {
    drop();
    char c = 0;
    while (readable()) {
      if (::read(ends_[0], &c, 1) == 0) return true;
    }
    return false;
  }

 private:
  bool readable() const {
    pollfd wait{ends_[0], POLLIN, 0};
    return ::poll(&wait, 1, 10'000) == 1;
  }
  std::array<int, 2> ends_{-1, -1};
};

[[noreturn]] inline void hang() {
  while (true) ::pause();
}

inline void sleep_ms(int ms) {
  ::usleep(static_cast<useconds_t>(ms) * 1000);
}

}  // namespace gnomon::run::test
