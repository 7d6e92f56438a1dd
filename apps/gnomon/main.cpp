// SPDX-License-Identifier: Apache-2.0
// gnomon: the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
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
  run->add_option("--trace", o.trace, "perfetto or none (default: as the scenario says)");
  run->add_flag("--log", o.log, "write every event as a line into events.log of each variant's folder");
  run->add_flag("--check", o.check, "exit 1 if an expectation fails");
  run->add_flag("--json", o.json, "print the summary instead of the table");
  run->add_flag("--quiet", o.quiet, "print errors only");
  run->add_flag("--in-process", o.in_process, "simulate in this process, for debuggers; one variant");
}

}  // namespace

int main(int argc, char** argv) {
  ::setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  run::install_termination_handlers();

  CLI::App app{"Gnomon: a simulator of a virtual machine with a vIOMMU", "gnomon"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "gnomon " GNOMON_VERSION);

  app::RunOptions run_options;
  run_options.jobs = std::max(1u, std::thread::hardware_concurrency());
  add_run(app, run_options);

  app::CheckOptions check_options;
  check_options.jobs = run_options.jobs;
  CLI::App* check = app.add_subcommand("check", "run every scenario and hold its expectations");
  check->add_option("PATH", check_options.paths, "scenario files or folders (default: the program's own)");
  check->add_option("--jobs", check_options.jobs, "variants at a time")->check(CLI::Range(1u, 4096u));
  check->add_flag("--update", check_options.update, "write what files under bad/ are refused with");
  check->add_flag("--quiet", check_options.quiet, "print what fails, and the count");

  app::ValidateOptions validate_options;
  CLI::App* validate = app.add_subcommand("validate", "parse and check scenarios, run nothing");
  validate->add_option("SCENARIO", validate_options.scenarios, "scenario files")->required();
  validate->add_option("--set", validate_options.settings, "PATH=VALUE: sets a key of the scenario")
      ->take_all()
      ->expected(1);
  validate->add_flag("--quiet", validate_options.quiet, "print errors only");

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
