// SPDX-License-Identifier: Apache-2.0
// Where mappings begin, as their unmaps prove it: iommu:map tells runs, iommu:unmap tells whole mappings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace gnomon::trace_import {

enum class Boundary : std::uint8_t {
  unproven,   ///< its mapping is not unmapped in the trace, or too many were live
  starts,     ///< the run is the first of its mapping
  continues,  ///< it is not
};

/// Gathers, run by run in the order of the trace, what later unmaps prove of each. A byte a run, and a table of the
/// live ones, which is bounded.
class RunEvidence {
 public:
  RunEvidence();

  void map(std::uint64_t address, std::uint64_t bytes, bool joined);  ///< the next run; joined: as a continuation
  void unmap(std::uint64_t address, std::uint64_t bytes);
  void confirm(std::uint64_t address, std::uint64_t bytes);  ///< the DMA API says that this is one mapping

  std::size_t runs() const { return proven_.size(); }
  Boundary boundary(std::size_t run) const { return static_cast<Boundary>(proven_[run] & 3); }
  /// How many runs were joined, or not, against what is proven: another pass is due.
  std::uint64_t contradictions() const;
  std::uint64_t unproven_joins() const;

  static constexpr std::size_t most_live = 1 << 19;

 private:
  static constexpr std::uint8_t was_joined = 4;
  struct Slot {
    std::uint64_t address = 0;
    std::uint32_t bytes_in_pages = 0;  // none: free
    std::uint32_t run = 0;
  };

  std::size_t home(std::uint64_t address) const;
  std::size_t find(std::uint64_t address) const;
  void remove(std::size_t at);
  void grow();
  void prove(std::uint32_t run, Boundary boundary);

  std::deque<std::uint8_t> proven_;  // grows without being copied
  std::vector<Slot> slots_;
  std::size_t live_ = 0;
};

}  // namespace gnomon::trace_import
