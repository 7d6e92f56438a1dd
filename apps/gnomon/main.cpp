// SPDX-License-Identifier: Apache-2.0
// gnomon: the command line.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <thread>

#include "apps/gnomon/commands.hpp"
#include "platform/results/verdicts.hpp"
#include "platform/run/file_operations.hpp"
#include "platform/run/signals.hpp"

/// libsystemc wants one; ours is main().
extern "C" int sc_main(int, char**) {
  return 0;
}

namespace {

using namespace gnomon;

constexpr std::uint64_t most_repeats = 10'000;

/// A standard stream that was closed before we came would be the next file we open, and what is printed would go
/// there. What takes its place fails every use of it.
void hold_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      static_cast<void>(::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
}

void add_stall(CLI::App& command, unsigned& seconds) {
  command
      .add_option("--stall", seconds,
                  "end a variant that shows no progress for so many seconds of the host's time "
                  "(default 120; 0: never)")
      ->check(CLI::Range(0u, 86'400u));
}

void add_run(CLI::App& app, app::RunOptions& o) {
  CLI::App* run = app.add_subcommand("run", "run scenarios and report");
  run->add_option("SCENARIO", o.scenarios, "scenario files")->required();
  run->add_option("--set", o.settings, "PATH=VALUE: sets a key of the scenario, over its variants too")
      ->take_all()
      ->expected(1);
  run->add_option("--only", o.only, "run this variant only; may be repeated")->take_all()->expected(1);
  run->add_option("--out", o.out, "folder of the results (default out/SCENARIO); an old result there is replaced");
  run->add_option("--seed", o.seed, "seed of every random stream (default 1)");
  run->add_option("--repeat", o.repeat, "run so many seeds and report means")
      ->check(CLI::Range(std::uint64_t{1}, most_repeats));
  run->add_option("--jobs", o.jobs, "variants at a time (default: as many as there are CPUs)")
      ->check(CLI::Range(1u, 4096u));
  run->add_option("--trace", o.trace,
                  "perfetto, vcd, csv, separated by commas, or none (default: as the scenario says)");
  run->add_flag("--log", o.log, "write every event as a line into events.log of each variant's folder");
  run->add_flag("--check", o.check, "exit 1 if an expectation fails");
  run->add_flag("--json", o.json, "print the summary instead of the table");
  run->add_flag("--quiet", o.quiet, "print errors only");
  add_stall(*run, o.stall_s);
  run->add_flag("--in-process", o.in_process, "simulate in this process, for debuggers; one variant");
}

CLI::App* add_import(CLI::App& app, app::ImportOptions& o) {
  CLI::App* import = app.add_subcommand("import", "turn traces of real guests into one .gtrace");
  import->add_option("TRACE", o.traces, "traces of one recording; - is standard input")->required();
  import->add_option("-o,--out", o.out, "the .gtrace to write")->required();
  import->add_option("--device", o.device, "device of mappings and requests whose device the trace does not name");
  import->add_option("--block-bytes", o.block_bytes, "size of an NVMe logical block, which ftrace does not tell")
      ->check(CLI::Range(512u, 65536u));
  import->add_option("--member", o.members, "of archives: only members whose path ends so; may be repeated")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  import->add_option("--keep-event", o.keep, "keep the times of an event gnomon has no use for; may be repeated")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  import->add_flag("--json", o.json, "print the report as JSON");
  import->add_flag("--quiet", o.quiet, "print errors only");
  return import;
}

CLI::App* add_inspect(CLI::App& app, app::InspectOptions& o) {
  CLI::App* inspect = app.add_subcommand("inspect", "what a .gtrace holds");
  inspect->add_option("FILE", o.file, "the .gtrace")->required();
  inspect
      ->add_option_function<std::string>(
          "--events",
          [&o](const std::string& text) {
            o.all_events = text == "all";
            if (!o.all_events && !CLI::detail::lexical_cast(text, o.events))
              throw CLI::ValidationError("--events", "takes a number or all");
          },
          "print so many events, or all")
      ->type_name("N|all");
  inspect->add_option("--stream", o.stream, "only events of this stream; the first is 0");
  inspect->add_flag("--json", o.json, "print JSON");
  return inspect;
}

CLI::App* add_conform(CLI::App& app, app::ConformOptions& o) {
  CLI::App* conform =
      app.add_subcommand("conform", "hold recorded guests against the simulated guest: commands, order, IOVAs");
  conform->add_option("TRACE", o.traces, "recordings, each a .gtrace or an archive of traces")->required();
  conform->add_option("--kernel", o.kernel, "of the recorded guest (default: as its trace tells)");
  conform->add_option("--iommu", o.iommu, "virtio-iommu, intel-iommu or amd-iommu (default: as the trace tells)");
  conform->add_option("--cmdline", o.cmdline, "the recorded kernel's, what concerns its IOMMU");
  conform->add_option("--machine", o.machine, "machine profile to simulate on: it decides times only");
  conform->add_option("--jobs", o.jobs, "traces at a time")->check(CLI::Range(1u, 4096u));
  return conform;
}

CLI::App* add_replay(CLI::App& app, app::ReplayOptions& o) {
  CLI::App* replay = app.add_subcommand("replay", "what a recorded workload would cost with other policies");
  replay->add_option("TRACE", o.traces, "one recording: a .gtrace, or what `gnomon import` takes")->required();
  replay->add_option("--variants", o.variants, "policies: none, strict, lazy, lazy-sq, each with -map or -nomap")
      ->delimiter(',');
  replay->add_option("--machine", o.machine, "machine profile");
  replay->add_option("--kernel", o.kernel, "kernel of the simulated guest (default: the recorded one's)");
  replay->add_option("--iommu", o.iommu, "its IOMMU (default: likewise)");
  replay->add_option("--mode", o.mode, "closed or open")->check(CLI::IsMember({"closed", "open"}));
  replay->add_option("--rate", o.rate, "how much faster than recorded")->check(CLI::Range(0.001, 1000.0));
  replay->add_option("--jobs", o.jobs, "variants at a time")->check(CLI::Range(1u, 4096u));
  replay->add_flag("--json", o.json, "print the summary as JSON");
  return replay;
}

}  // namespace

int main(int argc, char** argv) {
  ::setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  hold_standard_streams();
  run::install_termination_handlers();

  CLI::App app{"Gnomon: a simulator of a virtual machine with a vIOMMU", "gnomon"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "gnomon " GNOMON_VERSION);

  app::RunOptions run_options;
  run_options.jobs = std::max(1u, std::thread::hardware_concurrency());
  add_run(app, run_options);

  app::CheckOptions check_options;
  check_options.jobs = run_options.jobs;
  CLI::App* check =
      app.add_subcommand("check", "run every scenario and hold its expectations and golden transcripts");
  check->add_option("PATH", check_options.paths, "scenario files or folders (default: the program's own)");
  check->add_option("--jobs", check_options.jobs, "variants at a time")->check(CLI::Range(1u, 4096u));
  check->add_option("--junit", check_options.junit, "write JUnit XML to this file");
  check->add_option("--markdown", check_options.markdown, "write a summary in Markdown to this file");
  check->add_option("--bench-json", check_options.bench_json, "write figures for trend tools, smaller is better");
  add_stall(*check, check_options.stall_s);
  check->add_flag("--no-cache", check_options.no_cache, "simulate what has not changed since the last check too");
  check->add_flag("--update", check_options.update,
                  "write golden transcripts, and what files under bad/ are refused with, anew");
  check->add_flag("--quiet", check_options.quiet, "print what fails, and the count");

  app::ReportOptions report_options;
  CLI::App* report = app.add_subcommand("report", "one self-contained page with plots of result folders");
  report->add_option("DIR", report_options.folders, "result folders, or folders of them")->required();
  report->add_option("-o,--out", report_options.out,
                     "the page to write (default: report.html in the first folder)");
  report->add_flag("--quiet", report_options.quiet, "print errors only");

  app::DiffOptions diff_options;
  CLI::App* diff = app.add_subcommand("diff", "what changed between two results");
  diff->add_option("DIR_A", diff_options.a, "a result folder, or the folder of one variant")->required();
  diff->add_option("DIR_B", diff_options.b, "another")->required();
  diff->add_option("-o,--out", diff_options.out, "write a page with the changes and the plots of both");
  diff->add_option("--threshold", diff_options.threshold_percent, "least change to tell, in percent (default 0)")
      ->check(CLI::Range(0.0, 1e6));
  diff->add_flag("--json", diff_options.json, "print JSON");
  diff->add_flag("--exit-code", diff_options.exit_code, "exit 1 if a metric changed");

  app::ValidateOptions validate_options;
  CLI::App* validate = app.add_subcommand("validate", "parse and check scenarios, run nothing");
  validate->add_option("SCENARIO", validate_options.scenarios, "scenario files")->required();
  validate->add_option("--set", validate_options.settings, "PATH=VALUE: sets a key of the scenario")
      ->take_all()
      ->expected(1);
  validate->add_flag("--quiet", validate_options.quiet, "print errors only");

  app::ImportOptions import_options;
  CLI::App* import = add_import(app, import_options);
  app::InspectOptions inspect_options;
  CLI::App* inspect = add_inspect(app, inspect_options);

  app::ConformOptions conform_options;
  conform_options.jobs = run_options.jobs;
  CLI::App* conform = add_conform(app, conform_options);
  app::ReplayOptions replay_options;
  replay_options.jobs = run_options.jobs;
  CLI::App* replay = add_replay(app, replay_options);

  std::string list_what, explain_what, reference_what;
  CLI::App* list =
      app.add_subcommand("list", "what there is: scenarios, machines, iommus, kernels, policies, metrics, params");
  list->add_option("WHAT", list_what, "which list");
  CLI::App* explain = app.add_subcommand("explain", "a parameter or a metric: meaning, unit, default, source");
  explain->add_option("NAME", explain_what, "its name")->required();
  CLI::App* reference = app.add_subcommand(
      "reference", "a page of the reference: params, machine, metrics (Markdown), schema (JSON)");
  reference->add_option("PAGE", reference_what, "which page");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : results::exit_bad_input;
  }
  try {
    if (check->parsed()) return app::check_command(check_options);
    if (validate->parsed()) return app::validate_command(validate_options);
    if (report->parsed()) return app::report_command(report_options);
    if (diff->parsed()) return app::diff_command(diff_options);
    if (import->parsed()) return app::import_command(import_options);
    if (conform->parsed()) return app::conform_command(conform_options);
    if (replay->parsed()) return app::replay_command(replay_options);
    if (inspect->parsed()) return app::inspect_command(inspect_options);
    if (list->parsed()) return app::list_command(list_what);
    if (explain->parsed()) return app::explain_command(explain_what);
    if (reference->parsed()) return app::reference_command(reference_what);
    return app::run_command(run_options);
  } catch (const run::IoError& error) {
    app::complain(fmt::format("gnomon: {}\n", error.what()));
    return run::exit_output_failed;
  } catch (const std::exception& error) {
    app::complain(fmt::format("gnomon: {}\n", error.what()));
    return results::exit_not_finished;
  }
}
