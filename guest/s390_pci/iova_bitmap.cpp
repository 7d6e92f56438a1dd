// SPDX-License-Identifier: Apache-2.0
#include "guest/s390_pci/iova_bitmap.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace gnomon::guest {

namespace {

template <class F>
void for_each_word(std::uint64_t page, std::uint64_t pages, F f) {
  for (const std::uint64_t end = page + pages; page < end;) {
    const unsigned shift = page % 64;
    const std::uint64_t here = std::min<std::uint64_t>(64 - shift, end - page);
    const std::uint64_t ones = here == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1;
    f(page / 64, ones << shift);
    page += here;
  }
}

}  // namespace

S390IovaBitmap::S390IovaBitmap(std::uint64_t pages, std::uint64_t first_page, std::uint64_t boundary_pages)
    : pages_(pages),
      first_page_(first_page),
      boundary_(boundary_pages),
      used_((pages + 63) / 64),
      lazy_(used_.size()) {
  if (pages == 0 || !std::has_single_bit(boundary_pages)) {
    throw std::invalid_argument("S390IovaBitmap: needs a page, and a boundary that is a power of two");
  }
}

/// The first bit of [from, end) that is set (flip 0) or clear (flip all ones), or `end`.
std::uint64_t S390IovaBitmap::next_bit(std::uint64_t from, std::uint64_t end, std::uint64_t flip,
                                       std::uint64_t& words) const {
  while (from < end) {
    ++words;
    const std::uint64_t rest = (used_[from / 64] ^ flip) >> (from % 64);
    if (rest != 0) return std::min(end, from + static_cast<std::uint64_t>(std::countr_zero(rest)));
    from = (from / 64 + 1) * 64;
  }
  return end;
}

S390IovaBitmap::Search S390IovaBitmap::allocate_from(std::uint64_t start, std::uint64_t pages) {
  Search search;
  while (start < pages_) {
    start = next_bit(start, pages_, ~std::uint64_t{0}, search.words);
    if (start >= pages_ || pages > pages_ - start) return search;
    const std::uint64_t used = next_bit(start, start + pages, 0, search.words);
    if (used != start + pages) {
      start = used + 1;
      continue;
    }
    const std::uint64_t offset = (first_page_ + start) & (boundary_ - 1);
    if (offset + pages > boundary_) {  // iommu_is_span_boundary: on from the boundary
      if (pages > boundary_) return search;
      start += boundary_ - offset;
      continue;
    }
    for_each_word(start, pages, [&](std::uint64_t word, std::uint64_t bits) { used_[word] |= bits; });
    taken_ += pages;
    next_ = start + pages;
    search.page = start;
    return search;
  }
  return search;
}

void S390IovaBitmap::free(std::uint64_t page, std::uint64_t pages) {
  for_each_word(page, pages, [&](std::uint64_t word, std::uint64_t bits) { used_[word] &= ~bits; });
  taken_ -= pages;
}

void S390IovaBitmap::free_lazily(std::uint64_t page, std::uint64_t pages) {
  for_each_word(page, pages, [&](std::uint64_t word, std::uint64_t bits) { lazy_[word] |= bits; });
  lazy_count_ += pages;
}

std::uint64_t S390IovaBitmap::release_lazy() {
  for (std::size_t i = 0; i < used_.size(); ++i) {
    used_[i] &= ~lazy_[i];
    lazy_[i] = 0;
  }
  taken_ -= lazy_count_;
  const std::uint64_t released = lazy_count_;
  lazy_count_ = 0;
  return released;
}

}  // namespace gnomon::guest
