// SPDX-License-Identifier: Apache-2.0
// A recorded workload as the DMA API saw it: which CPU mapped and unmapped what, in which order, at which times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "guest/dma/reserved_windows.hpp"
#include "guest/iommu/domain.hpp"
#include "models/base/time.hpp"

namespace gnomon::guest {

enum class ReplayPacing : std::uint8_t {
  closed,   ///< each CPU's next operation waits as it did after the one before: think times are kept
  open,     ///< operations start at the recorded times, or at once where the CPU is behind
  ordered,  ///< one after the other in the recorded order over all CPUs; time decides nothing
};

struct ReplayMapping {
  std::uint32_t first_run = 0;  ///< into ReplayScript::runs
  std::uint32_t runs = 0;
  std::uint64_t bytes = 0;  ///< whole pages, of all its runs
  DmaAccess access;
};

struct ReplayStep {
  enum class Kind : std::uint8_t {
    map,
    unmap,
    allocate,     ///< the mapping has its IOVA already here, its `map` follows: an interrupt came between (ordered
                  ///< only)
    flush_timer,  ///< the flush queue's timer fires on this CPU (ordered only; it fires by no clock then);
                  ///< bit n of `mapping`: CPU n frees what is in its queue itself
    depot_trim,   ///< the delayed work of a depot of magazines runs (likewise); `mapping` is its size class
  };
  Kind kind = Kind::map;
  std::uint16_t cpu = 0;
  std::uint32_t mapping = 0;  ///< into ReplayScript::mappings
  Time at;                    ///< since the recording began; never decreases on one CPU
  Time inside;                ///< of the operation itself, as far as the recording tells
};

struct ReplayScript {
  std::vector<Run> runs;  ///< physical, as recorded: only their contiguity and alignment count
  std::vector<ReplayMapping> mappings;
  std::vector<ReplayStep> steps;    ///< in the order recorded
  std::size_t prelude = 0;          ///< the first steps only set the scene: in order and before the measured window
  std::vector<PageRange> occupied;  ///< device addresses in use by others all the time
  unsigned cpus = 1;                ///< one more than the highest CPU of a step
};

}  // namespace gnomon::guest
