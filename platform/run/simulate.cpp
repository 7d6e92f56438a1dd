// SPDX-License-Identifier: Apache-2.0
#include "platform/run/simulate.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <systemc>
#include <variant>

#include "platform/observe/blame.hpp"
#include "platform/observe/call_blame.hpp"
#include "platform/observe/csv_trace.hpp"
#include "platform/observe/event_batches.hpp"
#include "platform/observe/exit_table.hpp"
#include "platform/observe/human_log.hpp"
#include "platform/observe/perfetto_timeline.hpp"
#include "platform/observe/refill_ledger.hpp"
#include "platform/observe/run_series.hpp"
#include "platform/observe/trace_hash.hpp"
#include "platform/observe/transcript.hpp"
#include "platform/observe/vcd_trace.hpp"
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
bool misbehaves(const Configuration& c) { return c.faults.nvme.stray_dma != Time{}; }

constexpr Time patience = Time::s(10);          // of simulated time beyond what the configuration explains
constexpr Time last_instant = Time::max() / 2;  // no delay of one step is longer than what is left then
constexpr Time slice = Time::us(500);           // between looks at the host's clock, for progress

/// The observers of one run. Hash, metrics and sanitizer are always there.
struct Observers {
  Observers(const Configuration& c, const SimulationOptions& options, Platform& platform, trace::Tracer& tracer)
      : metrics(metric_names(c, platform)),
        sanitizer(sanitizer_options(c, platform), tracer),
        exits(c.machine.exit_names, observe::ExitTable::Scope::window),
        blame(big_lock_of(platform)),
        refills(domain_finder(c)) {
    tracer.add(metrics);
    tracer.add(exits);
    tracer.add(hash);
    tracer.add(series);
    if (options.blame) tracer.add(blame);
    if (std::holds_alternative<guest::ReplaySpec>(c.benchmark)) tracer.add(calls.emplace(!c.guest.s390_own_dma));
    if (options.blame) tracer.add(refills);
    if (options.transcript) files.add(transcript.emplace(c.machine.exit_names));
    if (!options.timeline.empty()) {
      observe::TimelineOptions drawing;
      drawing.path = options.timeline;
      drawing.exits = c.machine.exit_names;
      drawing.names.locks = platform.locks().names();
      drawing.guest_domain_of = domain_finder(c);
      timeline = std::make_unique<observe::PerfettoTimeline>(std::move(drawing));
      files.add(*timeline);
    }
    if (!options.vcd.empty())
      files.add(vcd.emplace(observe::VcdOptions{options.vcd, c.guest.vcpus, platform.locks().names()}));
    if (!options.csv.empty()) files.add(csv.emplace(options.csv));
    if (!options.log.empty()) open_log(c, options);
    if (!files.empty()) hash.pass_on_to(files);
    for (trace::Sink* sink : options.sinks) tracer.add(*sink);
    tracer.add(sanitizer);  // last: its verdicts come after the event that caused them, for everybody
  }

  void open_log(const Configuration& c, const SimulationOptions& options) {
    try {
      auto file = std::make_shared<spdlog::sinks::basic_file_sink_st>(options.log.string(), true);
      auto logger = std::make_shared<spdlog::logger>("events", std::move(file));
      logger->set_level(spdlog::level::trace);
      logger->set_pattern("%v");
      logger->set_error_handler([this, path = options.log.string()](const std::string& what) {
        if (log_error.empty()) log_error = path + ": " + what;
      });
      log_file = logger;
      log = std::make_unique<observe::HumanLog>(std::move(logger), c.machine.exit_names);
      files.add(*log);
    } catch (const spdlog::spdlog_ex& error) {
      log_error = error.what();
    }
  }

  static std::optional<std::uint32_t> big_lock_of(const Platform& platform) {
    const auto& names = platform.locks().names();
    const auto found = std::find(names.begin(), names.end(), Platform::big_lock);
    if (found == names.end()) return std::nullopt;  // no hypervisor
    return static_cast<std::uint32_t>(found - names.begin());
  }

  static observe::Metrics::Names metric_names(const Configuration& c, Platform& platform) {
    return {platform.locks().names(), wiring::GuestSystem::thread_names(c.jobs), c.guest.vcpus,
            c.machine.exit_names, std::holds_alternative<guest::DmaMasterSpec>(c.benchmark)};
  }

  static observe::SanitizerOptions sanitizer_options(const Configuration& c, Platform& platform) {
    observe::SanitizerOptions options;
    // Nested, the hardware walks the guest's own table: there is no shadow to differ from it.
    const bool nested = c.iommu == scenario::IommuKind::smmuv3 ||
                        (c.iommu == scenario::IommuKind::intel_iommu &&
                         c.intel_device.shadowing == hypervisor::IntelShadowing::nested);
    options.shadowed = c.guest.translated && c.hypervisor != scenario::HypervisorKind::none && !nested;
    options.mappings =
        !std::holds_alternative<scenario::VfioWorkloadSpec>(c.benchmark);  // 48 bytes a page of the VM's
    options.to_hpa = [&ram = platform.ram()](Gpa gpa) { return ram.to_hpa(gpa); };
    options.domain_of = domain_finder(c);
    options.follow_owners = misbehaves(c);
    if (!c.guest.translated && !c.guest.memory_encryption) options.unprotected = c.guest.memory;
    return options;
  }

  static std::function<std::uint32_t(SourceId)> domain_finder(const Configuration& c) {
    std::vector<SourceId> sources;
    for (unsigned i = 0; c.guest.translated && i < c.devices.size(); ++i) sources.push_back(c.source_of(i));
    return [sources = std::move(sources)](SourceId source) -> std::uint32_t {
      for (std::uint32_t i = 0; i < sources.size(); ++i)
        if (sources[i] == source) return i + 1;
      return 0;
    };
  }

  observe::Metrics metrics;
  observe::Sanitizer sanitizer;
  observe::ExitTable exits;
  observe::TraceHash hash;
  observe::RunSeries series;
  observe::Blame blame;
  std::optional<observe::CallBlame> calls;  ///< of a replay, whose calls are its threads' own
  observe::RefillLedger refills;
  observe::EventBatches files;  ///< by the hash, to those that follow
  std::optional<observe::VcdTrace> vcd;
  std::optional<observe::CsvTrace> csv;
  std::optional<observe::Transcript> transcript;
  std::unique_ptr<observe::PerfettoTimeline> timeline;
  std::unique_ptr<observe::HumanLog> log;
  std::shared_ptr<spdlog::logger> log_file;
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

/// Ends a simulation that cannot finish, and says who waits for what.
class Watchdog {
 public:
  Watchdog(const Configuration& c, Platform& platform, const observe::Metrics& metrics)
      : platform_(platform), metrics_(metrics), quiet_limit_(patience) {
    const nvme::MediaConfig& media = c.machine.nvme.media;
    quiet_limit_ +=
        media.read_latency + media.read_jitter + media.write_latency + media.write_jitter + media.slow_extra;
    for (const fio::JobSpec& job : c.jobs) quiet_limit_ += job.startdelay;
  }

  /// Fills in status and explanation of a simulation that is to end here. Between two slices.
  bool bites(Time horizon, SimulationResult& result) {
    const Time now = global_time();
    if (time_stands_still())
      return end(result, Status::watchdog, fmt::format("time stands still at {}", text(now)));
    if (!sc_core::sc_pending_activity())
      return end(result, Status::deadlock, "nothing can happen any more, and the workload has not finished");
    if (metrics_.work_done() != work_done_) {
      work_done_ = metrics_.work_done();
      worked_at_ = now;
    }
    if (now - worked_at_ > quiet_limit_)
      return end(result, Status::watchdog,
                 fmt::format("no I/O and no DMA between {} and {} of simulated time", text(worked_at_), text(now)));
    if (horizon < Time::max() - patience && now > horizon + patience)
      return end(result, Status::watchdog,
                 fmt::format("the workload's own limits end it at {}, and it is still running at {}", text(horizon),
                             text(now)));
    if (now > last_instant)
      return end(result, Status::watchdog,
                 fmt::format("simulated time has come to {}, half of what can be counted", text(now)));
    return false;
  }

 private:
  static std::string text(Time time) { return fmt::format("{:.6f} s", time.seconds()); }

  bool end(SimulationResult& result, Status status, const std::string& what) const {
    result.status = status;
    result.explanation = what + ":\n" + platform_.who_waits();
    return true;
  }

  Platform& platform_;
  const observe::Metrics& metrics_;
  Time quiet_limit_;  // of simulated time without any work done
  std::uint64_t work_done_ = 0;
  Time worked_at_;
};

void run_to_end(Platform& platform, Watchdog& watchdog, ProgressReports& progress, SimulationResult& result) {
  while (!platform.finished()) {
    // One slice, and on to the next event if that is further away: nobody counts empty slices through a long wait.
    const bool pending = sc_core::sc_pending_activity();
    const sc_core::sc_time gap = pending ? sc_core::sc_time_to_pending_activity() : sc_core::SC_ZERO_TIME;
    run_simulation(std::max(to_sc(slice), gap));
    detail::note_kernel_time();
    if (platform.finished()) return;
    if (!platform.panic().empty()) {
      result.status = Status::guest_panic;
      result.explanation = platform.panic();
      return;
    }
    const guest::Workload* workload = platform.guest().workload();
    const Time horizon = workload == nullptr ? Time::max() : workload->horizon();
    if (watchdog.bites(horizon, result)) return;
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
  Watchdog watchdog(configuration, platform, observers.metrics);
  run_to_end(platform, watchdog, progress, result);

  const Time end = global_time();
  if (options.on_end && result.status == Status::ok && platform.guest().workload() != nullptr)
    options.on_end(*platform.guest().workload());
  platform.close();
  observers.sanitizer.check_teardown(end);
  observers.hash.pass_on();
  result.metrics = observers.metrics.values();
  for (auto& metric : observers.refills.values()) result.metrics.push_back(std::move(metric));
  for (auto& metric : observers.blame.values()) result.metrics.push_back(std::move(metric));
  if (observers.calls)
    for (auto& metric : observers.calls->values()) result.metrics.push_back(std::move(metric));
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
  if (misbehaves(configuration)) add("exposure.new_owner_beats", static_cast<double>(exposure.beats_with_new_owner));
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
  result.series = observers.series.to_json(observers.metrics.latency(), exposure);
  result.trace_hashes = observers.hash.checkpoints_text();
  if (observers.transcript) result.transcript = observers.transcript->text();
  if (observers.log_file) observers.log_file->flush();  // what is left would be lost without a word when it closes
  result.output_error = observers.log_error;
  const auto close = [&result](auto& trace, const std::filesystem::path& path) {
    if (!trace) return;
    if (const std::error_code error = trace->close()) result.output_error = path.string() + ": " + error.message();
  };
  close(observers.timeline, options.timeline);
  close(observers.vcd, options.vcd);
  close(observers.csv, options.csv);
  return result;
}

}  // namespace gnomon::run
