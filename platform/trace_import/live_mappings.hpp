// SPDX-License-Identifier: Apache-2.0
// Which mappings are live, to hold the unmaps of a trace against its maps. Bounded: a trace may be hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "platform/gtrace/event.hpp"

namespace gnomon::trace_import {

class LiveMappings {
 public:
  LiveMappings();

  void add(const gtrace::Event& e);  ///< a map or an unmap; others are left out

  struct Counts {
    std::uint64_t mapped_again = 0;  ///< at an address that was mapped already
    std::uint64_t other_size = 0;    ///< unmaps of more or less than the mapping there
    std::uint64_t never_mapped = 0;  ///< unmaps of what the trace did not map
    std::uint64_t not_held = 0;      ///< mappings beyond the most that are held; nothing is said of these
    std::uint64_t live = 0;          ///< still there
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Slot {
    std::uint64_t address = 0, bytes = 0;  // no bytes: free
    std::uint64_t device = 0;
  };
  std::size_t home(std::uint64_t address) const;
  /// The slot of the mapping at `address` of `device`, where either device may be unknown; or a free one.
  std::size_t find(std::uint64_t address, std::uint64_t device) const;
  void remove(std::size_t at);

  std::vector<Slot> slots_;
  Counts counts_;
};

}  // namespace gnomon::trace_import
