// SPDX-License-Identifier: Apache-2.0
// Signals to the supervisor, and its death.
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <vector>

#include "platform/run/supervisor.hpp"
#include "tests/unit/run/process_fixture.hpp"

using namespace gnomon::run;
using namespace gnomon::run::test;
using Kind = Outcome::Kind;

namespace {

std::vector<Job> hanging_jobs(std::size_t n) {
  return std::vector<Job>(n, {"hangs", [](Channel&) -> int { hang(); }});
}

// As the program does: the exit code of a run in which every job must have been cancelled by `signal`.
int cancelled_exit(const Supervision& supervision, int signal) {
  const bool all = std::all_of(supervision.outcomes.begin(), supervision.outcomes.end(), [&](const Outcome& o) {
    return o.kind == Kind::cancelled && o.signal == signal && o.exit_code == -1 &&
           o.message == "cancelled by " + describe_signal(signal);
  });
  return all ? exit_status_of_signal(supervision.signal) : 1;
}

}  // namespace

TEST_CASE("a termination signal kills what runs, starts no more, and is reported", "[run][supervisor]") {
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const bool whole_group = GENERATE(false, true);  // as Ctrl-C and `timeout` do
  Leash leash;
  const int end = run_alone([&] {
    ::setpgid(0, 0);
    std::vector<std::size_t> finished;
    const Options options{.jobs = 2,
                          .on_started =
                              [&](std::size_t job) {
                                if (job == 1) ::kill(whole_group ? 0 : ::getpid(), signal);
                              },
                          .on_finished = [&](std::size_t job, const Outcome&) { finished.push_back(job); }};
    const auto supervision = supervise(hanging_jobs(5), options);
    std::sort(finished.begin(), finished.end());
    if (finished != std::vector<std::size_t>{0, 1, 2, 3, 4}) return 2;
    if (supervision.outcomes[1].wall_s <= 0 || supervision.outcomes[2].wall_s > 0) return 3;
    return cancelled_exit(supervision, signal);
  });
  CHECK(end == 128 + signal);
  CHECK(leash.all_dead());
}

TEST_CASE("what ended before the signal keeps its outcome", "[run][supervisor]") {
  const int end = run_alone([] {
    std::vector<Job> jobs = hanging_jobs(3);
    jobs[0].body = [](Channel& channel) {
      channel.result("kept");
      return 4;
    };
    const Options options{.jobs = 1, .on_started = [](std::size_t job) {
                            if (job == 1) std::raise(SIGTERM);
                          }};
    const auto outcomes = supervise(jobs, options).outcomes;
    return outcomes[0].kind == Kind::done && outcomes[0].result == "kept" && outcomes[0].exit_code == 4 &&
                   outcomes[1].kind == Kind::cancelled && outcomes[2].kind == Kind::cancelled
               ? 0
               : 1;
  });
  CHECK(end == 0);
}

TEST_CASE("a signal with the last job's end is not lost", "[run][supervisor]") {
  const int end = run_alone([] {
    const Options options{.on_finished = [](std::size_t, const Outcome&) { std::raise(SIGINT); }};
    return supervise({{"ends", [](Channel&) { return 0; }}}, options).signal;
  });
  CHECK(end == SIGINT);
}

TEST_CASE("a hangup that nohup has ignored cancels nothing", "[run][supervisor]") {
  const int end = run_alone([] {
    std::signal(SIGHUP, SIG_IGN);
    const Options options{.on_started = [](std::size_t) { std::raise(SIGHUP); }};
    const auto supervision = supervise({{"ends", [](Channel&) { return 0; }}}, options);
    return supervision.signal == 0 && supervision.outcomes[0].kind == Kind::done ? 0 : 1;
  });
  CHECK(end == 0);
}

TEST_CASE("children do not outlive a supervisor that is killed", "[run][supervisor]") {
  Leash leash;
  const pid_t supervisor = spawn([&] {
    std::vector<Job> jobs(2, {"hangs", [&](Channel&) -> int {
                                leash.mark();
                                hang();
                              }});
    supervise(jobs, {.jobs = 2});
    return 0;
  });
  REQUIRE(leash.marked());
  REQUIRE(leash.marked());
  ::kill(supervisor, SIGKILL);
  CHECK(end_of(supervisor) == 1000 + SIGKILL);
  CHECK(leash.all_dead());
}

TEST_CASE("the caller's handlers and signal mask come back", "[run][supervisor]") {
  const int end = run_alone([] {
    std::signal(SIGINT, [](int) { ::_exit(42); });
    std::signal(SIGCHLD, SIG_IGN);
    sigset_t before, after;
    ::sigprocmask(SIG_BLOCK, nullptr, &before);
    const auto supervision = supervise({{"ends", [](Channel&) { return 7; }}}, {});
    if (supervision.outcomes[0].exit_code != 7) return 1;
    ::sigprocmask(SIG_BLOCK, nullptr, &after);
    for (int signal = 1; signal < NSIG; ++signal)
      if (sigismember(&before, signal) != sigismember(&after, signal)) return 2;
    struct sigaction chld {};
    ::sigaction(SIGCHLD, nullptr, &chld);
    if (chld.sa_handler != SIG_IGN) return 3;
    std::raise(SIGINT);
    return 4;
  });
  CHECK(end == 42);
}

TEST_CASE("a child has default handlers, whatever its parent had", "[run][supervisor]") {
  const int end = run_alone([] {
    for (const int signal : {SIGSEGV, SIGPIPE, SIGUSR1}) std::signal(signal, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    std::vector<Job> jobs;
    for (const int signal : {SIGSEGV, SIGPIPE, SIGUSR1})
      jobs.push_back({"raises", [signal](Channel&) { return std::raise(signal); }});
    ::sigdelset(&all, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    const auto outcomes = supervise(jobs, {}).outcomes;
    return outcomes[0].signal == SIGSEGV && outcomes[1].signal == SIGPIPE && outcomes[2].signal == SIGUSR1 ? 0 : 1;
  });
  CHECK(end == 0);
}
