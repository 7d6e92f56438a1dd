// SPDX-License-Identifier: Apache-2.0
// What a comparison came to, in words.
#pragma once

#include <string>

#include "platform/conform/comparison.hpp"
#include "platform/conform/recorded_commands.hpp"
#include "platform/conform/schedule.hpp"
#include "platform/conform/simulated_commands.hpp"

namespace gnomon::conform {

struct Verdict {
  bool conforms = true;
  std::string text;
};

/// What drove the simulated guest: "the recorded order", "the fio job alone: randwrite ...".
struct ReportInput {
  std::string title;
  std::string guest;
  std::string driven_by;
  std::string job_difference;  ///< see recording_of_job
  std::string note;            ///< what cannot be compared
  const Recording& recording;
  const Schedule& schedule;
  const SimulatedCommands& simulated;
  const RecordedCommands* recorded = nullptr;  ///< null: the trace has no log of the vIOMMU
  unsigned hz = 250;
  Time flush_timeout;
};

Verdict report(const ReportInput& input);

}  // namespace gnomon::conform
