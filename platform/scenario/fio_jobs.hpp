// SPDX-License-Identifier: Apache-2.0
// The job file of a scenario, found, read and judged.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "guest/fio/job_spec.hpp"
#include "platform/scenario/scenario_file.hpp"

namespace gnomon::scenario {

/// The jobs of `file.workload`, with its overrides applied. `folder`: of the scenario, for opening; `shown_folder`:
/// the same for messages. Empty after errors, which are told at the job file's own lines where they are there.
std::vector<fio::JobSpec> load_jobs(const ScenarioFile& file, const config::Origins& origins,
                                    const std::filesystem::path& folder, const std::filesystem::path& shown_folder,
                                    config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
