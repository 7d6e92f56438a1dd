// SPDX-License-Identifier: Apache-2.0
// Recorded physical memory put into the simulated guest's: what was contiguous stays so, and addresses keep their
// offset in a block as large as the largest run, so that the IOMMU core chooses the page sizes it chose.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/kernel/guest_pages.hpp"

namespace gnomon::guest {

class RecordedMemory {
 public:
  /// Throws std::bad_alloc where `pages` has no room: bytes_for() says how much it takes.
  RecordedMemory(std::span<const Run> recorded, GuestPages& pages);

  /// Of an address in one of the recorded runs.
  Gpa place(Gpa recorded) const;
  /// The recorded address that lies there. Of one place() gave.
  Gpa recorded(Gpa placed) const;

  /// Memory the runs take, alignment included.
  static std::uint64_t bytes_for(std::span<const Run> recorded);

 private:
  struct Extent {
    Gpa recorded;
    std::uint64_t bytes = 0;
    Gpa placed;
  };
  static std::uint64_t block_of(std::span<const Run> recorded);
  static std::vector<Extent> extents_of(std::span<const Run> recorded);

  std::vector<Extent> extents_;  // by recorded address, disjoint, whole blocks; placed in the same order
};

}  // namespace gnomon::guest
