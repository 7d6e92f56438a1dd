// SPDX-License-Identifier: Apache-2.0
// The pool of bounce buffers: slots of 2 KiB in segments of 128. Behaviour of Linux's kernel/dma/swiotlb.c, 6.1.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/base/address.hpp"

namespace gnomon::guest {

class Swiotlb {
 public:
  static constexpr std::uint64_t slot_bytes = 2048;                        ///< 1 << IO_TLB_SHIFT
  static constexpr unsigned segment_slots = 128;                           ///< IO_TLB_SEGSIZE
  static constexpr std::uint64_t most_bytes = slot_bytes * segment_slots;  ///< of one buffer
  static constexpr std::uint64_t default_bytes = std::uint64_t{64} << 20;  ///< IO_TLB_DEFAULT_SIZE

  /// `base` and `bytes` are multiples of a segment.
  Swiotlb(Gpa base, std::uint64_t bytes) : base_(base), used_(bytes / slot_bytes) {}

  struct Slot {
    std::optional<Gpa> start;          ///< nothing where the pool has no such run of slots
    std::uint64_t slots_searched = 0;  ///< looked at, for its time
  };
  /// Free slots for `bytes` (> 0), one run within a segment, aligned to a page: first fit from behind the last one
  /// given out, around the pool once. Nothing above most_bytes.
  Slot allocate(std::uint64_t bytes);
  void free(Gpa start, std::uint64_t bytes);

  std::uint64_t slots_used() const { return in_use_; }

 private:
  static std::uint64_t slots_of(std::uint64_t bytes) { return (bytes + slot_bytes - 1) / slot_bytes; }

  Gpa base_;
  std::vector<bool> used_;
  std::uint64_t next_ = 0;
  std::uint64_t in_use_ = 0;
};

}  // namespace gnomon::guest
