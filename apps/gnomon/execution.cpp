// SPDX-License-Identifier: Apache-2.0
#include "apps/gnomon/execution.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "platform/check/input_hash.hpp"
#include "platform/results/result_files.hpp"
#include "platform/run/progress_display.hpp"
#include "platform/run/simulate.hpp"
#include "platform/run/supervisor.hpp"

namespace gnomon::app {
namespace {

int simulate_one(const scenario::Configuration& configuration, run::SimulationOptions options,
                 run::Channel& channel) {
  options.on_progress = [&channel](const run::SimulationProgress& p) {
    const Time horizon = p.horizon == Time::max() ? Time{} : p.horizon;
    channel.progress({p.simulated.ps(), horizon.ps(), p.events});
  };
  const run::SimulationResult result = run::simulate(configuration, options);
  channel.result(results::encode(result, run::to_string(result.status)));
  return 0;
}

struct PlannedRun {
  std::size_t variant = 0;  // index into the scenario's
  std::uint64_t seed = 1;
  std::string hash;                     // of its inputs, where there is a cache
  std::optional<run::Outcome> outcome;  // from the cache, else from its job
};

struct Plan {
  std::vector<PlannedRun> runs;
  std::vector<run::Job> jobs;
  std::vector<std::size_t> run_of;  // by job
};

Plan plan(const scenario::ResolvedScenario& scenario, const ExecutionOptions& options) {
  Plan plan;
  const auto names = selected(scenario, options.only);
  for (std::size_t i = 0; i < scenario.variants.size(); ++i) {
    const scenario::ResolvedVariant& variant = scenario.variants[i];
    if (std::find(names.begin(), names.end(), variant.name) == names.end()) continue;
    for (std::uint64_t n = 0; n < options.repeat; ++n) {
      scenario::Configuration configuration = variant.configuration;
      configuration.seed = options.seed + n;
      run::SimulationOptions simulation;
      simulation.transcript = options.transcript;
      if (!options.folder.empty()) {
        const auto folder = results::run_folder(options.folder, variant.name, configuration.seed, options.repeat);
        for (const std::string& kind : options.traces) {
          if (kind == "perfetto") simulation.timeline = folder / "trace.pftrace";
          if (kind == "vcd") simulation.vcd = folder / "trace.vcd";
          if (kind == "csv") simulation.csv = folder / "trace.csv.zst";
        }
        if (options.log) simulation.log = folder / "events.log";
      }
      const std::string name =
          options.repeat > 1 ? fmt::format("{} seed {}", variant.name, configuration.seed) : variant.name;
      PlannedRun run{i, configuration.seed, {}, {}};
      if (options.cache != nullptr) {
        run.hash = check::input_hash(scenario, variant, configuration.seed);
        run.outcome = options.cache->find(run.hash);
      }
      plan.runs.push_back(std::move(run));
      if (plan.runs.back().outcome) continue;
      plan.run_of.push_back(plan.runs.size() - 1);
      plan.jobs.push_back({name, [configuration = std::move(configuration), simulation](run::Channel& channel) {
                             return simulate_one(configuration, simulation, channel);
                           }});
    }
  }
  return plan;
}

std::vector<std::string> names_of(const std::vector<run::Job>& jobs) {
  std::vector<std::string> names;
  for (const run::Job& job : jobs) names.push_back(job.name);
  return names;
}

}  // namespace

std::vector<std::string> selected(const scenario::ResolvedScenario& scenario,
                                  const std::vector<std::string>& only) {
  std::vector<std::string> names;
  for (const scenario::ResolvedVariant& variant : scenario.variants)
    if (only.empty() || std::find(only.begin(), only.end(), variant.name) != only.end())
      names.push_back(variant.name);
  return names;
}

Execution execute(const scenario::ResolvedScenario& scenario, const ExecutionOptions& options) {
  Plan plan = app::plan(scenario, options);
  run::ProgressDisplay display{names_of(plan.jobs), STDERR_FILENO, options.quiet};
  run::Options supervision;
  supervision.jobs = options.jobs;
  supervision.stall_deadline = std::chrono::seconds(options.stall_s);
  supervision.in_process = options.in_process;
  supervision.on_started = [&](std::size_t job) { display.started(job); };
  supervision.on_progress = [&](std::size_t job, const run::Progress& progress) {
    display.progressed(job, progress);
  };
  supervision.on_finished = [&](std::size_t job, const run::Outcome&) { display.finished(job); };
  run::Supervision done = run::supervise(std::move(plan.jobs), supervision);
  display.clear();

  Execution out;
  out.signal = done.signal;
  out.runs = plan.runs.size();
  out.cached = plan.runs.size() - done.outcomes.size();
  for (std::size_t job = 0; job < done.outcomes.size(); ++job) {
    PlannedRun& run = plan.runs[plan.run_of[job]];
    if (options.cache != nullptr) options.cache->keep(run.hash, done.outcomes[job]);
    run.outcome = std::move(done.outcomes[job]);
  }
  out.result.scenario = scenario.name;
  out.result.title = scenario.file.title;
  out.result.seed = options.seed;
  out.result.repeat = options.repeat;
  for (std::size_t i = 0; i < scenario.variants.size(); ++i) {
    std::vector<results::RunRecord> records;
    for (const PlannedRun& run : plan.runs) {
      if (run.variant != i) continue;
      records.push_back(results::to_record(*run.outcome, run.seed));
      if (!records.back().output_error.empty()) out.output_errors.push_back(records.back().output_error);
    }
    out.result.variants.push_back(
        results::summarise(scenario.variants[i].name, std::move(records), scenario.variants[i].notes));
  }
  out.result.expectations = results::evaluate(scenario.file.expectations, out.result.variants);
  return out;
}

}  // namespace gnomon::app
