// SPDX-License-Identifier: Apache-2.0
// From the map and unmap events of a recording to the script of a replay.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "guest/replay/script.hpp"
#include "platform/gtrace/event.hpp"

namespace gnomon::replay {

/// What the recording did not tell or show whole, and what was made of it.
struct Doubts {
  std::uint64_t unknown_runs = 0;        ///< mappings whose runs are not told: taken as one run each
  std::uint64_t unknown_directions = 0;  ///< mappings for both directions, as the direction is not told
  std::uint64_t mapped_before = 0;       ///< unmaps of what was mapped before the recording: mapped in the prelude
  std::uint64_t partial_unmaps = 0;      ///< unmaps that fit no mapping: left out
  std::uint64_t dropped_maps = 0;  ///< maps over a live mapping: its unmap was not recorded; it is unmapped first
};

/// Takes events in the order recorded; `lane` of each is a CPU.
class ScriptBuilder {
 public:
  /// Other kinds than map and unmap are passed over.
  void add(const gtrace::Event& event);

  std::uint64_t maps() const { return maps_; }
  std::uint64_t unmaps() const { return unmaps_; }
  const Doubts& doubts() const { return doubts_; }
  /// Of each mapping of the script, its recorded IOVA.
  const std::vector<std::uint64_t>& iovas() const { return iovas_; }

  /// The whole; the builder is spent afterwards.
  guest::ReplayScript take();

 private:
  std::uint32_t add_mapping(const gtrace::Event& event);
  void unmap(std::uint32_t mapping, const gtrace::Event& event);
  void step(guest::ReplayStep::Kind kind, std::uint32_t mapping, const gtrace::Event& event);

  guest::ReplayScript script_;
  std::vector<guest::ReplayStep> prelude_;
  std::unordered_map<std::uint64_t, std::uint32_t> live_;  // by IOVA; never iterated
  std::vector<std::uint64_t> iovas_;
  Doubts doubts_;
  std::uint64_t maps_ = 0, unmaps_ = 0;
  std::uint64_t began_ns_ = 0;
  bool any_ = false;
  std::uint64_t invented_ = std::uint64_t{1} << 52;  // addresses for runs that are not told
};

/// The doubts as sentences.
std::vector<std::string> sentences(const Doubts& doubts);

}  // namespace gnomon::replay
