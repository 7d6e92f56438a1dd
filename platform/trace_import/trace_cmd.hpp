// SPDX-License-Identifier: Apache-2.0
// trace.dat, by way of the program that knows its formats: trace-cmd report.
#pragma once

#include <cstdint>
#include <string>

#include "platform/trace_import/unpack.hpp"

namespace gnomon::trace_import {

/// Pushes what `trace-cmd report` prints, times in nanoseconds. Throws InputError where trace-cmd is not installed
/// or fails.
void report_trace_dat(const std::string& path, Pipe& into);

/// Pushes a file's bytes; "-" is standard input. Throws InputError where it cannot be read. Returns how many.
std::uint64_t read_file(const std::string& path, Pipe& into);

}  // namespace gnomon::trace_import
