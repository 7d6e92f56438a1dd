// SPDX-License-Identifier: Apache-2.0
// A .gtrace read for a replay.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest/replay/script.hpp"
#include "platform/gtrace/reader.hpp"

namespace gnomon::replay {

struct LoadedTrace {
  std::shared_ptr<const guest::ReplayScript> script;
  std::string stream;              ///< the name of the one that was used
  std::vector<std::string> notes;  ///< what the trace leaves open, a sentence each
};

/// The stream with the most mappings; of equals, the first. None where no stream has any.
std::optional<std::uint32_t> stream_of_mappings(const gtrace::GtraceReader& file);

/// Throws gtrace::GtraceError, also where the trace holds no mapping, and std::system_error.
LoadedTrace load_trace(gtrace::GtraceReader& file);
LoadedTrace load_trace(const std::string& path);

}  // namespace gnomon::replay
