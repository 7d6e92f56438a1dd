// SPDX-License-Identifier: Apache-2.0
// Where two runs part: the first event that is not the same in both.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon::report {

/// A line of trace.hashes: the hash of the first `events` events, the last of which was at `ps`.
struct TracePoint {
  std::uint64_t events = 0;
  std::uint64_t ps = 0;
  std::string hash;
  bool operator==(const TracePoint&) const = default;
};
/// Throws Unreadable, with `name` in the message.
std::vector<TracePoint> read_trace_points(std::string_view text, const std::string& name);

/// Runs agree on the first `same` events and no longer on the first `differ`. Both 0: the traces are the same.
struct Parting {
  std::uint64_t same = 0, differ = 0;
  std::uint64_t same_ps = 0;  ///< when the last common event was
  std::uint64_t differ_ps_a = 0, differ_ps_b = 0;
  bool one_ended = false;  ///< one trace is the beginning of the other
};
/// Sound, because equal hashes of equal counts mean equal events, and counts are the same in every run; exact where
/// `differ` is `same` + 1.
Parting parting(const std::vector<TracePoint>& a, const std::vector<TracePoint>& b);

/// A few lines about the runs in these folders. Where both hold an events.log (gnomon run --log), its lines name
/// the event.
std::string parting_text(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace gnomon::report
