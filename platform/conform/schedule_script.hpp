// SPDX-License-Identifier: Apache-2.0
// The script that has the simulated guest do what a recording shows, with what timing did by a hypothesis.
#pragma once

#include "platform/conform/schedule.hpp"
#include "platform/conform/trial.hpp"

namespace gnomon::conform {

/// `log`: of a trial under the hypothesis. Of the schedule, only the script is made.
Schedule script_of(const Recording& recording, const ScheduleOptions& options, const Hypothesis& hypothesis,
                   const TrialLog& log);

}  // namespace gnomon::conform
