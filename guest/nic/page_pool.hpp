// SPDX-License-Identifier: Apache-2.0
// Receive pages that stay mapped while they circulate. Behaviour of Linux's net/core/page_pool.c with
// PP_FLAG_DMA_MAP, 6.1 to 6.12: a page is mapped when it enters the pool and unmapped when it leaves.
#pragma once

#include <boost/circular_buffer.hpp>
#include <cstdint>
#include <deque>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/nic/costs.hpp"
#include "models/base/random.hpp"

namespace gnomon::guest {

struct PagePoolOptions {
  unsigned cache = 128;                    ///< PP_ALLOC_CACHE_SIZE: pages at the NAPI's hand
  unsigned refill = 64;                    ///< PP_ALLOC_CACHE_REFILL
  unsigned ring = 1024;                    ///< returned pages that wait; PAGE_POOL's pool_size
  std::uint32_t recycled_ppm = 1'000'000;  ///< returned pages in a million that may stay: nobody else holds them
};

/// The pool of one receive ring. take() and put(direct) only in the softirq of the ring's CPU.
class PagePool {
 public:
  static constexpr std::uint32_t no_page = ~std::uint32_t{0};

  struct Counters {
    std::uint64_t mapped = 0;    ///< pages that entered
    std::uint64_t unmapped = 0;  ///< pages that left
    std::uint64_t recycled = 0;  ///< pages that came back and stayed
  };

  PagePool(const PagePoolOptions& options, const NicCosts& costs, DmaDevice& dma, GuestPages& pages,
           RandomStream random)
      : options_(options),
        costs_(costs),
        dma_(dma),
        guest_pages_(pages),
        random_(random),
        returned_(options.ring) {}

  /// A mapped page; no_page where it cannot be mapped.
  std::uint32_t take(Cpu& cpu);
  /// Back from whoever had it. `direct`: in the softirq that takes.
  void put(Cpu& cpu, std::uint32_t page, bool direct);
  /// Unmaps everything that is in the pool. Pages given back later leave at once.
  void close(Cpu& cpu);

  Iova address(std::uint32_t page) const { return pages_[page].mapping.segments.front().address; }
  const Counters& counters() const { return counters_; }

 private:
  struct Page {
    Gpa gpa;
    DmaMapping mapping;
  };

  void refill(Cpu& cpu);
  std::uint32_t enter(Cpu& cpu);
  void leave(Cpu& cpu, std::uint32_t page);

  const PagePoolOptions options_;
  const NicCosts& costs_;
  DmaDevice& dma_;
  GuestPages& guest_pages_;
  RandomStream random_;
  std::deque<Page> pages_;             // in place: an unmap of one may let others enter
  std::vector<std::uint32_t> unused_;  // with memory, not mapped
  std::vector<std::uint32_t> cache_;
  boost::circular_buffer<std::uint32_t> returned_;
  bool closed_ = false;
  Counters counters_;
};

}  // namespace gnomon::guest
