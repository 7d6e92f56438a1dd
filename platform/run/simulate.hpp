// SPDX-License-Identifier: Apache-2.0
// One simulation, in this process: the kernel elaborates once, so a process simulates once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "guest/kernel/workload.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/observe/sanitizer.hpp"
#include "platform/scenario/configuration.hpp"

namespace gnomon::run {

/// How a simulation ended. The names are the contract's.
enum class Status { ok, guest_panic, deadlock, watchdog };
const char* to_string(Status status);

struct SimulationProgress {
  Time simulated;
  Time horizon;
  std::uint64_t events = 0;
};

struct SimulationOptions {
  std::filesystem::path timeline;                              ///< where the Perfetto trace goes; empty: none
  std::filesystem::path vcd;                                    ///< likewise observe::VcdTrace
  std::filesystem::path csv;                                    ///< likewise observe::CsvTrace
  std::filesystem::path log;                                    ///< where the human log of every event goes; empty: none
  bool transcript = false;                                     ///< observe::Transcript's text is wanted
  bool blame = true;                                           ///< blame and refill ledger; off to measure their cost
  std::function<void(const SimulationProgress&)> on_progress;  ///< now and then, at most a few times a second
  std::function<void(const guest::Workload&)> on_end;           ///< told of the workload when it has finished
  std::vector<trace::Sink*> sinks;                             ///< further observers, told last; they outlive the run
};

struct SimulationResult {
  Status status = Status::ok;
  std::string explanation;  ///< of a status that is not ok
  observe::MetricValues metrics;
  std::vector<observe::Finding> findings;
  std::uint64_t verdicts = 0;
  std::uint64_t trace_hash = 0;
  std::string exit_table;
  std::string transcript;
  std::string series;        ///< series.json
  std::string trace_hashes;  ///< trace.hashes
  std::vector<guest::WorkloadOutput> files;  ///< of the workload: fio.txt, fio.json, …
  std::string output_error;  ///< a trace that could not be written: what and why
};

/// Runs to the end of the workload. Throws std::logic_error when called twice in a process, and what the simulated
/// software throws.
SimulationResult simulate(const scenario::Configuration& configuration, const SimulationOptions& options);

}  // namespace gnomon::run
