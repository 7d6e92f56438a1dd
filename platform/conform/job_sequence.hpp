// SPDX-License-Identifier: Apache-2.0
// A fio job, as its own report tells it, as the sequence of I/Os that one after another maps and unmaps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/fio/job_spec.hpp"
#include "platform/conform/recording.hpp"

namespace gnomon::conform {

/// The job of a fio report that holds one in "job options": text around the JSON is passed over. Nothing where the
/// text holds no such report, more than one job, or one that the simulated fio would refuse.
std::optional<fio::JobSpec> job_of_report(const std::string& report);

/// One I/O is in flight at a time: then the job alone says what is mapped, and in which order.
bool is_sequence(const fio::JobSpec& job);

/// The recording as the job says it must be: its I/Os from the job's generator, each mapped from one buffer and
/// unmapped. CPUs, flushes, and where the buffer lies are the recording's. `difference`: in words, where the
/// recording does something else; empty where it does not.
Recording recording_of_job(const fio::JobSpec& job, const Recording& recording, std::string& difference);

}  // namespace gnomon::conform
