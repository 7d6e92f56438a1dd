// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/fio_jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "guest/fio/io_generator.hpp"
#include "guest/fio/job_file.hpp"
#include "models/base/wide.hpp"

namespace gnomon::scenario {
namespace {

namespace fs = std::filesystem;
using config::Diagnostics;
using config::Location;

constexpr std::uint64_t kernel_bytes = std::uint64_t{64} << 20;  // firmware, kernel, rings: not for buffers
constexpr std::uint64_t low_memory_bytes = std::uint64_t{3} << 30;

/// The block devices of the guest's drives, in the order of the scenario's devices.
std::vector<std::string> block_devices(const std::vector<DeviceTable>& devices) {
  std::vector<std::string> names;
  for (const DeviceTable& device : devices)
    if (device.model == DeviceModel::nvme) names.push_back(fmt::format("/dev/nvme{}n1", names.size()));
  if (devices.empty()) names.emplace_back("/dev/nvme0n1");
  return names;
}

std::optional<std::string> read_text(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  if (!in.good() && !in.eof()) return std::nullopt;
  return std::move(text).str();
}

/// A text of the job file, or of one it includes, as a source of locations.
Location location_in(const std::string& name, std::shared_ptr<const std::string> text, unsigned line,
                     unsigned column) {
  auto source = std::make_shared<config::Source>();
  source->name = name;
  source->text = std::move(text);
  return {std::move(source), std::max(line, 1u), std::max(column, 1u)};
}

std::string note_of(const fio::FioDiagnostic& d) {
  std::string note = d.nearest.empty() ? "" : fmt::format("did you mean '{}'?\n", d.nearest);
  if (!d.accepted.empty()) note += fmt::format("accepted: {}", fmt::join(d.accepted, ", "));
  return note;
}

class Loader {
 public:
  Loader(const ScenarioFile& file, const config::Origins& origins, Diagnostics& diagnostics)
      : file_(file), origins_(origins), diagnostics_(diagnostics) {}

  std::vector<fio::JobSpec> load(const fs::path& folder, const fs::path& shown_folder) {
    folder_ = folder;
    shown_folder_ = shown_folder.lexically_normal();
    const fs::path path = folder / file_.workload.fio;
    shown_ = (shown_folder / file_.workload.fio).lexically_normal().string();
    auto text = read_text(path);
    if (!text) {
      diagnostics_.error(origins_.where("workload.fio"), fmt::format("cannot read the job file \"{}\"", shown_),
                         "its path is relative to the scenario");
      return {};
    }
    text_ = std::make_shared<const std::string>(std::move(*text));
    fio::JobFile jobs = parse();
    if (!jobs.ok()) return {};
    for (fio::JobSpec& job : jobs.jobs) apply_overrides(job);
    return check(jobs.jobs) ? std::move(jobs.jobs) : std::vector<fio::JobSpec>{};
  }

 private:
  /// Where to open what messages call `shown`, a file some other one includes.
  fs::path opened(const fs::path& shown) const {
    if (shown.is_absolute()) return shown;
    return folder_ / (shown_folder_.empty() ? shown : shown.lexically_relative(shown_folder_));
  }

  fio::JobFile parse() {
    fio::JobFileContext context;
    context.include = [this](std::string_view included) { return read_text(opened(included)); };
    context.directory = fs::path{shown_}.parent_path().string();
    context.sections = file_.workload.section;
    context.variables = {{"pagesize", "4096"},
                         {"mb_memory", std::to_string(file_.guest.memory >> 20)},
                         {"ncpus", std::to_string(file_.guest.vcpus)}};
    fio::JobFile jobs = fio::parse_job_file(*text_, context);
    for (const fio::FioDiagnostic& d : jobs.diagnostics) report(d);
    return jobs;
  }

  void report(const fio::FioDiagnostic& d) {
    if (d.line == 0 && d.file.empty()) {  // of the choice of sections, or of the file as a whole
      const bool sections = !file_.workload.section.empty();
      const Location where = origins_.where(sections ? "workload.section" : "workload.fio");
      diagnostics_.error(where, fmt::format("{}: {}", shown_, d.message), note_of(d));
    } else if (d.file.empty()) {
      diagnostics_.error(location_in(shown_, text_, d.line, d.column), d.message, note_of(d));
    } else {
      auto text = std::make_shared<const std::string>(read_text(opened(d.file)).value_or(""));
      diagnostics_.error(location_in(d.file, std::move(text), d.line, d.column), d.message, note_of(d));
    }
  }

  void apply_overrides(fio::JobSpec& job) const {
    if (file_.workload.runtime) {
      job.has_runtime = true;
      job.runtime = *file_.workload.runtime;
    }
    if (file_.workload.ramp_time) job.ramp_time = *file_.workload.ramp_time;
  }

  bool check(const std::vector<fio::JobSpec>& jobs) {
    const std::vector<std::string> drives = block_devices(file_.devices);
    const std::uint64_t run = 64 * 1024 / file_.guest.runs_per_64k;  // aligned to its size, a gap after each
    std::uint64_t buffers = 0;
    bool good = true;
    for (const fio::JobSpec& job : jobs) {
      const auto error = [&](std::string message, std::string note = "") {
        diagnostics_.error(location_in(shown_, text_, job.line, 1), std::move(message), std::move(note));
        good = false;
      };
      const fio::Region region = fio::resolve_region(job, file_.machine.constants.nvme.capacity);
      if (!region.error.empty()) error(fmt::format("job '{}': {}", job.name, region.error));
      if (!job.filename.empty() && std::find(drives.begin(), drives.end(), job.filename) == drives.end())
        error(fmt::format("job '{}': the guest has no \"{}\"", job.name, job.filename),
              fmt::format("accepted: {}", fmt::join(drives, ", ")));
      const std::uint64_t largest = std::max(job.block_size.read, job.block_size.write);
      if (largest > std::uint64_t{1} << 30)
        error(fmt::format("job '{}': a block is larger than 1GiB", job.name));
      else
        buffers += std::uint64_t{job.numjobs} * job.iodepth * ((largest + run - 1) / run) * 2 * run;
    }
    good = good && check_length(jobs);
    const std::uint64_t room = std::min(file_.guest.memory, low_memory_bytes) - kernel_bytes;
    if (good && buffers > room) {
      diagnostics_.error(origins_.where("workload.fio"),
                         fmt::format("the jobs' buffers need {}, and the guest has {} for them",
                                     config::format_quantity(buffers >> 20 << 20, config::Unit::bytes),
                                     config::format_quantity(room, config::Unit::bytes)),
                         "numjobs x iodepth x runs of a block, each run aligned and with a gap behind it");
      good = false;
    }
    return good;
  }

  /// Groups of jobs run one after the other: all of them must end before simulated time does.
  bool check_length(const std::vector<fio::JobSpec>& jobs) {
    Wide before = 0, group = 0;  // ps
    for (const fio::JobSpec& job : jobs) {
      if (job.stonewall) before += std::exchange(group, 0);
      group = std::max(group, Wide{job.startdelay.ps()} + job.ramp_time.ps() + job.runtime.ps());
      if (before + group <= longest_span.ps()) continue;
      diagnostics_.error(location_in(shown_, text_, job.line, 1),
                         fmt::format("job '{}' would end after more simulated time than there is", job.name),
                         fmt::format("accepted: startdelay, ramp_time and runtime, of all jobs that run one after the "
                                     "other, of {} together",
                                     config::format_quantity(longest_span)));
      return false;
    }
    return true;
  }

  const ScenarioFile& file_;
  const config::Origins& origins_;
  Diagnostics& diagnostics_;
  fs::path folder_, shown_folder_;  // of the scenario: for opening, in messages
  std::string shown_;               // the job file, in messages
  std::shared_ptr<const std::string> text_;
};

}  // namespace

std::vector<fio::JobSpec> load_jobs(const ScenarioFile& file, const config::Origins& origins,
                                    const fs::path& folder, const fs::path& shown_folder,
                                    Diagnostics& diagnostics) {
  return Loader{file, origins, diagnostics}.load(folder, shown_folder);
}

}  // namespace gnomon::scenario
