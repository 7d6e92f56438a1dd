// SPDX-License-Identifier: Apache-2.0
// A guest's kernel command line, judged: what the simulation acts on, what it only tolerates, what nobody knows.
#pragma once

#include <string>

#include "platform/config/diagnostics.hpp"

namespace gnomon::scenario {

/// Unknown words and values the kernel refuses are errors, each at its own column; words that change nothing in a
/// simulation are warnings. `where`: of the TOML string whose contents are `text`.
void check_command_line(const std::string& text, const config::Location& where, config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
