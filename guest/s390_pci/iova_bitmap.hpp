// SPDX-License-Identifier: Apache-2.0
// DMA addresses of s390's own DMA code: a bit a page, taken next-fit, freed lazily. Behaviour of Linux's
// arch/s390/pci/pci_dma.c up to 6.6 and lib/iommu-helper.c. Pure: the caller locks, and refreshes before
// release_lazy.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace gnomon::guest {

class S390IovaBitmap {
 public:
  /// `pages` > 0. `first_page`: of the aperture, which no allocation crosses a multiple of `boundary_pages` from
  /// (the device's DMA segment boundary, a power of two).
  S390IovaBitmap(std::uint64_t pages, std::uint64_t first_page, std::uint64_t boundary_pages = 1u << 20);

  struct Search {
    std::optional<std::uint64_t> page;  ///< counted from the aperture's first
    std::uint64_t words = 0;            ///< of the bitmap, looked at
  };
  /// The first room for `pages` (> 0) from where the last allocation ended; none up to the end: it is time to wrap.
  Search allocate_ahead(std::uint64_t pages) { return allocate_from(next_, pages); }
  /// The first from the beginning.
  Search allocate_wrapped(std::uint64_t pages) { return allocate_from(0, pages); }

  void free(std::uint64_t page, std::uint64_t pages);         ///< at once: strict
  void free_lazily(std::uint64_t page, std::uint64_t pages);  ///< stays taken until release_lazy
  /// What was freed lazily can be taken. Returns how many pages. Every translation of them must be gone by now.
  std::uint64_t release_lazy();

  std::uint64_t pages() const { return pages_; }
  std::uint64_t taken() const { return taken_; }  ///< lazily freed ones included
  std::uint64_t lazy() const { return lazy_count_; }

 private:
  Search allocate_from(std::uint64_t start, std::uint64_t pages);
  std::uint64_t next_bit(std::uint64_t from, std::uint64_t end, std::uint64_t flip, std::uint64_t& words) const;

  std::uint64_t pages_;
  std::uint64_t first_page_;
  std::uint64_t boundary_;
  std::uint64_t next_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t lazy_count_ = 0;
  std::vector<std::uint64_t> used_;
  std::vector<std::uint64_t> lazy_;
};

}  // namespace gnomon::guest
