// SPDX-License-Identifier: Apache-2.0
// Runs jobs in parallel, each in a forked process: SystemC elaborates once a process, and a simulation that crashes
// or hangs must not take the others along.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "platform/run/channel.hpp"
#include "platform/run/child.hpp"

namespace gnomon::run {

/// How a job ended.
struct Outcome {
  enum class Kind {
    done,       ///< left by itself, with exit_code
    crashed,    ///< died of `signal`, could not be started, or wrote garbage on its pipe
    timed_out,  ///< killed at its deadline
    stalled,    ///< killed after saying nothing for the stall deadline
    cancelled,  ///< killed, or never started, because `signal` asked the program to end
  };

  std::string name;
  Kind kind = Kind::done;
  int exit_code = -1;   ///< of a job that is done, else -1
  int signal = 0;       ///< see Kind; SIGKILL for the deadlines
  std::string message;  ///< what went wrong, in words, without the name; empty if the body returned
  std::string result;   ///< whole, or empty if none arrived whole
  Progress progress;    ///< the last that was seen
  double wall_s = 0;
  double cpu_s = 0;                  ///< user and system
  std::uint64_t peak_rss_bytes = 0;  ///< getrusage's ru_maxrss; in_process, of the whole process so far
};

struct Options {
  unsigned jobs = 1;  ///< at most this many at a time; 0 counts as 1
  /// Limits on the wall time of one job; 0 is none. Time in which the supervisor itself is stopped (Ctrl-Z) does
  /// not count. They are checked 20 times a second.
  std::chrono::milliseconds deadline{0};
  std::chrono::milliseconds stall_deadline{0};  ///< without a byte from the job
  bool in_process = false;                      ///< for debuggers: no fork, one job after the other, no limits
  /// Called on the supervising thread, with the job's index.
  std::function<void(std::size_t)> on_started{};
  std::function<void(std::size_t, const Progress&)> on_progress{};
  std::function<void(std::size_t, const Outcome&)> on_finished{};  ///< once for each job, started or not
};

struct Supervision {
  std::vector<Outcome> outcomes;  ///< in the order of the jobs
  int signal = 0;                 ///< SIGINT, SIGTERM or SIGHUP if one came: exit with exit_status_of_signal()
};

/// Returns when every job has ended and is reaped. A termination signal meanwhile kills what runs and starts no
/// more. The process must have one thread, and must not reap children it did not start itself. What a callback
/// throws comes out of here, after the children are killed and reaped.
Supervision supervise(std::vector<Job> jobs, const Options& options);

}  // namespace gnomon::run
