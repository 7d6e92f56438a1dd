// SPDX-License-Identifier: Apache-2.0
// gnomon conform: recorded guests held against the simulated guest of the same kernel and vIOMMU.
#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <filesystem>

#include "apps/gnomon/commands.hpp"
#include "apps/gnomon/trace_intake.hpp"
#include "guest/dma/reserved_windows.hpp"
#include "guest/replay/replay_workload.hpp"
#include "platform/conform/domains.hpp"
#include "platform/conform/guest_identity.hpp"
#include "platform/conform/job_sequence.hpp"
#include "platform/conform/report.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/run/signals.hpp"
#include "platform/run/simulate.hpp"
#include "platform/run/supervisor.hpp"
#include "platform/scenario/data_root.hpp"
#include "platform/scenario/resolve.hpp"

namespace gnomon::app {
namespace {

using conform::Unit;

/// Everything of one recording that the simulation and its comparison need.
struct Case {
  std::string title;
  std::string guest;
  std::string driven_by;
  std::string job_difference;
  std::string note;
  conform::Recording recording;
  std::optional<conform::RecordedCommands> commands;
  conform::Schedule schedule;
  scenario::Configuration configuration;
};

class Preparation {
 public:
  Preparation(const std::string& path, const ConformOptions& options) : path_(path), options_(options) {}

  /// One case for each device of the trace. Empty: something is wrong, and was told.
  std::vector<Case> run() {
    auto intake = TraceIntake::open({path_});
    if (!intake) return {};
    std::vector<Case> cases;
    try {
      std::vector<conform::Recording> devices = conform::read_recordings(intake->reader());
      const auto commands = conform::read_commands(intake->reader());
      const std::size_t domains = commands ? conform::domains_of(commands->stream).size() : 0;
      if (domains > 1 && commands->unit == Unit::virtio_iommu)
        devices = conform::by_domain(conform::read_recording(intake->reader()), *commands);
      else if (domains > 1 && devices.size() == 1 && devices.front().device.empty())
        return refuse(
            "the vIOMMU was asked for several domains, and the guest's trace names no device: record dma:* too");
      for (conform::Recording& device : devices) add(*intake, cases, std::move(device), commands, domains);
    } catch (const gtrace::GtraceError& error) {
      return refuse(error.what());
    }
    return failed_ ? std::vector<Case>{} : std::move(cases);
  }

 private:
  void add(const TraceIntake& intake, std::vector<Case>& cases, conform::Recording device,
           const std::optional<conform::RecordedCommands>& commands, std::size_t domains) {
    Case out;
    out.title = device.device.empty() ? path_ : fmt::format("{}, {}", path_, device.device);
    if (commands && domains > 1) {
      const auto domain = conform::domain_of(*commands, device);
      if (domain) out.commands = conform::of_domain(*commands, *domain);
      if (!domain)
        out.note = "which of the vIOMMU's domains is this device's is not told: commands are not compared";
    } else {
      out.commands = commands;
    }
    out.recording = std::move(device);
    identify(intake, out, commands);
    if (!identity_.unit) return void(refuse("which vIOMMU this was is not told: say --iommu"));
    if (kernel_.empty()) return void(refuse("which kernel this was is not told: say --kernel"));
    if (!configure(out)) return void(failed_ = true);
    drive(intake, out);
    cases.push_back(std::move(out));
  }

  std::vector<Case> refuse(const std::string& what) {
    complain(fmt::format("gnomon conform: {}: {}\n", path_, what));
    failed_ = true;
    return {};
  }

  void identify(const TraceIntake& intake, const Case& c,
                const std::optional<conform::RecordedCommands>& commands) {
    identity_ = conform::identify(intake.beside("cmd"), intake.beside("console"));
    for (const Unit unit : {Unit::virtio_iommu, Unit::intel_iommu, Unit::amd_iommu})
      if (options_.iommu == conform::name_of(unit)) identity_.unit = unit;
    if (!identity_.unit && commands) identity_.unit = commands->unit;
    if (!identity_.caching_mode && c.commands) identity_.caching_mode = maps_invalidate(c);
    if (!options_.cmdline.empty()) identity_.cmdline = options_.cmdline;
    if (!identity_.lazy) identity_.lazy = c.recording.flushes_marked;
    kernel_ = options_.kernel.empty()
                  ? conform::nearest_kernel(identity_.kernel, scenario::toml_names(scenario::kernels_folder()))
                  : options_.kernel;
  }

  /// With caching mode a map invalidates too: more invalidations than unmaps.
  static bool maps_invalidate(const Case& c) {
    std::uint64_t pages = 0;
    for (const conform::Request& r : c.commands->stream.requests) pages += r.kind == conform::Request::Kind::pages;
    return pages > c.recording.mappings.size() + c.recording.mappings.size() / 2;
  }

  bool configure(Case& out) {
    const unsigned vcpus = std::max(identity_.vcpus, out.recording.cpus);
    std::string cmdline = identity_.cmdline;
    if (cmdline.find("iommu.strict=") == std::string::npos)
      cmdline += fmt::format(" iommu.strict={}", *identity_.lazy ? 0 : 1);
    const auto room = room_for(out.recording);
    if (!room) {
      complain(
          fmt::format("gnomon conform: {}: mappings of more than {} GiB are more than the simulated guest has\n",
                      path_, most_room));
      return false;
    }
    std::string text = fmt::format(
        "title = \"conformance\"\n[machine]\nprofile = \"{}\"\n[hypervisor]\nkind = \"kvm\"\n[guest]\nkernel = "
        "\"{}\"\n"
        "vcpus = {}\nmemory = \"{}GiB\"\ncmdline = \"{}\"\n[iommu]\ndevice = \"{}\"\n",
        options_.machine, kernel_, vcpus, *room, cmdline, conform::name_of(*identity_.unit));
    text += "[workload.map_benchmark]\n";
    auto resolved = resolve(text);
    if (!resolved) return false;
    if (*identity_.lazy && !resolved->variants.front().configuration.guest.deferred) {  // by sysfs, at run time
      text.insert(text.find("[iommu]"), "sysfs_dma_fq = true\n");
      resolved = resolve(text);
      if (!resolved) return false;
    }
    out.configuration = resolved->variants.front().configuration;
    // A recorded guest's devices are emulated too, and those do without caching mode; passed-through ones do not.
    if (identity_.unit == Unit::intel_iommu)
      out.configuration.intel_device.caching_mode = identity_.caching_mode.value_or(false);
    if (identity_.unit == Unit::virtio_iommu)
      out.configuration.iommu_page_sizes =
          identity_.page_sizes != 0 ? identity_.page_sizes : ~(page_size - 1);  // QEMU's default
    const bool lazy = out.configuration.guest.deferred;
    const bool cm = identity_.unit == Unit::intel_iommu && identity_.caching_mode.value_or(false);
    out.guest = fmt::format(
        "Linux {} (as {}), {}{}, {}, {} CPUs", identity_.kernel.empty() ? kernel_ : identity_.kernel, kernel_,
        conform::name_of(*identity_.unit), cm ? " with caching mode" : "", lazy ? "lazy" : "strict", vcpus);
    return true;
  }

  static constexpr std::uint64_t most_room = 512;  // GiB

  /// The simulated guest needs room beside the trace's buffers, whatever the recorded one had. In GiB.
  static std::optional<std::uint64_t> room_for(const conform::Recording& recording) {
    constexpr std::uint64_t least = 4;
    std::vector<guest::Run> runs;
    for (const conform::RecordedMapping& mapping : recording.mappings) {
      if (mapping.bytes >> 30 >= most_room) return std::nullopt;
      for (const gtrace::Run& run : mapping.runs) runs.push_back({Gpa{run.address}, run.bytes});
    }
    const std::uint64_t gib = (guest::RecordedMemory::bytes_for(runs) >> 30) + 1;
    if (gib >= most_room) return std::nullopt;
    return std::max(least, std::bit_ceil(gib + gib / 2));
  }

  std::optional<scenario::ResolvedScenario> resolve(const std::string& text) const {
    config::Diagnostics diagnostics;
    std::optional<scenario::ResolvedScenario> resolved;
    if (const auto document = config::parse_document(text, path_, config::OriginKind::scenario, diagnostics))
      resolved = scenario::resolve(*document, path_, {}, diagnostics);
    if (diagnostics.has_errors()) complain(diagnostics.render());
    return resolved;
  }

  void drive(const TraceIntake& intake, Case& out) {
    out.driven_by = "the recorded order of maps and unmaps";
    const auto job = conform::job_of_report(intake.beside("fio.out"));
    if (job && conform::is_sequence(*job) && out.recording.unnamed == 0) {
      conform::Recording theirs = conform::recording_of_job(*job, out.recording, out.job_difference);
      out.driven_by = fmt::format(
          "the fio job alone: {}, {} I/Os of {} bytes; fio's {} moves between CPUs as recorded",
          fio::to_string(job->pattern), theirs.mappings.size(), job->block_size.write, moves_between_cpus(theirs));
      if (out.job_difference.empty()) out.recording = std::move(theirs);
    }
    const scenario::GuestConfiguration& g = out.configuration.guest;
    conform::ScheduleOptions options;
    options.iova = g.iova;
    options.flush_queue = g.flush_queue;
    options.lazy = g.deferred;
    options.cpus = g.vcpus;
    options.hz = g.hz;
    options.limits.force_dac = g.force_dac;
    const std::uint64_t memory = identity_.memory != 0 ? identity_.memory : std::uint64_t{1} << 30;
    const auto reserved = guest::reserved_windows(memory);
    options.reserved.assign(reserved.begin(), reserved.end());
    out.schedule = conform::explain(out.recording, options);
    auto script = std::make_shared<guest::ReplayScript>(out.schedule.script);
    for (const guest::PageRange& range : options.reserved) script->occupied.push_back(range);
    out.configuration.benchmark = guest::ReplaySpec{std::move(script), guest::ReplayPacing::ordered, 1'000'000, false};
  }

  static std::size_t moves_between_cpus(const conform::Recording& recording) {
    std::size_t moves = 0;
    const conform::RecordedStep* before = nullptr;
    for (const conform::RecordedStep& step : recording.steps) {
      if (step.kind != conform::RecordedStep::Kind::map) continue;
      moves += before != nullptr && before->cpu != step.cpu;
      before = &step;
    }
    return moves;
  }

  const std::string& path_;
  const ConformOptions& options_;
  conform::GuestIdentity identity_;
  std::string kernel_;
  bool failed_ = false;
};

/// In a process of its own: simulates, compares, and tells.
int compare_one(const Case& c, run::Channel& channel) {
  conform::SimulatedCommands simulated;
  run::SimulationOptions options;
  options.sinks = {&simulated};
  const auto& spec = std::get<guest::ReplaySpec>(c.configuration.benchmark);
  std::function<Gpa(Gpa)> recorded;
  options.on_end = [&](const guest::Workload& workload) {
    const auto& memory = static_cast<const guest::ReplayWorkload&>(workload).memory();
    simulated.translate([&](std::uint64_t gpa) { return memory.recorded(Gpa{gpa}).value; });
  };
  const run::SimulationResult result = run::simulate(c.configuration, options);
  if (result.status != run::Status::ok) {
    channel.result(
        fmt::format("{}\n  the simulation did not end: {}\n  DOES NOT CONFORM\n", c.title, result.explanation));
    return results::exit_expectation_failed;
  }
  conform::Schedule schedule = c.schedule;
  schedule.script = *spec.script;
  const conform::Verdict verdict = conform::report(
      {c.title, c.guest, c.driven_by, c.job_difference, c.note, c.recording, schedule, simulated,
       c.commands ? &*c.commands : nullptr, c.configuration.guest.hz, c.configuration.guest.flush_queue.timeout});
  channel.result(verdict.text);
  return verdict.conforms ? 0 : results::exit_expectation_failed;
}

}  // namespace

int conform_command(const ConformOptions& options) {
  std::vector<run::Job> jobs;
  for (const std::string& trace : options.traces) {
    auto prepared = Preparation{trace, options}.run();
    if (prepared.empty()) return results::exit_bad_input;
    for (Case& c : prepared) {
      auto shared = std::make_shared<const Case>(std::move(c));
      jobs.push_back({shared->title, [shared](run::Channel& channel) { return compare_one(*shared, channel); }});
    }
  }
  run::Options supervision;
  supervision.jobs = options.jobs;
  const run::Supervision done = run::supervise(std::move(jobs), supervision);
  if (done.signal != 0) return run::exit_status_of_signal(done.signal);
  int code = 0;
  std::size_t good = 0;
  for (const run::Outcome& outcome : done.outcomes) {
    print(outcome.result);
    if (!outcome.message.empty()) complain(fmt::format("gnomon conform: {}: {}\n", outcome.name, outcome.message));
    good += outcome.exit_code == 0;
    code = std::max(code, outcome.exit_code < 0 ? results::exit_not_finished : outcome.exit_code);
  }
  if (done.outcomes.size() > 1) print(fmt::format("{} of {} traces conform\n", good, done.outcomes.size()));
  return code;
}

}  // namespace gnomon::app
