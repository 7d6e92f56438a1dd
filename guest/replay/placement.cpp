// SPDX-License-Identifier: Apache-2.0
#include "guest/replay/placement.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace gnomon::guest {

namespace {
constexpr std::uint64_t largest_block = std::uint64_t{1} << 30;  // the largest leaf of any x86 unit
}

std::uint64_t RecordedMemory::block_of(std::span<const Run> recorded) {
  std::uint64_t longest = page_size;
  for (const Run& run : recorded) longest = std::max(longest, run.bytes);
  return longest >= largest_block ? largest_block : std::bit_ceil(longest);
}

std::vector<RecordedMemory::Extent> RecordedMemory::extents_of(std::span<const Run> recorded) {
  const std::uint64_t block = block_of(recorded);
  std::vector<Extent> blocks;
  blocks.reserve(recorded.size());
  for (const Run& run : recorded) {
    const std::uint64_t first = run.start.value & ~(block - 1);
    const std::uint64_t end = (run.start.value + run.bytes + block - 1) & ~(block - 1);
    blocks.push_back({Gpa{first}, end - first, {}});
  }
  std::sort(blocks.begin(), blocks.end(), [](const Extent& a, const Extent& b) { return a.recorded < b.recorded; });
  std::vector<Extent> merged;
  for (const Extent& next : blocks) {
    if (merged.empty() || merged.back().recorded + merged.back().bytes < next.recorded) {
      merged.push_back(next);
    } else {
      Extent& last = merged.back();
      last.bytes = std::max(last.bytes, next.recorded + next.bytes - last.recorded);
    }
  }
  return merged;
}

RecordedMemory::RecordedMemory(std::span<const Run> recorded, GuestPages& pages) : extents_(extents_of(recorded)) {
  const std::uint64_t block = block_of(recorded);
  for (Extent& extent : extents_) {
    extent.placed = pages.allocate(extent.bytes, block);
    pages.skip_page();  // extents that were apart stay apart
  }
}

Gpa RecordedMemory::place(Gpa recorded) const {
  auto after = std::upper_bound(extents_.begin(), extents_.end(), recorded,
                                [](Gpa address, const Extent& extent) { return address < extent.recorded; });
  if (after == extents_.begin() || recorded - std::prev(after)->recorded >= std::prev(after)->bytes) {
    throw std::invalid_argument("RecordedMemory: an address of no recorded run");
  }
  --after;
  return after->placed + (recorded - after->recorded);
}

Gpa RecordedMemory::recorded(Gpa placed) const {
  auto after = std::upper_bound(extents_.begin(), extents_.end(), placed,
                                [](Gpa address, const Extent& extent) { return address < extent.placed; });
  if (after == extents_.begin() || placed - std::prev(after)->placed >= std::prev(after)->bytes) {
    throw std::invalid_argument("RecordedMemory: an address that was not placed");
  }
  --after;
  return after->recorded + (placed - after->placed);
}

std::uint64_t RecordedMemory::bytes_for(std::span<const Run> recorded) {
  const std::uint64_t block = block_of(recorded);
  std::uint64_t bytes = 0;
  for (const Extent& extent : extents_of(recorded)) bytes += extent.bytes + block;  // a page between, then aligned
  return bytes;
}

}  // namespace gnomon::guest
