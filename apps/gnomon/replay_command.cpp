// SPDX-License-Identifier: Apache-2.0
// gnomon replay: a recorded workload on other policies, beside what the recording itself shows.
#include <fmt/format.h>

#include <array>
#include <functional>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/execution.hpp"
#include "apps/gnomon/trace_intake.hpp"
#include "platform/conform/guest_identity.hpp"
#include "platform/conform/recorded_commands.hpp"
#include "platform/conform/recording.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/observe/call_blame.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/run/atomic_file.hpp"
#include "platform/run/signals.hpp"
#include "platform/scenario/data_root.hpp"

namespace gnomon::app {
namespace {

namespace fs = std::filesystem;
using Kind = conform::Request::Kind;

/// A variant's name, as a scenario sets it. Empty: there is no such policy.
std::string settings_of(std::string name) {
  std::string sync_map;
  const auto strip = [&](std::string_view end, const char* value) {
    if (!name.ends_with(end)) return;
    name.resize(name.size() - end.size());
    sync_map = fmt::format(", \"guest.sync_map\" = {}", value);
  };
  strip("-nomap", "false");
  strip("-map", "true");
  if (name == "none") return "\"guest.cmdline\" = \"iommu.passthrough=1\"" + sync_map;
  if (name == "strict") return "\"guest.cmdline\" = \"iommu.strict=1\"" + sync_map;
  if (name == "lazy")
    return "\"guest.cmdline\" = \"iommu.strict=0\", \"guest.flush_queue\" = \"per-cpu\"" + sync_map;
  if (name == "lazy-sq")
    return "\"guest.cmdline\" = \"iommu.strict=0\", \"guest.flush_queue\" = \"single\"" + sync_map;
  return "";
}

/// What the recording shows of itself.
struct Shown {
  std::uint64_t maps = 0, unmaps = 0, timer_flushes = 0;
  double seconds = 0;
  std::optional<conform::CommandStream> commands;
  std::optional<conform::Unit> unit;  ///< whose commands they are

  std::optional<double> requests(std::initializer_list<Kind> kinds) const {
    if (!commands) return std::nullopt;
    double count = 0;
    for (const conform::Request& r : commands->requests)
      for (const Kind kind : kinds) count += r.kind == kind;
    return count;
  }
};

Shown shown_by(TraceIntake& intake) {
  Shown out;
  const conform::Recording recording = conform::read_recording(intake.reader());
  for (const conform::RecordedStep& step : recording.steps) {
    out.maps += step.kind == conform::RecordedStep::Kind::map;
    out.unmaps += step.kind == conform::RecordedStep::Kind::unmap;
    out.timer_flushes += step.kind == conform::RecordedStep::Kind::flush_timer;
  }
  if (!recording.steps.empty())
    out.seconds = static_cast<double>(recording.steps.back().time_ns - recording.steps.front().time_ns) * 1e-9;
  if (auto commands = conform::read_commands(intake.reader())) {
    out.unit = commands->unit;
    out.commands = std::move(commands->stream);
  }
  return out;
}

struct Row {
  const char* what;
  const char* metric;
  double scale;
  int digits;
  std::optional<double> recorded;
};

std::string heading(const char* what, const results::ScenarioResult& result) {
  std::string text = fmt::format("{:<24}{:>16}", what, "recorded");
  for (const results::VariantResult& v : result.variants) text += fmt::format("{:>16}", v.name);
  return text;
}

/// Where the time of the calls went. A recording does not tell.
std::string blame_table(const results::ScenarioResult& result) {
  using observe::CallBlame;
  constexpr std::array<std::pair<CallBlame::Call, const char*>, CallBlame::calls> calls{
      {{CallBlame::Call::map, "map, mean ns"},
       {CallBlame::Call::unmap, "unmap, mean ns"},
       {CallBlame::Call::flush, "flush, timer, mean ns"}}};
  std::string text;
  for (const auto& [call, title] : calls) {
    std::array<std::string, CallBlame::causes> lines;
    std::string sums;
    bool any = false;
    for (std::size_t i = 0; i < CallBlame::causes; ++i)
      lines[i] = fmt::format("  {:<22}{:>16}", CallBlame::name_of(static_cast<CallBlame::Cause>(i)), "-");
    for (const results::VariantResult& v : result.variants) {
      std::array<double, CallBlame::causes> parts{};
      double sum = 0;
      for (std::size_t i = 0; i < CallBlame::causes; ++i) {
        const char* cause = CallBlame::name_of(static_cast<CallBlame::Cause>(i));
        parts[i] = v.metric(fmt::format("blame.{}.{}_ns", CallBlame::name_of(call), cause)).value_or(0);
        sum += parts[i];
      }
      const bool called = sum > 0;  // a call takes time
      any = any || called;
      sums += fmt::format("{:>16}", called ? fmt::format("{:.1f}", sum) : "-");
      for (std::size_t i = 0; i < CallBlame::causes; ++i)
        lines[i] += fmt::format("{:>16}", called ? fmt::format("{:.1f}", parts[i]) : "-");
    }
    if (!any) continue;
    text += fmt::format("\n{:<24}{:>16}{}\n", title, "-", sums);
    for (const std::string& line : lines) text += line + "\n";
  }
  return text.empty() ? text : fmt::format("\n{}{}", heading("where the time went", result), text);
}

std::string table(const Shown& shown, const results::ScenarioResult& result) {
  const std::optional<double> none;
  const auto count = [](std::uint64_t n) { return std::optional{static_cast<double>(n)}; };
  const std::optional<double> kicks = shown.commands ? count(shown.commands->kicks.size()) : none;
  const std::optional<double> timers = shown.timer_flushes != 0 ? count(shown.timer_flushes) : none;
  const std::array rows{
      Row{"time, ms", "sim.window_ns", 1e-6, 3, shown.seconds * 1e3},
      Row{"maps", "api.map_calls", 1, 0, count(shown.maps)},
      Row{"  mean, ns", "api.map_ns.mean", 1, 0, none},
      Row{"unmaps", "api.unmap_calls", 1, 0, count(shown.unmaps)},
      Row{"  mean, ns", "api.unmap_ns.mean", 1, 0, none},
      Row{"MAP requests", "guest.map_requests", 1, 0, shown.requests({Kind::map})},
      Row{"UNMAP requests", "guest.unmap_requests", 1, 0, shown.requests({Kind::unmap})},
      Row{"invalidations", "guest.invalidation_commands", 1, 0,
          shown.requests({Kind::unmap, Kind::pages, Kind::domain, Kind::global})},
      Row{"waits", "guest.wait_commands", 1, 0, shown.requests({Kind::wait})},
      Row{"kicks", "guest.kicks", 1, 0, kicks},
      Row{"flushes by the timer", "guest.flush_queue.timer_flushes", 1, 0, timers},
      Row{"flushes, queue full", "guest.flush_queue.full_flushes", 1, 0, none},
      Row{"VM exits", "exits.total", 1, 0, none},
      Row{"  time, ms", "exits.time_ns", 1e-6, 3, none},
      Row{"host MAP ioctls", "hypervisor.map_ioctls", 1, 0, none},
      Row{"host UNMAP ioctls", "hypervisor.unmap_ioctls", 1, 0, none},
      Row{"lock waits, ms", "lock.viommu_request.wait_ns", 1e-6, 3, none},
      Row{"IOTLB hits", "iotlb.hits", 1, 0, none},
      Row{"IOTLB misses", "iotlb.misses", 1, 0, none},
      Row{"  walk reads", "iotlb.walk_reads", 1, 0, none},
      Row{"DMA faults", "dma.faults", 1, 0, none},
      Row{"stale DMA", "sanitizer.stale_dma", 1, 0, none},
      Row{"exposure, longest, ms", "exposure.max_ns", 1e-6, 3, none},
      Row{"exposure, byte seconds", "exposure.byte_seconds", 1, 3, none},
  };
  std::string text = heading("", result) + "\n";
  for (const Row& row : rows) {
    std::string line = fmt::format("{:<24}{:>16}", row.what,
                                   row.recorded ? fmt::format("{:.{}f}", *row.recorded, row.digits) : "-");
    bool any = row.recorded.has_value();
    for (const results::VariantResult& v : result.variants) {
      const auto value = v.metric(row.metric);
      any = any || value.has_value();
      line += fmt::format("{:>16}", value ? fmt::format("{:.{}f}", *value * row.scale, row.digits) : "-");
    }
    if (any) text += line + "\n";
  }
  return text;
}

std::string scenario_text(const ReplayOptions& o, const std::string& trace, unsigned cpus) {
  std::string text = fmt::format(
      "title = \"replay\"\n[machine]\nprofile = \"{}\"\n[guest]\nkernel = \"{}\"\nvcpus = {}\n[iommu]\ndevice = "
      "\"{}\"\n"
      "[workload]\ntrace = \"{}\"\n[workload.replay]\nmode = \"{}\"\nrate = {:.6f}\n",
      o.machine, o.kernel, cpus, o.iommu, trace, o.mode, o.rate);
  for (const std::string& name : o.variants)
    text += fmt::format("[[variant]]\nname = \"{}\"\nset = {{ {} }}\n", name, settings_of(name));
  return text;
}

/// A folder that goes with its contents.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "gnomon-replay-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Takes what no flag says from what the recording says of its guest. Which came from where, as a line.
std::string identify(const TraceIntake& intake, const Shown& shown, ReplayOptions& o) {
  const conform::GuestIdentity guest = conform::identify(intake.beside("cmd"), intake.beside("console"));
  std::string kernel_from = "by --kernel", iommu_from = "by --iommu";
  if (o.kernel.empty()) {
    o.kernel = conform::nearest_kernel(guest.kernel, scenario::toml_names(scenario::kernels_folder()));
    kernel_from = "as the recorded " + guest.kernel;
    if (o.kernel.empty()) {
      o.kernel = "6.12";
      kernel_from =
          guest.kernel.empty() ? "the recording does not say" : "the recorded " + guest.kernel + " is older";
    }
  }
  if (o.iommu.empty()) {
    std::optional<conform::Unit> unit = guest.unit;
    if (!unit) unit = shown.unit;
    o.iommu = unit ? conform::name_of(*unit) : "virtio-iommu";
    iommu_from = unit ? "as recorded" : "the recording does not say";
  }
  return fmt::format("Linux {} ({}), {} ({}), {}\n\n", o.kernel, kernel_from, o.iommu, iommu_from, o.machine);
}

int replay(ReplayOptions& o) {
  auto intake = TraceIntake::open(o.traces);
  if (!intake) return results::exit_bad_input;
  const Shown shown = shown_by(*intake);
  const std::string guest = identify(*intake, shown, o);
  const unsigned cpus = conform::read_recording(intake->reader()).cpus;
  const Folder folder;
  run::AtomicFile file{folder.path() / "trace.gtrace"};
  file.write(intake->bytes());
  file.commit();

  config::Diagnostics diagnostics;
  const fs::path path = folder.path() / "replay.toml";
  const std::string name = fmt::format("replay of {}", o.traces.front());
  std::optional<scenario::ResolvedScenario> scenario;
  if (const auto document = config::parse_document(scenario_text(o, "trace.gtrace", cpus), name,
                                                   config::OriginKind::scenario, diagnostics))
    scenario = scenario::resolve(*document, path, {}, diagnostics);
  complain(diagnostics.render());
  if (!scenario) return results::exit_bad_input;

  ExecutionOptions execution;
  execution.jobs = o.jobs;
  const Execution done = execute(*scenario, execution);
  if (done.signal != 0) return run::exit_status_of_signal(done.signal);
  if (o.json) {
    print(results::to_json(done.result));
  } else {
    print(guest + table(shown, done.result) + blame_table(done.result));
    for (const results::VariantResult& v : done.result.variants) {
      if (v.status != "ok") print(fmt::format("{}: {}: {}\n", v.name, v.status, v.explanation));
      for (const std::string& note : v.notes) print(fmt::format("{}: {}\n", v.name, note));
    }
  }
  return results::exit_code(done.result.variants, done.result.expectations, false);
}

}  // namespace

int replay_command(const ReplayOptions& options) {
  ReplayOptions o = options;
  if (o.variants.empty()) o.variants = {"strict", "lazy", "lazy-sq"};
  for (const std::string& name : o.variants) {
    if (!settings_of(name).empty()) continue;
    complain(fmt::format(
        "gnomon replay: there is no policy \"{}\"\n    accepted: none, strict, lazy, lazy-sq, each also "
        "with -map or -nomap\n",
        name));
    return results::exit_bad_input;
  }
  try {
    return replay(o);
  } catch (const gtrace::GtraceError& error) {
    complain(fmt::format("gnomon replay: {}: {}\n", o.traces.front(), error.what()));
    return results::exit_bad_input;
  }
}

}  // namespace gnomon::app
