// SPDX-License-Identifier: Apache-2.0
// The rows of the timeline: which exist, what they are called, and which lane of a row a slice goes to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "platform/observe/perfetto_writer.hpp"

namespace gnomon::observe::perfetto {

enum class Row : std::uint8_t {
  // processes
  guest,
  host,
  locks,
  iommu,
  device,
  sanitizer,
  // of the guest
  workload,
  vcpu,
  activity,
  dma_api,
  syncs,
  spinning,
  pending_interrupts,
  io,
  viommu_driver,
  // of the host
  exits,
  viommu_device,
  wake_ups,
  container,
  // of locks, IOMMU, devices, sanitizer
  lock,
  dma,
  invalidations,
  invalidation_waits,
  faults,
  queue,
  media,
  verdicts,
  // counters
  in_flight,
  flush_queue,
  iotlb_hits,
  pinned,
};

struct Names {
  std::vector<std::string> locks;    ///< by lock id; without a name a lock is "lock <id>"
  std::vector<std::string> devices;  ///< by device; without a name a device is "device <n>"
};

/// Declares tracks where first used and places slices on them. Slices of one row may overlap in any way, on one
/// track they never do: a slice that does not begin at or after the end of all others on a lane goes to the row's
/// next lane, a sibling track of the same name (viewers draw siblings of one name as one). Declaring is the only
/// allocation.
class Tracks {
 public:
  Tracks(Writer& writer, const Names& names) : writer_(writer), names_(names) {}

  struct Place {
    std::uint64_t track;
    std::uint64_t began;  ///< later than asked for if all lanes were busy
  };

  /// Reserves [began, ended] (ns) on a lane of the row. `a` and `b` number the row: a vCPU; a device and its queue.
  /// Empty: every lane of the row is busy beyond `ended`; the slice cannot be drawn.
  std::optional<Place> place(Row row, std::uint32_t a, std::uint32_t b, std::uint64_t began, std::uint64_t ended) {
    Lanes& of_row = lanes(row, a, b);
    Lane& first = of_row.lanes.front();
    if (first.busy_until > began) return place_beside(of_row, row, a, b, began, ended);
    first.busy_until = ended;
    return Place{first.track, began};
  }
  /// The row's only track, for instants and counters, and as a parent.
  std::uint64_t track(Row row, std::uint32_t a = 0, std::uint32_t b = 0) {
    return lanes(row, a, b).lanes.front().track;
  }

  std::string name_of(Row row, std::uint32_t a, std::uint32_t b = 0) const;
  std::uint64_t cut() const { return cut_; }  ///< slices shortened or left out because every lane was busy

 private:
  static constexpr std::size_t most_lanes = 256;

  struct Lane {
    std::uint64_t track;
    std::uint64_t busy_until;  // ns
  };
  struct Lanes {
    std::uint64_t parent;
    std::vector<Lane> lanes;
  };

  static constexpr std::size_t most_near = 4096;

  /// Rows with small numbers, which is all of them but for the oddest machines, are found without a search.
  static std::size_t near_place(Row row, std::uint32_t a, std::uint32_t b) {
    if (row == Row::queue || row == Row::media) return a < 32 ? std::size_t{b} * 32 + a : most_near;
    return a;
  }
  Lanes& lanes(Row row, std::uint32_t a, std::uint32_t b) {
    const std::vector<Lanes*>& near = near_[static_cast<std::size_t>(row)];
    const std::size_t place = near_place(row, a, b);
    return place < near.size() && near[place] != nullptr ? *near[place] : find(row, a, b);
  }
  Lanes& find(Row row, std::uint32_t a, std::uint32_t b);
  std::optional<Place> place_beside(Lanes& of_row, Row row, std::uint32_t a, std::uint32_t b, std::uint64_t began,
                                    std::uint64_t ended);
  std::uint64_t declare(Row row, std::uint32_t a, std::uint32_t b, std::uint64_t parent);

  Writer& writer_;
  const Names& names_;
  std::unordered_map<std::uint64_t, Lanes> rows_;                                    // looked up only, never walked
  std::array<std::vector<Lanes*>, static_cast<std::size_t>(Row::pinned) + 1> near_;  // into rows_, by near_place()
  std::uint64_t next_uuid_ = 1;
  std::uint64_t cut_ = 0;
};

}  // namespace gnomon::observe::perfetto
