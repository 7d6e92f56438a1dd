// SPDX-License-Identifier: Apache-2.0
// Jobs in processes of their own: how they end, and what comes back.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "platform/run/supervisor.hpp"
#include "tests/unit/run/process_fixture.hpp"

using namespace gnomon::run;
using namespace gnomon::run::test;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {

Job returns(int code) {
  return {"returns", [code](Channel&) { return code; }};
}
Job hangs() {
  return {"hangs", [](Channel&) -> int { hang(); }};
}
Outcome only(Job job, const Options& options = {}) {
  auto supervision = supervise({std::move(job)}, options);
  REQUIRE(supervision.outcomes.size() == 1);
  REQUIRE(supervision.signal == 0);
  return supervision.outcomes.front();
}
std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
}

}  // namespace

TEST_CASE("no jobs, no outcomes", "[run][supervisor]") {
  CHECK(supervise({}, {}).outcomes.empty());
}

TEST_CASE("outcomes come in the order of the jobs, not of their ends", "[run][supervisor]") {
  const Shared<std::atomic<bool>> last_has_ended;
  std::vector<Job> jobs;
  for (int i = 0; i < 8; ++i)
    jobs.push_back({"job " + std::to_string(i), [&, i](Channel& channel) {
                      while (i == 0 && !*last_has_ended) sleep_ms(1);
                      sleep_ms(5 * i);
                      channel.result(std::to_string(i * i));
                      return i;
                    }});
  std::vector<std::size_t> ended;
  const auto supervision = supervise(jobs, {.jobs = 8, .on_finished = [&](std::size_t job, const Outcome&) {
                                              ended.push_back(job);
                                              if (job == 7) *last_has_ended = true;
                                            }});
  REQUIRE(supervision.outcomes.size() == 8);
  for (int i = 0; i < 8; ++i) {
    const Outcome& outcome = supervision.outcomes[static_cast<std::size_t>(i)];
    CHECK(outcome.name == "job " + std::to_string(i));
    CHECK(outcome.kind == Kind::done);
    CHECK(outcome.exit_code == i);
    CHECK(outcome.result == std::to_string(i * i));
    CHECK(outcome.message.empty());
    CHECK(outcome.wall_s >= 0.005 * i);
  }
  CHECK(std::find(ended.begin(), ended.end(), 0) > std::find(ended.begin(), ended.end(), 7));
  std::sort(ended.begin(), ended.end());
  CHECK(ended == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("never more jobs at a time than asked for, and no fewer", "[run][supervisor]") {
  const unsigned limit = GENERATE(0u, 1u, 3u);
  const Shared<std::array<std::atomic<unsigned>, 2>> counts;
  std::atomic<unsigned>& running = (*counts)[0];
  std::atomic<unsigned>& most = (*counts)[1];
  const std::vector<Job> jobs(9, {"counts", [&](Channel&) {
                                    const unsigned now = ++running;
                                    for (unsigned seen = most;
                                         now > seen && !most.compare_exchange_weak(seen, now);)
                                      continue;
                                    for (int i = 0; i < 5000 && most < limit; ++i) sleep_ms(1);
                                    sleep_ms(20);
                                    --running;
                                    return 0;
                                  }});
  const auto supervision = supervise(jobs, {.jobs = limit});
  CHECK(std::all_of(supervision.outcomes.begin(), supervision.outcomes.end(),
                    [](const Outcome& o) { return o.kind == Kind::done && o.exit_code == 0; }));
  CHECK(most == std::max(1u, limit));
}

TEST_CASE("what leaves the body becomes an exit code and a sentence", "[run][supervisor]") {
  const bool in_process = GENERATE(false, true);
  const Options options{.in_process = in_process};
  const auto check = [&](std::function<int(Channel&)> body, int code, const std::string& message) {
    const Outcome outcome = only({"throws", std::move(body)}, options);
    CHECK(outcome.kind == Kind::done);
    CHECK(outcome.exit_code == code);
    CHECK(outcome.message == message);
  };
  check([](Channel&) -> int { throw std::runtime_error{"no page table"}; }, uncaught_exception_exit,
        "no page table");
  check([](Channel&) -> int { throw std::bad_alloc{}; }, out_of_memory_exit, "out of memory");
  check([](Channel&) -> int { throw 42; }, uncaught_exception_exit, "an exception that is no std::exception");
  check([](Channel&) { return 256; }, uncaught_exception_exit, "returned 256, which is no exit code");
  check([](Channel&) { return 255; }, 255, "");
}

TEST_CASE("a crash is an outcome with the signal's name, and the others finish", "[run][supervisor]") {
  const auto supervision = supervise({returns(0),
                                      {"segv", [](Channel&) { return std::raise(SIGSEGV); }},
                                      {"abort",
                                       [](Channel& c) -> int {
                                         c.result("what was known");
                                         std::abort();
                                       }},
                                      {"killed", [](Channel&) { return ::kill(::getpid(), SIGKILL); }},
                                      returns(7)},
                                     {.jobs = 2});
  const auto& outcomes = supervision.outcomes;
  CHECK(outcomes[0].kind == Kind::done);
  CHECK(outcomes[1].kind == Kind::crashed);
  CHECK(outcomes[1].signal == SIGSEGV);
  CHECK(outcomes[1].exit_code == -1);
  CHECK(outcomes[1].message == "killed by SIGSEGV (Segmentation fault)");
  CHECK(outcomes[2].kind == Kind::crashed);
  CHECK(outcomes[2].signal == SIGABRT);
  CHECK(outcomes[2].result == "what was known");
  CHECK(outcomes[3].kind == Kind::crashed);
  CHECK(outcomes[3].signal == SIGKILL);
  CHECK(outcomes[4].exit_code == 7);
  CHECK(supervision.signal == 0);
}

TEST_CASE("somebody's kill -9 of a child is a crash", "[run][supervisor]") {
  const Shared<std::atomic<pid_t>> victim;
  const Job job{"victim", [&](Channel& channel) -> int {
                  *victim = ::getpid();
                  channel.progress({1, 2, 3});
                  hang();
                }};
  const auto supervision =
      supervise({job, returns(0)},
                {.jobs = 2, .on_progress = [&](std::size_t, const Progress&) { ::kill(*victim, SIGKILL); }});
  CHECK(supervision.outcomes[0].kind == Kind::crashed);
  CHECK(supervision.outcomes[0].signal == SIGKILL);
  CHECK(supervision.outcomes[0].progress == Progress{1, 2, 3});
  CHECK(supervision.outcomes[1].kind == Kind::done);
}

TEST_CASE("a child that hangs is killed at its deadline, not before", "[run][supervisor]") {
  Leash leash;
  const auto supervision = supervise({hangs(), returns(0)}, {.jobs = 2, .deadline = 300ms});
  CHECK(supervision.outcomes[0].kind == Kind::timed_out);
  CHECK(supervision.outcomes[0].signal == SIGKILL);
  CHECK(supervision.outcomes[0].message == "killed at its deadline of 0.3 s");
  CHECK(supervision.outcomes[0].wall_s >= 0.25);  // the tick began before the job
  CHECK(supervision.outcomes[0].wall_s < 5);
  CHECK(supervision.outcomes[1].kind == Kind::done);
  CHECK(leash.all_dead());
}

TEST_CASE("a deadline counts from the job's own start", "[run][supervisor]") {
  const std::vector<Job> jobs(3, {"short", [](Channel&) {
                                    sleep_ms(400);
                                    return 0;
                                  }});
  for (const Outcome& outcome : supervise(jobs, {.jobs = 1, .deadline = 1000ms}).outcomes)
    CHECK(outcome.kind == Kind::done);
}

TEST_CASE("silence is a stall; progress is none", "[run][supervisor]") {
  const auto talks = [](int times) {
    return [times](Channel& channel) {
      for (int i = 1; i <= times; ++i) {
        channel.progress({static_cast<std::uint64_t>(i), 0, 0});
        sleep_ms(50);
      }
      return 0;
    };
  };
  const auto falls_silent = [talks](Channel& channel) -> int {
    talks(3)(channel);
    hang();
  };
  const auto supervision =
      supervise({{"talks", talks(24)}, {"falls silent", falls_silent}}, {.jobs = 2, .stall_deadline = 600ms});
  CHECK(supervision.outcomes[0].kind == Kind::done);
  CHECK(supervision.outcomes[0].wall_s > 1.2);
  CHECK(supervision.outcomes[1].kind == Kind::stalled);
  CHECK(supervision.outcomes[1].message == "killed after no progress for 0.6 s");
  CHECK(supervision.outcomes[1].progress.simulated_ps == 3);
}

TEST_CASE("a stopped child stalls as well", "[run][supervisor]") {
  const Outcome outcome =
      only({"stopped", [](Channel&) { return std::raise(SIGSTOP); }}, {.stall_deadline = 200ms});
  CHECK(outcome.kind == Kind::stalled);
}

TEST_CASE("results of megabytes come whole from several jobs at once", "[run][supervisor]") {
  const auto pattern = [](std::size_t seed) {
    std::string bytes(8'000'000 + seed, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * (2 * seed + 1) + (i >> 9));
    return bytes;
  };
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < 4; ++i)
    jobs.push_back({"big", [=](Channel& channel) {
                      channel.result(pattern(i));
                      return 0;
                    }});
  const auto supervision = supervise(jobs, {.jobs = 3});
  for (std::size_t i = 0; i < 4; ++i) CHECK((supervision.outcomes[i].result == pattern(i)));
}

TEST_CASE("a child that corrupts its pipe is not believed", "[run][supervisor]") {
  const bool lives_on = GENERATE(false, true);
  const Outcome outcome = only({"corrupt", [=](Channel&) {
                                  for (int fd = 3; fd < 100; ++fd) {
                                    struct stat is {};
                                    const bool pipe = ::fstat(fd, &is) == 0 && S_ISFIFO(is.st_mode);
                                    if (pipe && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
                                      static_cast<void>(::write(fd, "garbage, and no frame", 21) == 21);
                                  }
                                  if (lives_on) hang();
                                  return 0;
                                }});
  CHECK(outcome.kind == Kind::crashed);
  CHECK(outcome.message == "wrote garbage on its pipe");
}

TEST_CASE("progress reaches the callback with the job's index", "[run][supervisor]") {
  std::vector<std::pair<std::size_t, Progress>> seen;
  std::vector<std::size_t> started;
  const Job talks{"talks", [](Channel& channel) {
                    channel.progress({5, 10, 15});
                    return 0;
                  }};
  const auto supervision = supervise(
      {returns(0), talks}, {.on_started = [&](std::size_t job) { started.push_back(job); },
                            .on_progress = [&](std::size_t job, const Progress& p) { seen.emplace_back(job, p); }});
  CHECK(started == std::vector<std::size_t>{0, 1});
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].first == 1);
  CHECK(seen[0].second == Progress{5, 10, 15});
  CHECK(supervision.outcomes[1].progress == Progress{5, 10, 15});
}

TEST_CASE("the child's use of the machine is measured", "[run][supervisor]") {
  const Outcome outcome = only({"works", [](Channel&) {
                                  std::vector<char> memory(100 << 20);
                                  for (std::size_t i = 0; i < memory.size(); i += 4096) memory[i] = 1;
                                  const auto until = ::clock() + CLOCKS_PER_SEC / 5;
                                  while (::clock() < until) continue;
                                  return memory[4096];
                                }});
  CHECK(outcome.exit_code == 1);
  CHECK(outcome.cpu_s >= 0.19);
  CHECK(outcome.wall_s >= 0.19);
  CHECK(outcome.peak_rss_bytes >= 100u << 20);
}

TEST_CASE("hundreds of jobs leave no descriptor and no zombie behind", "[run][supervisor]") {
  const std::size_t before = open_files();
  std::vector<Job> jobs;
  for (int i = 0; i < 300; ++i) jobs.push_back(returns(i % 251));
  const auto supervision = supervise(jobs, {.jobs = 8});
  for (std::size_t i = 0; i < jobs.size(); ++i)
    REQUIRE(supervision.outcomes[i].exit_code == static_cast<int>(i % 251));
  CHECK(open_files() == before);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("a job that cannot be started is an outcome", "[run][supervisor]") {
  const auto body = [] {
    const auto no_more_files = [](std::size_t) {
      const rlimit none{3, 3};
      ::setrlimit(RLIMIT_NOFILE, &none);
    };
    const Job first{"first", [](Channel&) {
                      sleep_ms(50);
                      return 0;
                    }};
    const auto supervision = supervise({first, returns(0)}, {.jobs = 2, .on_started = no_more_files});
    const Outcome& second = supervision.outcomes[1];
    return supervision.outcomes[0].kind == Kind::done && second.kind == Kind::crashed && second.signal == 0 &&
                   second.message == "could not start: pipe: Too many open files"
               ? 0
               : 1;
  };
  CHECK(run_alone(body) == 0);
}

TEST_CASE("what is buffered at the fork is written once, and a child's own output is not lost",
          "[run][supervisor]") {
  std::array<int, 2> out{};
  REQUIRE(::pipe(out.data()) == 0);
  const Shared<std::atomic<int>> exits;
  static std::atomic<int>* exit_count = nullptr;
  exit_count = &*exits;
  const pid_t pid = spawn([&] {
    ::dup2(out[1], STDOUT_FILENO);
    std::atexit([] { ++*exit_count; });
    std::printf("parent ");
    const std::vector<Job> jobs(3, {"prints", [](Channel&) {
                                      std::printf("child ");
                                      return 0;
                                    }});
    supervise(jobs, {.jobs = 3});
    std::fflush(stdout);
    return 0;
  });
  ::close(out[1]);
  std::string text;
  std::array<char, 256> buffer{};
  for (ssize_t n = 0; (n = ::read(out[0], buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  ::close(out[0]);
  CHECK(end_of(pid) == 0);
  CHECK(text == "parent child child child ");
  CHECK(*exits == 0);  // atexit handlers are the parent's
}

TEST_CASE("what a callback throws comes out, and no child survives it", "[run][supervisor]") {
  Leash leash;
  const Options options{.jobs = 3, .on_started = [](std::size_t job) {
                          if (job == 2) throw std::logic_error{"from the callback"};
                        }};
  CHECK_THROWS_WITH(supervise({hangs(), hangs(), hangs(), hangs()}, options), "from the callback");
  CHECK(leash.all_dead());
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("in process: the same outcomes, and no fork", "[run][supervisor]") {
  int side_effect = 0;
  std::vector<Progress> seen;
  const pid_t here = ::getpid();
  const Job job{"direct", [&](Channel& channel) {
                  ++side_effect;
                  channel.progress({1, 2, 3});
                  channel.result("direct result");
                  return ::getpid() == here ? 5 : 6;
                }};
  const auto supervision =
      supervise({job, returns(1)},
                {.in_process = true, .on_progress = [&](std::size_t, const Progress& p) { seen.push_back(p); }});
  CHECK(side_effect == 1);
  CHECK(seen == std::vector<Progress>{{1, 2, 3}});
  CHECK(supervision.outcomes[0].name == "direct");
  CHECK(supervision.outcomes[0].exit_code == 5);
  CHECK(supervision.outcomes[0].result == "direct result");
  CHECK(supervision.outcomes[0].peak_rss_bytes > 0);
  CHECK(supervision.outcomes[1].exit_code == 1);
}
