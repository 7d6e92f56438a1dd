// SPDX-License-Identifier: Apache-2.0
// How often each host page is pinned for DMA, over all containers of the host. Back to zero at teardown, or a leak.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>

#include "models/base/address.hpp"

namespace gnomon::hypervisor {

/// An unpin of a page that is not pinned: the host would free memory a device still writes.
class UnbalancedUnpin : public std::logic_error {
 public:
  UnbalancedUnpin() : std::logic_error("a host page was unpinned more often than it was pinned") {}
};

/// Counters a page; memory is spent only on pages that were ever pinned.
class PinCounts {
 public:
  /// `host_bytes`: size of host-physical memory.
  explicit PinCounts(std::uint64_t host_bytes)
      : pages_(host_bytes >> page_shift),
        counts_(static_cast<std::uint32_t*>(std::calloc(pages_, sizeof(std::uint32_t))), &std::free) {
    if (counts_ == nullptr) throw std::bad_alloc();
  }

  /// The pages [first, first + pages). Throws std::out_of_range beyond host memory.
  void pin(Hpa first, std::uint64_t pages) {
    check(first, pages);
    std::uint32_t* count = counts_.get() + first.page();
    for (std::uint64_t i = 0; i < pages; ++i) {
      if (count[i]++ == 0) ++pinned_pages_;
    }
    pins_ += pages;
  }
  /// Throws UnbalancedUnpin, std::out_of_range.
  void unpin(Hpa first, std::uint64_t pages) {
    check(first, pages);
    std::uint32_t* count = counts_.get() + first.page();
    for (std::uint64_t i = 0; i < pages; ++i) {
      if (count[i] == 0) throw UnbalancedUnpin{};
      if (--count[i] == 0) --pinned_pages_;
    }
    pins_ -= pages;
  }

  std::uint32_t count(Hpa page) const { return counts_.get()[page.page()]; }
  std::uint64_t pins() const { return pins_; }                  ///< outstanding, a page counted as often as pinned
  std::uint64_t pinned_pages() const { return pinned_pages_; }  ///< pages pinned at least once

 private:
  void check(Hpa first, std::uint64_t pages) const {
    if (pages > pages_ || first.page() > pages_ - pages) throw std::out_of_range("pin outside host memory");
  }

  std::uint64_t pages_;
  std::unique_ptr<std::uint32_t[], void (*)(void*)> counts_;
  std::uint64_t pins_ = 0;
  std::uint64_t pinned_pages_ = 0;
};

}  // namespace gnomon::hypervisor
