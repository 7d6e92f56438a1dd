// SPDX-License-Identifier: Apache-2.0
// Guest-physical memory handed out at boot for rings, pools and user buffers. Never freed: a run is one boot.
#pragma once

#include <cstdint>
#include <new>

#include "models/base/address.hpp"

namespace gnomon::guest {

class GuestPages {
 public:
  /// [first, end), page aligned.
  GuestPages(Gpa first, Gpa end) : next_(first), end_(end) {}

  /// `bytes` rounded up to pages, contiguous, aligned to `alignment` (a power of two >= a page).
  /// Throws std::bad_alloc when the guest's memory is used up.
  Gpa allocate(std::uint64_t bytes, std::uint64_t alignment = page_size) {
    const Gpa start{(next_.value + alignment - 1) & ~(alignment - 1)};
    const std::uint64_t whole = (bytes + page_size - 1) & ~(page_size - 1);
    if (start.value + whole > end_.value) throw std::bad_alloc();
    next_ = start + whole;
    return start;
  }
  /// Leaves a page out, so that the next allocation does not continue the last.
  void skip_page() { next_ += page_size; }

 private:
  Gpa next_;
  Gpa end_;
};

}  // namespace gnomon::guest
