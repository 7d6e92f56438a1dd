// SPDX-License-Identifier: Apache-2.0
// Jobs under a debugger's eyes.
#pragma once

#include <vector>

#include "platform/run/supervisor.hpp"

namespace gnomon::run {

/// What supervise() does with Options::in_process.
Supervision run_in_process(const std::vector<Job>& jobs, const Options& options);

}  // namespace gnomon::run
