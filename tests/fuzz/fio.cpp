// SPDX-License-Identifier: Apache-2.0
// A fio job file, which may include itself as "again". It is accepted with jobs a submitter can run, or every error
// has its place in the text.
#include <algorithm>
#include <string_view>

#include "guest/fio/io_generator.hpp"
#include "guest/fio/job_file.hpp"
#include "tests/fuzz/target.hpp"

using namespace gnomon;
using fuzz::promise;

namespace {

constexpr std::uint64_t drive_bytes = std::uint64_t{1} << 40;

void check(const fio::JobSpec& job) {
  promise(job.numjobs >= 1 && job.numjobs <= 4096, "clones in bounds");
  promise(job.iodepth >= 1, "a depth");
  promise(job.iodepth_batch >= 1 && job.iodepth_batch <= job.iodepth, "a batch within the depth");
  promise(job.iodepth_batch_complete_min <= job.iodepth_batch_complete_max, "a batch of completions in order");
  promise(job.block_size.read >= 1 && job.block_size.write >= 1, "a block size");
  promise(job.rwmixread <= 100, "a percentage");
  promise(job.direct || job.engine == fio::Engine::null, "no buffered I/O");
  promise(job.engine != fio::Engine::psync || job.iodepth == 1, "a synchronous engine has one I/O in flight");
  promise(!job.time_based || job.has_runtime, "an end of a time-based job");
  promise(!job.name.empty() || !job.options.empty(), "a job that is named by its section or an option");
  static_cast<void>(fio::resolve_region(job, drive_bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fio::JobFileContext context;
  context.include = [&](std::string_view path) {
    return path == "again" ? std::optional{std::string{text}} : std::nullopt;
  };
  context.variables = {{"pagesize", "4096"}, {"mb_memory", "8192"}, {"ncpus", "4"}};
  const fio::JobFile file = fio::parse_job_file(text, context);
  promise(!file.ok() || !file.jobs.empty(), "what is accepted has a job");
  std::for_each(file.jobs.begin(), file.jobs.end(), check);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const fio::FioDiagnostic& d : file.diagnostics) {
    promise(!d.message.empty(), "an error says what it is");
    promise(d.line <= lines && d.column <= size + 1, "an error is in the text");
    promise(d.file.empty() || d.line != 0, "an included file's error has a line");
    static_cast<void>(fio::to_string(d, "input.fio"));
  }
  std::uint64_t threads = 0, planned = 0;
  for (const fio::JobSpec& job : file.jobs) threads += job.numjobs;
  for (const fio::ReportEntry& entry : fio::plan_report(file.jobs)) planned += entry.threads;
  promise(planned == threads, "every thread is reported once");
  return 0;
}
