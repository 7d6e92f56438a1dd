// SPDX-License-Identifier: Apache-2.0
// What runs inside a job's process.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "platform/run/channel.hpp"

namespace gnomon::run {

/// A job: `body` runs in a process of its own, and what it returns, 0..255, is the exit code.
struct Job {
  std::string name;
  std::function<int(Channel&)> body;
};

/// An exception left the body, or what it returned is no exit code.
inline constexpr int uncaught_exception_exit = 3;
/// std::bad_alloc left the body.
inline constexpr int out_of_memory_exit = 12;

struct Ending {
  int exit_code = 0;
  std::string message;  ///< empty unless the body failed to return
};

/// Runs the body and turns whatever leaves it into an exit code.
Ending run_guarded(const Job& job, Channel& channel);

/// The rest of a forked child's life. `parent` is the process that forked it, whose death is the child's as well.
/// Leaves by _Exit: atexit handlers and static destructors are the parent's.
[[noreturn]] void run_as_child(const Job& job, int write_end, pid_t parent) noexcept;

}  // namespace gnomon::run
