// SPDX-License-Identifier: Apache-2.0
#include "platform/run/simulate.hpp"

#include <spdlog/sinks/basic_file_sink.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <systemc>

#include "platform/observe/exit_table.hpp"
#include "platform/observe/human_log.hpp"
#include "platform/observe/perfetto_timeline.hpp"
#include "platform/observe/trace_hash.hpp"
#include "platform/wiring/platform.hpp"

namespace gnomon::run {

using scenario::Configuration;
using wiring::Platform;

const char* to_string(Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::guest_panic: return "guest_panic";
    case Status::deadlock: return "deadlock";
    case Status::watchdog: return "watchdog";
  }
  return "ok";
}

namespace {

constexpr Time patience = Time::s(10);  // of simulated time beyond what the jobs' own limits explain
constexpr Time slice = Time::us(500);   // between looks at the host's clock, for progress

/// The observers of one run. Hash, metrics and sanitizer are always there.
struct Observers {
  Observers(const Configuration& c, const SimulationOptions& options, Platform& platform, trace::Tracer& tracer)
      : metrics(metric_names(c, platform)),
        sanitizer(sanitizer_options(c, platform), tracer),
        exits(c.machine.exit_names, observe::ExitTable::Scope::window) {
    tracer.add(metrics);
    tracer.add(exits);
    tracer.add(hash);
    if (!options.timeline.empty()) {
      observe::TimelineOptions drawing;
      drawing.path = options.timeline;
      drawing.exits = c.machine.exit_names;
      drawing.names.locks = platform.locks().names();
      timeline = std::make_unique<observe::PerfettoTimeline>(std::move(drawing));
      tracer.add(*timeline);
    }
    if (!options.log.empty()) {
      auto file = std::make_shared<spdlog::sinks::basic_file_sink_st>(options.log.string(), true);
      auto logger = std::make_shared<spdlog::logger>("events", std::move(file));
      logger->set_level(spdlog::level::trace);
      logger->set_pattern("%v");
      logger->set_error_handler([this, path = options.log.string()](const std::string& what) {
        if (log_error.empty()) log_error = path + ": " + what;
      });
      log = std::make_unique<observe::HumanLog>(std::move(logger), c.machine.exit_names);
      tracer.add(*log);
    }
    for (trace::Sink* sink : options.sinks) tracer.add(*sink);
    tracer.add(sanitizer);  // last: its verdicts come after the event that caused them, for everybody
  }

  static observe::Metrics::Names metric_names(const Configuration& c, Platform& platform) {
    return {platform.locks().names(), wiring::GuestSystem::thread_names(c.jobs), c.guest.vcpus,
            c.machine.exit_names};
  }

  static observe::SanitizerOptions sanitizer_options(const Configuration& c, Platform& platform) {
    const bool translated = c.guest.translated && c.iommu != scenario::IommuKind::none;
    observe::SanitizerOptions options;
    options.shadowed = translated;
    options.to_hpa = [&ram = platform.ram()](Gpa gpa) { return ram.to_hpa(gpa); };
    options.domain_of = [translated](SourceId source) -> std::uint32_t {
      return translated ? source.value >> 8 : 0;
    };
    return options;
  }

  observe::Metrics metrics;
  observe::Sanitizer sanitizer;
  observe::ExitTable exits;
  observe::TraceHash hash;
  std::unique_ptr<observe::PerfettoTimeline> timeline;
  std::unique_ptr<observe::HumanLog> log;
  std::string log_error;  ///< the first line that could not be written
};

/// Tells how far the simulation has come, a few times a second of the host's clock. The clock decides nothing else.
class ProgressReports {
 public:
  ProgressReports(const SimulationOptions& options, const trace::Tracer& tracer)
      : options_(options), tracer_(tracer) {}

  void look(Time horizon) {
    if (!options_.on_progress) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(100);
    options_.on_progress({Time::ps(sc_core::sc_time_stamp().value()), horizon, tracer_.events()});
  }

 private:
  const SimulationOptions& options_;
  const trace::Tracer& tracer_;
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now();
};

void run_to_end(Platform& platform, ProgressReports& progress, SimulationResult& result) {
  while (!platform.finished()) {
    sc_core::sc_start(to_sc(slice));  // to its end: the next event may be further away than a slice
    process_resumed();
    if (platform.finished()) return;
    const Time now = global_time();
    if (!sc_core::sc_pending_activity()) {
      result.status = Status::deadlock;
      result.explanation =
          "nothing can happen any more, and the workload has not finished:\n" + platform.who_waits();
      return;
    }
    const guest::Workload* workload = platform.guest().workload();
    const Time horizon = workload == nullptr ? Time::max() : workload->horizon();
    if (horizon < Time::max() - patience && now > horizon + patience) {
      result.status = Status::watchdog;
      result.explanation = "the workload is still running long after its own limits:\n" + platform.who_waits();
      return;
    }
    progress.look(horizon);
  }
}

}  // namespace

SimulationResult simulate(const Configuration& configuration, const SimulationOptions& options) {
  static bool used = false;
  if (used) throw std::logic_error("a process simulates once: SystemC elaborates only once");
  used = true;

  trace::Tracer tracer;
  Platform platform(configuration, tracer);
  Observers observers(configuration, options, platform, tracer);
  ProgressReports progress(options, tracer);
  SimulationResult result;
  run_to_end(platform, progress, result);

  const Time end = global_time();
  platform.close();
  observers.sanitizer.check_teardown(end);
  result.metrics = observers.metrics.values();
  const auto add = [&](std::string name, double value) { result.metrics.emplace_back(std::move(name), value); };
  for (std::size_t i = 0; i < observe::verdict_kinds; ++i) {
    const auto verdict = static_cast<trace::Verdict>(i);
    add(std::string("sanitizer.") + observe::verdict_name(verdict),
        static_cast<double>(observers.sanitizer.count(verdict)));
  }
  const observe::Exposure& exposure = observers.sanitizer.exposure();
  add("exposure.max_ns", static_cast<double>(exposure.longest.ps()) * 1e-3);
  add("exposure.byte_seconds", static_cast<double>(exposure.byte_picoseconds) * 1e-12);
  add("exposure.dma_beats", static_cast<double>(exposure.dma_beats));
  add("sim.window_ns", static_cast<double>(observers.metrics.window().ps()) * 1e-3);
  add("sim.simulated_ns", static_cast<double>(end.ps()) * 1e-3);
  add("sim.events", static_cast<double>(platform.activations()));
  add("sim.trace_events", static_cast<double>(tracer.events()));
  result.findings = observers.sanitizer.findings();
  result.verdicts = observers.sanitizer.total();
  result.trace_hash = observers.hash.value();
  result.exit_table = observers.exits.render();
  if (const auto* workload = platform.guest().workload(); workload != nullptr && result.status == Status::ok) {
    result.files = workload->outputs(end);
  }
  result.output_error = observers.log_error;
  if (observers.timeline) {
    if (const std::error_code error = observers.timeline->close()) {
      result.output_error = options.timeline.string() + ": " + error.message();
    }
  }
  return result;
}

}  // namespace gnomon::run
