// SPDX-License-Identifier: Apache-2.0
// No fork, no pipe: one job after the other.
#include "platform/run/in_process.hpp"

#include <chrono>
#include <utility>

#include "platform/run/resource_use.hpp"

namespace gnomon::run {
namespace {

class DirectChannel final : public Channel {
 public:
  DirectChannel(std::size_t index, const Options& options, Outcome& outcome)
      : index_(index), options_(options), outcome_(outcome) {}

  void progress(const Progress& progress) override {
    outcome_.progress = progress;
    if (options_.on_progress) options_.on_progress(index_, progress);
  }
  void result(std::string bytes) override { outcome_.result = std::move(bytes); }

 private:
  const std::size_t index_;
  const Options& options_;
  Outcome& outcome_;
};

}  // namespace

Supervision run_in_process(const std::vector<Job>& jobs, const Options& options) {
  Supervision supervision;
  supervision.outcomes.resize(jobs.size());
  for (std::size_t index = 0; index < jobs.size(); ++index) {
    Outcome& outcome = supervision.outcomes[index];
    outcome.name = jobs[index].name;
    if (options.on_started) options.on_started(index);
    rusage before{};
    ::getrusage(RUSAGE_SELF, &before);
    const auto started = std::chrono::steady_clock::now();
    DirectChannel channel{index, options, outcome};
    Ending ending = run_guarded(jobs[index], channel);
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    outcome.exit_code = ending.exit_code;
    outcome.message = std::move(ending.message);
    outcome.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    outcome.cpu_s = cpu_seconds(after) - cpu_seconds(before);
    outcome.peak_rss_bytes = peak_rss_bytes(after);
    if (options.on_finished) options.on_finished(index, outcome);
  }
  return supervision;
}

}  // namespace gnomon::run
