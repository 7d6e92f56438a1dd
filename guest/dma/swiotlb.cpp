// SPDX-License-Identifier: Apache-2.0
#include "guest/dma/swiotlb.hpp"

#include <algorithm>

namespace gnomon::guest {

Swiotlb::Slot Swiotlb::allocate(std::uint64_t bytes) {
  constexpr std::uint64_t stride = page_size / slot_bytes;
  Slot result;
  const std::uint64_t wanted = slots_of(bytes);
  if (wanted == 0 || wanted > segment_slots) return result;
  const std::uint64_t slots = used_.size();
  std::uint64_t at = (next_ + stride - 1) / stride * stride % slots;
  for (std::uint64_t tried = 0; tried < slots; tried += stride, at = (at + stride) % slots) {
    ++result.slots_searched;
    if (at % segment_slots + wanted > segment_slots) continue;  // no run crosses a segment
    const auto first = used_.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last = first + static_cast<std::ptrdiff_t>(wanted);
    if (std::find(first, last, true) != last) continue;
    std::fill(first, last, true);
    in_use_ += wanted;
    next_ = (at + wanted) % slots;
    result.start = base_ + at * slot_bytes;
    return result;
  }
  return result;
}

void Swiotlb::free(Gpa start, std::uint64_t bytes) {
  const auto first = used_.begin() + static_cast<std::ptrdiff_t>((start - base_) / slot_bytes);
  std::fill(first, first + static_cast<std::ptrdiff_t>(slots_of(bytes)), false);
  in_use_ -= slots_of(bytes);
}

}  // namespace gnomon::guest
