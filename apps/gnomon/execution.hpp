// SPDX-License-Identifier: Apache-2.0
// A resolved scenario, run: every variant and seed in a process of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "platform/check/run_cache.hpp"
#include "platform/results/summary.hpp"
#include "platform/scenario/resolve.hpp"

namespace gnomon::app {

struct ExecutionOptions {
  std::uint64_t seed = 1;
  std::uint64_t repeat = 1;
  unsigned jobs = 1;
  unsigned stall_s = 120;         ///< wall time without progress that ends a variant; 0: none
  std::vector<std::string> only;  ///< variants to run; empty: all
  bool in_process = false;
  bool quiet = false;
  std::vector<std::string> traces;  ///< perfetto, vcd, csv
  bool log = false;
  bool transcript = false;
  const check::RunCache* cache = nullptr;  ///< of runs that write no traces: looked into first, and added to
  std::filesystem::path folder;  ///< where traces go; it has its run folders. Empty: nothing is written
};

struct Execution {
  results::ScenarioResult result;
  std::size_t runs = 0;
  std::size_t cached = 0;  ///< of the runs, those the cache had
  int signal = 0;  ///< a termination signal that came meanwhile: the result is not whole
  std::vector<std::string> output_errors;
};

/// The variants of `scenario` that `only` selects, in order.
std::vector<std::string> selected(const scenario::ResolvedScenario& scenario, const std::vector<std::string>& only);

Execution execute(const scenario::ResolvedScenario& scenario, const ExecutionOptions& options);

}  // namespace gnomon::app
