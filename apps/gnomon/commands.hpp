// SPDX-License-Identifier: Apache-2.0
// The subcommands: each takes its options and returns the program's exit code.
#pragma once

#include <cstdint>
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
  std::string trace;  ///< "", "none" or a list
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
  unsigned jobs = 1;
  bool update = false;
  bool quiet = false;
};
int check_command(const CheckOptions& options);

int list_command(const std::string& what);
int explain_command(const std::string& name);
int reference_command(const std::string& what);

/// Writes to standard output; throws run::IoError where it cannot.
void print(const std::string& text);
/// To standard error, which nobody checks.
void complain(const std::string& text);

}  // namespace gnomon::app
