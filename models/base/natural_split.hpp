// SPDX-License-Identifier: Apache-2.0
// Cuts a range into naturally aligned powers of two, as every interface does that encodes a range as base and
// order: QEMU's IOMMU notifiers, AMD-Vi's INVALIDATE_IOMMU_PAGES with NpCache, VT-d's page-selective invalidation.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>

namespace gnomon {

/// The pieces of [first, last], ascending; greedy, hence the fewest there are. The unit (bytes, pages) is the
/// caller's. No piece is larger than 2^63, so the whole 64-bit space is two. Requires first <= last. Allocates
/// nothing.
class NaturalSplit {
 public:
  struct Piece {
    std::uint64_t base = 0;  ///< a multiple of size
    std::uint64_t size = 0;  ///< a power of two
    constexpr bool operator==(const Piece&) const = default;
  };

  class Iterator {
   public:
    using value_type = Piece;
    using difference_type = std::ptrdiff_t;

    constexpr Iterator() = default;
    constexpr Iterator(std::uint64_t first, std::uint64_t last) : next_(first), last_(last), done_(false) {}

    constexpr Piece operator*() const { return {next_, size()}; }
    constexpr Iterator& operator++() {
      const std::uint64_t taken = size();
      done_ = last_ - next_ == taken - 1;
      next_ += taken;
      return *this;
    }
    constexpr void operator++(int) { ++*this; }
    constexpr bool operator==(std::default_sentinel_t) const { return done_; }

   private:
    static constexpr std::uint64_t largest = std::uint64_t{1} << 63;

    constexpr std::uint64_t size() const {
      const std::uint64_t by_alignment = next_ == 0 ? largest : next_ & (~next_ + 1);
      const std::uint64_t left = last_ - next_;  // one less than what is left, which may be 2^64
      const std::uint64_t by_length = left >= largest ? largest : std::bit_floor(left + 1);
      return std::min(by_alignment, by_length);
    }

    std::uint64_t next_ = 0;
    std::uint64_t last_ = 0;
    bool done_ = true;
  };

  constexpr NaturalSplit(std::uint64_t first, std::uint64_t last) : first_(first), last_(last) {}

  constexpr Iterator begin() const { return {first_, last_}; }
  constexpr std::default_sentinel_t end() const { return {}; }

  /// How many pieces: at most 126.
  constexpr unsigned count() const {
    unsigned pieces = 0;
    for (Iterator i = begin(); i != end(); ++i) ++pieces;
    return pieces;
  }

 private:
  std::uint64_t first_;
  std::uint64_t last_;
};

}  // namespace gnomon
