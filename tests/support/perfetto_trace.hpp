// SPDX-License-Identifier: Apache-2.0
// Reads a Perfetto trace back, with the format's field numbers written down a second time, and checks its rules.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace gnomon::test {

struct PerfettoTrack {
  std::string name;  // of the process, thread or track
  std::uint64_t parent = 0;
  bool process = false;
  bool thread = false;
  bool counter = false;
  std::string unit;
};

struct PerfettoEvent {
  enum Type { begin = 1, end = 2, instant = 3, counter = 4 };
  int type = 0;
  std::uint64_t at_ns = 0;
  std::uint64_t track = 0;
  std::string name;
  std::map<std::string, std::uint64_t> annotations;
  std::vector<std::uint64_t> flows;
  std::vector<std::uint64_t> ending_flows;
  std::int64_t value = 0;
};

struct PerfettoSlice {
  std::uint64_t track;
  std::string name;
  std::uint64_t began_ns;
  std::uint64_t ended_ns;
  std::map<std::string, std::uint64_t> annotations;
};

struct PerfettoTrace {
  std::map<std::uint64_t, PerfettoTrack> tracks;
  std::vector<PerfettoEvent> events;      // in the order of the file
  std::vector<std::string> broken_rules;  // empty for a good trace
  std::size_t packets = 0;

  /// As a viewer pairs them: events sorted by time, those of one instant in the order of the file, a stack a track.
  std::vector<PerfettoSlice> slices() const;
  std::vector<PerfettoSlice> slices_on(const std::string& track_name) const;
  /// Names of the events along one arrow, in order of time.
  std::vector<std::string> along(std::uint64_t flow) const;
  std::vector<std::pair<std::uint64_t, std::int64_t>> samples_of(const std::string& counter_name) const;
  std::vector<PerfettoEvent> instants(const std::string& name) const;
  std::size_t lanes(const std::string& track_name) const;
};

/// Rules: descriptors before their events and after their parents, ids interned before use, a timestamp on every
/// event, slices of a track nested, arrows with two ends of which the last is the end, no unknown field.
PerfettoTrace read_perfetto(const std::filesystem::path& file);

}  // namespace gnomon::test
