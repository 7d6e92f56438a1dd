// SPDX-License-Identifier: Apache-2.0
// What a single option does to a job, and what must hold between the options of one job.
#pragma once

#include <string>
#include <vector>

#include "guest/fio/job_spec.hpp"

namespace gnomon::fio {

/// Why an option was refused; an empty message: it was accepted.
struct Refusal {
  std::string message;
  std::string nearest;
  std::vector<std::string> accepted;
  bool at_value = false;  ///< points at the value rather than the key
};

/// Applies `option` to `job`; on refusal the job is unchanged. job.kb_base must be known already.
Refusal apply_option(const OptionText& option, JobSpec& job);

/// Settles the values that depend on each other (fio's fixup of depths) and returns what is wrong with the whole.
std::vector<Refusal> settle(JobSpec& job);

}  // namespace gnomon::fio
