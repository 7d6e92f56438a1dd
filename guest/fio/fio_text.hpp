// SPDX-License-Identifier: Apache-2.0
// fio 3.33's human report (--output-format=normal).
#pragma once

#include <cstdint>
#include <string>

#include "guest/fio/report.hpp"

namespace gnomon::fio {

std::string to_fio_text(const RunReport& run);

/// fio's short form of a number: at most `width` digits with their point, prefixes k M G T P or Ki Mi Gi Ti Pi by
/// thousands of 1000 or 1024, then `unit`. Rounding is fio's: halves up when no decimals fit, a fraction of .9996
/// prints as .0.
std::string short_number(std::uint64_t number, int width, bool binary, const char* unit);

}  // namespace gnomon::fio
