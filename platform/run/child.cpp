// SPDX-License-Identifier: Apache-2.0
// A job's process, from fork to exit.
#include "platform/run/child.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

#include "platform/run/signals.hpp"

#ifdef GNOMON_COVERAGE
extern "C" void __gcov_dump();
#endif

namespace gnomon::run {

Ending run_guarded(const Job& job, Channel& channel) {
  try {
    const int code = job.body(channel);
    if (code >= 0 && code <= 255) return {code, {}};
    return {uncaught_exception_exit, "returned " + std::to_string(code) + ", which is no exit code"};
  } catch (const std::bad_alloc&) {
    return {out_of_memory_exit, "out of memory"};
  } catch (const std::exception& error) {
    return {uncaught_exception_exit, error.what()};
  } catch (...) {
    return {uncaught_exception_exit, "an exception that is no std::exception"};
  }
}

void run_as_child(const Job& job, int write_end, pid_t parent) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) std::_Exit(exit_status_of_signal(SIGKILL));  // it died before the line above
  take_child_signals();

  int exit_code = uncaught_exception_exit;
  try {
    PipeChannel channel{write_end};
    const Ending ending = run_guarded(job, channel);
    exit_code = ending.exit_code;
    if (!ending.message.empty()) channel.failure(ending.message);
  } catch (const std::exception&) {
    // The pipe is gone; the exit code still tells.
  }
  std::cout.flush();
  std::fflush(nullptr);
#ifdef GNOMON_COVERAGE
  __gcov_dump();
#endif
  std::_Exit(exit_code);
}

}  // namespace gnomon::run
