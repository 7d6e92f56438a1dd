// SPDX-License-Identifier: Apache-2.0
// One thread, one event loop: pipes, signals and a tick.
#include "platform/run/supervisor.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "platform/run/in_process.hpp"
#include "platform/run/resource_use.hpp"
#include "platform/run/signals.hpp"

namespace gnomon::run {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Kind = Outcome::Kind;

constexpr std::chrono::milliseconds tick{50};
constexpr std::chrono::seconds longest_tick{1};  // beyond this the supervisor was stopped, not slow
constexpr std::size_t read_size = 64 * 1024;     // a pipe's default capacity
constexpr auto garbled_pipe = "wrote garbage on its pipe";

std::string describe(std::chrono::milliseconds span) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g s", std::chrono::duration<double>(span).count());
  return text.data();
}

/// A job's process while it lives.
struct Process {
  Process(asio::io_context& io, std::size_t job, pid_t id, int read_end, Clock::time_point start)
      : index(job), pid(id), pipe(io, read_end), started(start) {}

  std::size_t index;
  pid_t pid;
  asio::posix::stream_descriptor pipe;
  FrameDecoder inbox;
  Progress progress;
  Clock::time_point started;
  Clock::duration age{0};      // of supervised time
  Clock::duration silence{0};  // of supervised time
  std::optional<Kind> killed_as;
  std::string message;   // why it was killed
  bool garbled = false;  // what it wrote is not believed
};

class Supervisor {
 public:
  Supervisor(const std::vector<Job>& jobs, const Options& options);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  Supervision run();

 private:
  void start_more();
  void start(std::size_t index);
  void listen(const std::shared_ptr<Process>& process);
  void read_pipe(Process& process, std::size_t at_most);
  void reap_ended();
  void reap(const std::shared_ptr<Process>& process);
  void describe_end(const Process& process, int status, Outcome& outcome) const;
  void finish(std::size_t index, Outcome outcome);
  void await_signal();
  void await_tick();
  void check_limits(Clock::duration elapsed);
  static void kill(Process& process, Kind kind, std::string message);
  void cancel(int signal);

  const std::vector<Job>& jobs_;
  const Options& options_;
  std::optional<SignalsBlocked> leaving_;  // while Asio's handlers give way to those from before
  SignalHandlersKept handlers_;            // restored after Asio, which leaves the defaults behind
  asio::io_context io_{1};
  asio::signal_set signals_{io_};
  asio::steady_timer timer_{io_};
  Clock::time_point last_tick_ = Clock::now();
  std::vector<std::shared_ptr<Process>> running_;
  std::size_t next_ = 0;
  std::size_t finished_ = 0;
  Supervision supervision_;
  std::array<char, read_size> buffer_{};
};

Supervisor::Supervisor(const std::vector<Job>& jobs, const Options& options) : jobs_(jobs), options_(options) {
  supervision_.outcomes.resize(jobs.size());
  signals_.add(SIGCHLD);
  for (const int signal : termination_signals)
    if (signal != SIGHUP || !handlers_.was_ignored(SIGHUP)) signals_.add(signal);
}

Supervisor::~Supervisor() {
  if (!leaving_) leaving_.emplace();
  for (const auto& process : running_) {  // only after a callback threw
    ::kill(process->pid, SIGKILL);
    while (::waitpid(process->pid, nullptr, 0) < 0 && errno == EINTR) continue;
  }
}

Supervision Supervisor::run() {
  await_signal();
  await_tick();
  start_more();
  while (finished_ < jobs_.size()) io_.run_one();
  leaving_.emplace();
  io_.poll();  // a termination signal may have come with the last job's end; the next is its old handler's
  return std::move(supervision_);
}

void Supervisor::start_more() {
  while (next_ < jobs_.size() && running_.size() < std::max(1u, options_.jobs)) start(next_++);
}

void Supervisor::start(std::size_t index) {
  const auto fail = [&](const char* call) {
    Outcome outcome;
    outcome.kind = Kind::crashed;
    outcome.message = std::string{"could not start: "} + call + ": " + std::strerror(errno);
    finish(index, std::move(outcome));
  };
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail("pipe");
  std::cout.flush();  // what is buffered now would be written once by each process
  std::fflush(nullptr);

  const auto started = Clock::now();
  const pid_t parent = ::getpid();
  pid_t pid = -1;
  {
    const SignalsBlocked blocked;  // until the child no longer has Asio's handlers, which write to our pipe
    io_.notify_fork(asio::io_context::fork_prepare);
    pid = ::fork();
    if (pid == 0) {
      io_.notify_fork(asio::io_context::fork_child);
      for (const auto& other : running_) ::close(other->pipe.native_handle());
      ::close(ends[0]);
      run_as_child(jobs_[index], ends[1], parent);
    }
    const int error = errno;
    io_.notify_fork(asio::io_context::fork_parent);
    errno = error;
  }
  if (pid < 0) {
    const int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    errno = error;
    return fail("fork");
  }
  ::close(ends[1]);
  const auto process = running_.emplace_back(std::make_shared<Process>(io_, index, pid, ends[0], started));
  process->pipe.non_blocking(true);
  listen(process);
  if (options_.on_started) options_.on_started(index);
}

// Waits for bytes rather than for a read, so that no byte sits in a completed read when the process is reaped.
void Supervisor::listen(const std::shared_ptr<Process>& process) {
  process->pipe.async_wait(asio::posix::stream_descriptor::wait_read, [this, process](const error_code& error) {
    if (error || !process->pipe.is_open()) return;
    read_pipe(*process, 16 * read_size);  // then the others' turn
    if (process->garbled) kill(*process, Kind::crashed, garbled_pipe);
    if (process->pipe.is_open()) listen(process);
  });
}

void Supervisor::read_pipe(Process& process, std::size_t at_most) {
  std::size_t total = 0;
  while (process.pipe.is_open() && total < at_most) {
    error_code error;
    const std::size_t n = process.pipe.read_some(asio::buffer(buffer_), error);
    if (error == asio::error::would_block) break;
    if (error) {
      process.pipe.close(error);
      break;
    }
    total += n;
    process.silence = {};
    if (!process.inbox.feed({buffer_.data(), n})) {
      process.pipe.close(error);
      process.garbled = true;
    }
  }
  if (const auto progress = process.inbox.take_progress()) {
    process.progress = *progress;
    if (options_.on_progress) options_.on_progress(process.index, *progress);
  }
}

void Supervisor::reap_ended() {
  for (const auto& process : std::vector{running_}) reap(process);
  start_more();
}

void Supervisor::reap(const std::shared_ptr<Process>& process) {
  int status = 0;
  rusage usage{};
  const pid_t got = ::wait4(process->pid, &status, WNOHANG, &usage);
  if (got == 0 || (got < 0 && errno == EINTR)) return;
  std::erase(running_, process);  // from here on the number may be somebody else's
  read_pipe(*process, ~std::size_t{0});
  if (process->pipe.is_open()) process->pipe.close();

  Outcome outcome;
  outcome.wall_s = std::chrono::duration<double>(Clock::now() - process->started).count();
  outcome.cpu_s = cpu_seconds(usage);
  outcome.peak_rss_bytes = peak_rss_bytes(usage);
  outcome.progress = process->progress;
  outcome.message = process->inbox.take_failure();
  outcome.result = process->inbox.take_result();
  if (got < 0) {
    outcome.kind = Kind::crashed;
    outcome.message = "lost: somebody else reaped it";
  } else {
    describe_end(*process, status, outcome);
  }
  finish(process->index, std::move(outcome));
}

void Supervisor::describe_end(const Process& process, int status, Outcome& outcome) const {
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  if (process.garbled) {
    outcome.kind = Kind::crashed;
    outcome.message = garbled_pipe;
  } else if (WIFEXITED(status)) {
    outcome.exit_code = WEXITSTATUS(status);
  } else if (process.killed_as && outcome.signal == SIGKILL) {
    outcome.kind = *process.killed_as;
    outcome.message = process.message;
    if (outcome.kind == Kind::cancelled) outcome.signal = supervision_.signal;
  } else {
    outcome.kind = Kind::crashed;
    outcome.message = "killed by " + describe_signal(outcome.signal);
  }
}

void Supervisor::finish(std::size_t index, Outcome outcome) {
  outcome.name = jobs_[index].name;
  ++finished_;
  supervision_.outcomes[index] = std::move(outcome);
  if (options_.on_finished) options_.on_finished(index, supervision_.outcomes[index]);
}

void Supervisor::await_signal() {
  signals_.async_wait([this](const error_code& error, int signal) {
    if (error) return;
    await_signal();
    if (signal == SIGCHLD) {
      reap_ended();
    } else {
      cancel(signal);
    }
  });
}

void Supervisor::await_tick() {
  timer_.expires_after(tick);
  timer_.async_wait([this](const error_code& error) {
    if (error) return;
    const auto now = Clock::now();
    check_limits(std::min<Clock::duration>(now - std::exchange(last_tick_, now), longest_tick));
    await_tick();
  });
}

void Supervisor::check_limits(Clock::duration elapsed) {
  for (const auto& process : std::vector{running_}) {
    process->age += elapsed;
    process->silence += elapsed;
    read_pipe(*process, 16 * read_size);  // what it said while we were busy is no silence
    if (process->killed_as) continue;
    if (options_.deadline.count() > 0 && process->age >= options_.deadline) {
      kill(*process, Kind::timed_out, "killed at its deadline of " + describe(options_.deadline));
    } else if (options_.stall_deadline.count() > 0 && process->silence >= options_.stall_deadline) {
      kill(*process, Kind::stalled, "killed after no progress for " + describe(options_.stall_deadline));
    }
  }
}

void Supervisor::kill(Process& process, Kind kind, std::string message) {
  if (process.killed_as) return;
  process.killed_as = kind;
  process.message = std::move(message);
  ::kill(process.pid, SIGKILL);  // not reaped yet, so the number is still its own
}

void Supervisor::cancel(int signal) {
  if (supervision_.signal != 0) return;
  supervision_.signal = signal;
  const std::string message = "cancelled by " + describe_signal(signal);
  for (const auto& process : running_) kill(*process, Kind::cancelled, message);
  while (next_ < jobs_.size()) {
    Outcome outcome;
    outcome.kind = Kind::cancelled;
    outcome.signal = signal;
    outcome.message = message;
    finish(next_++, std::move(outcome));
  }
}

}  // namespace

Supervision supervise(std::vector<Job> jobs, const Options& options) {
  if (options.in_process) return run_in_process(jobs, options);
  return Supervisor{jobs, options}.run();
}

}  // namespace gnomon::run
