// SPDX-License-Identifier: Apache-2.0
#include "platform/conform/job_sequence.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "guest/fio/io_generator.hpp"
#include "guest/fio/job_file.hpp"

namespace gnomon::conform {

using Kind = RecordedStep::Kind;

std::optional<fio::JobSpec> job_of_report(const std::string& report) {
  const std::size_t open = report.find('{');
  const std::size_t close = report.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  const auto json = nlohmann::json::parse(report.substr(open, close - open + 1), nullptr, false);
  if (!json.is_object() || !json.contains("jobs") || !json["jobs"].is_array() || json["jobs"].size() != 1)
    return std::nullopt;
  std::string text = "[job]\n";
  const auto add = [&](const nlohmann::json& options) {
    if (!options.is_object()) return;
    for (const auto& [key, value] : options.items()) {
      if (key == "name" || key == "thread" || key == "output-format" || !value.is_string()) continue;
      text += fmt::format("{}={}\n", key, value.get<std::string>());
    }
  };
  if (json.contains("global options")) add(json["global options"]);
  const nlohmann::json& job = json["jobs"].front();
  if (!job.contains("job options")) return std::nullopt;
  add(job["job options"]);
  const fio::JobFile file = fio::parse_job_file(text);
  if (!file.ok() || file.jobs.size() != 1) return std::nullopt;
  return file.jobs.front();
}

bool is_sequence(const fio::JobSpec& job) {
  return job.iodepth == 1 && job.numjobs == 1 && !job.has_runtime && job.size.bytes != 0;
}

Recording recording_of_job(const fio::JobSpec& job, const Recording& recording, std::string& difference) {
  Recording out;
  out.cpus = recording.cpus;
  out.flushes_marked = recording.flushes_marked;
  const fio::Region region = fio::resolve_region(job, job.offset.bytes + job.size.bytes);
  fio::IoGenerator generator(job, region, 1, 1);
  fio::IoRequest io;
  bool mapped = false;
  std::size_t ios = 0;
  const auto wrong = [&](std::size_t at, const std::string& what) {
    if (difference.empty()) difference = fmt::format("operation {}: {}", at, what);
  };
  for (std::size_t i = 0; i < recording.steps.size() && difference.empty(); ++i) {
    RecordedStep step = recording.steps[i];
    if (step.kind == Kind::map) {
      if (mapped || !generator.next(io)) {
        wrong(i, mapped ? "a second mapping while one I/O is in flight" : "a mapping after the job's last I/O");
        break;
      }
      const RecordedMapping& theirs = recording.mappings[step.mapping];
      const std::uint64_t bytes = (io.bytes + page_size - 1) & ~(page_size - 1);
      if (theirs.bytes != bytes)
        wrong(i, fmt::format("{} bytes are mapped for an I/O of {}", theirs.bytes, io.bytes));
      const bool read = io.direction == fio::Direction::read;
      step.mapping = static_cast<std::uint32_t>(out.mappings.size());
      step.bytes = bytes;
      const auto& buffer = recording.mappings.front().runs;
      out.mappings.push_back(
          {theirs.iova, bytes, read ? gtrace::Direction::from_device : gtrace::Direction::to_device, buffer});
      mapped = true;
      ++ios;
    } else if (step.kind == Kind::unmap) {
      if (!mapped) wrong(i, "an unmap while no I/O is in flight");
      step.mapping = static_cast<std::uint32_t>(out.mappings.size() - 1);
      mapped = false;
    }
    out.steps.push_back(step);
  }
  if (difference.empty() && generator.next(io))
    wrong(recording.steps.size(), fmt::format("the trace ends after {} I/Os of the job, and it has more", ios));
  return out;
}

}  // namespace gnomon::conform
