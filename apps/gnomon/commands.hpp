// SPDX-License-Identifier: Apache-2.0
// The subcommands: each takes its options and returns the program's exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gnomon::app {

struct RunOptions {
  std::vector<std::string> scenarios;
  std::vector<std::string> settings;
  std::vector<std::string> only;
  std::string out;
  std::uint64_t seed = 1;
  std::uint64_t repeat = 1;
  unsigned jobs = 1;
  unsigned stall_s = 120;  ///< wall time without progress that ends a variant; 0: none
  std::string trace;       ///< "", "none" or a list
  bool check = false;
  bool json = false;
  bool quiet = false;
  bool in_process = false;
  bool log = false;
};
int run_command(const RunOptions& options);

struct ValidateOptions {
  std::vector<std::string> scenarios;
  std::vector<std::string> settings;
  bool quiet = false;
};
int validate_command(const ValidateOptions& options);

struct CheckOptions {
  std::vector<std::string> paths;
  std::string junit;  ///< files to write; empty: none
  std::string markdown;
  std::string bench_json;
  unsigned jobs = 1;
  unsigned stall_s = 120;  ///< as RunOptions::stall_s
  bool no_cache = false;
  bool update = false;
  bool quiet = false;
};
int check_command(const CheckOptions& options);

struct ReportOptions {
  std::vector<std::string> folders;
  std::string out;  ///< empty: report.html in the first folder
  bool quiet = false;
};
int report_command(const ReportOptions& options);

struct DiffOptions {
  std::string a, b;
  std::string out;  ///< a page to write; empty: none
  double threshold_percent = 0;
  bool json = false;
  bool exit_code = false;
};
int diff_command(const DiffOptions& options);

struct ImportOptions {
  std::vector<std::string> traces;
  std::string out;
  std::string device;
  std::uint64_t block_bytes = 0;
  std::vector<std::string> members;
  std::vector<std::string> keep;
  bool json = false;
  bool quiet = false;
};
int import_command(const ImportOptions& options);

struct InspectOptions {
  std::string file;
  std::uint64_t events = 0;
  bool all_events = false;
  std::optional<std::uint32_t> stream;
  bool json = false;
};
int inspect_command(const InspectOptions& options);

struct ConformOptions {
  std::vector<std::string> traces;
  std::string machine = "intel-desktop-2023";
  std::string kernel;  ///< empty: as the trace tells, likewise the two below
  std::string iommu;
  std::string cmdline;
  unsigned jobs = 1;
};
int conform_command(const ConformOptions& options);

struct ReplayOptions {
  std::vector<std::string> traces;
  std::vector<std::string> variants;
  std::string machine = "intel-desktop-2023";
  std::string kernel;  ///< empty: the recorded guest's, else 6.12
  std::string iommu;   ///< empty: the recorded guest's, else virtio-iommu
  std::string mode = "closed";
  double rate = 1;
  unsigned jobs = 1;
  bool json = false;
};
int replay_command(const ReplayOptions& options);

int list_command(const std::string& what);
int explain_command(const std::string& name);
int reference_command(const std::string& what);

/// Writes to standard output; throws run::IoError where it cannot.
void print(const std::string& text);
/// To standard error, which nobody checks.
void complain(const std::string& text);

}  // namespace gnomon::app
