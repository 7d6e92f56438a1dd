// SPDX-License-Identifier: Apache-2.0
// Which 4 KiB pages of a function the host maps, and to what: QEMU's hash table of a zPCI function, kept as a
// bitmap and an array a MiB, so that whole segments are compared at once.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/base/address.hpp"
#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon::hypervisor {

/// A bit for each page of a segment.
class SegmentBits {
 public:
  static constexpr unsigned size = s390_pci::page_table_entries;

  bool test(unsigned i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  void set(unsigned i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  void clear(unsigned i) { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
  std::uint64_t& word(unsigned i) { return words_[i]; }
  /// The first set bit of [from, end), or `end`.
  unsigned next(unsigned from, unsigned end) const { return scan(from, end, 0); }
  /// The first clear bit of [from, end), or `end`.
  unsigned next_clear(unsigned from, unsigned end) const { return scan(from, end, ~std::uint64_t{0}); }

 private:
  unsigned scan(unsigned from, unsigned end, std::uint64_t flip) const {
    while (from < end) {
      const std::uint64_t rest = (words_[from / 64] ^ flip) >> (from % 64);
      if (rest != 0) {
        const unsigned found = from + static_cast<unsigned>(std::countr_zero(rest));
        return found < end ? found : end;
      }
      from = (from / 64 + 1) * 64;
    }
    return end;
  }
  std::array<std::uint64_t, size / 64> words_{};
};

class MappedPages {
 public:
  struct Segment {
    SegmentBits present;
    std::array<std::uint64_t, SegmentBits::size> entries{};  // page table entries, frame and protection only
    unsigned pages = 0;
  };

  /// Null where no page of the segment has ever been mapped. `number`: IOVA >> 20.
  Segment* find(std::uint64_t number) { return number < segments_.size() ? segments_[number].get() : nullptr; }
  Segment& at(std::uint64_t number) {
    if (number >= segments_.size()) segments_.resize(number + 1);
    if (!segments_[number]) segments_[number] = std::make_unique<Segment>();
    return *segments_[number];
  }
  void add(Segment& segment, unsigned page, std::uint64_t entry) {
    segment.present.set(page);
    segment.entries[page] = entry;
    ++segment.pages;
    ++size_;
  }
  void remove(Segment& segment, unsigned page) {
    segment.present.clear(page);
    --segment.pages;
    --size_;
  }
  /// Segments to look at: all above have no page.
  std::uint64_t end() const { return segments_.size(); }
  std::uint64_t size() const { return size_; }  ///< pages
  void clear() {
    segments_.clear();
    size_ = 0;
  }

 private:
  std::vector<std::unique_ptr<Segment>> segments_;
  std::uint64_t size_ = 0;
};

}  // namespace gnomon::hypervisor
