// SPDX-License-Identifier: Apache-2.0
// What one simulation leaves: written by the process that ran it, read by the one that supervises.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/observe/metrics.hpp"
#include "platform/run/simulate.hpp"
#include "platform/run/supervisor.hpp"

namespace gnomon::results {

struct RunRecord {
  std::uint64_t seed = 1;
  std::string status;       ///< one of the contract's: ok, guest_panic, deadlock, watchdog, out_of_memory, crashed
  std::string explanation;  ///< of a status that is not ok
  observe::MetricValues metrics;      ///< sim.wall_s, sim.cpu_s and sim.peak_rss_bytes included
  std::string trace_hash;             ///< 16 hexadecimal digits; empty where the simulation did not end
  std::vector<std::string> findings;  ///< the sanitizer's, a paragraph each
  std::uint64_t verdicts = 0;         ///< of which `findings` keeps the first few
  std::string exit_table;
  std::string transcript;                    ///< where it was asked for
  std::vector<guest::WorkloadOutput> files;  ///< of the workload, and series.json and trace.hashes
  std::string output_error;  ///< a trace that could not be written

  bool ok() const { return status == "ok"; }
};

/// For Channel::result(). `status` is run::to_string(result.status).
std::string encode(const run::SimulationResult& result, std::string_view status);

/// The record of a job that ended; also where it left no result, or one that cannot be read: crashed.
RunRecord to_record(const run::Outcome& outcome, std::uint64_t seed);

}  // namespace gnomon::results
