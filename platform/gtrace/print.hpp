// SPDX-License-Identifier: Apache-2.0
// Events and streams as text, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "platform/gtrace/reader.hpp"

namespace gnomon::gtrace {

/// "7.859161000  cpu 1  map  device=0000:00:03.0 address=0xfffbe000 ..."; unknown and empty fields are left out.
std::string to_text(const Event& event, const GtraceReader& file);
nlohmann::ordered_json to_json(const Event& event, const GtraceReader& file);  ///< unknown is null

/// Name, format, clock, counts of events, and what became of the source's lines.
std::string to_text(const Stream& stream);
nlohmann::ordered_json to_json(const Stream& stream);

/// A Markdown table of the kinds of events and their fields.
std::string markdown_kinds();

}  // namespace gnomon::gtrace
