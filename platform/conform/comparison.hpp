// SPDX-License-Identifier: Apache-2.0
// Two command streams side by side: where they part, and what they count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guest/replay/script.hpp"
#include "platform/conform/command_stream.hpp"

namespace gnomon::conform {

/// Where the order is an interrupt's to choose: requests of two operations that overlapped may change places.
class Overlap {
 public:
  /// `steps` of the script that was run, those of the window; a Request's step is an index into them.
  explicit Overlap(const std::vector<guest::ReplayStep>& steps);
  /// The operations may have been under way at the same time: on two CPUs next to each other in the order, or on
  /// one where an interrupt's unmaps came into a map.
  bool possible(std::uint32_t earlier, std::uint32_t later) const;

 private:
  const std::vector<guest::ReplayStep>& steps_;
  std::vector<std::uint32_t> maps_before_;  // on its CPU, of each step
};

struct Difference {
  std::size_t recorded = 0;   ///< index into its stream; its size: the stream ended
  std::size_t simulated = 0;  ///< likewise
};

struct KickCounts {
  std::uint64_t equal = 0;  ///< before the same request in both
  std::uint64_t shared =
      0;  ///< simulated only: the recorded request went with another CPU's, or an interrupt's, kick
  std::uint64_t separate = 0;  ///< recorded only, before a request that shares its kick in the simulation
  std::uint64_t empty = 0;     ///< recorded only, with nothing left to announce
  std::uint64_t empty_simulated = 0;
  std::uint64_t others = 0;       ///< in one of the two only; requests of other domains may have gone with them
  std::uint64_t unexplained = 0;  ///< in one of the two only, and no overlap explains it
};

struct Comparison {
  std::optional<Difference> first;  ///< nothing: the streams are equal
  std::uint64_t exchanged = 0;      ///< requests that changed places where operations overlapped
  KickCounts kicks;
  bool conforms() const { return !first && kicks.unexplained == 0; }
};

Comparison compare(const CommandStream& recorded, const CommandStream& simulated, const Overlap& overlap);

/// Requests around the first difference, side by side.
std::string context(const CommandStream& recorded, const CommandStream& simulated, const Difference& difference);

}  // namespace gnomon::conform
