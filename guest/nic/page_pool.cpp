// SPDX-License-Identifier: Apache-2.0
#include "guest/nic/page_pool.hpp"

namespace gnomon::guest {

std::uint32_t PagePool::take(Cpu& cpu) {
  cpu.work(costs_.page_get);
  if (cache_.empty()) refill(cpu);
  if (cache_.empty()) return no_page;
  const std::uint32_t page = cache_.back();
  cache_.pop_back();
  return page;
}

/// From what was returned; only where there is nothing, a bulk of fresh pages.
void PagePool::refill(Cpu& cpu) {
  while (cache_.size() < options_.refill && !returned_.empty()) {
    cache_.push_back(returned_.front());
    returned_.pop_front();
  }
  if (!cache_.empty()) return;
  for (unsigned i = 0; i < options_.refill; ++i) {
    const std::uint32_t page = enter(cpu);
    if (page == no_page) return;
    cache_.push_back(page);
  }
}

std::uint32_t PagePool::enter(Cpu& cpu) {
  cpu.work(costs_.page_allocate);
  if (unused_.empty()) {
    unused_.push_back(static_cast<std::uint32_t>(pages_.size()));
    pages_.push_back({guest_pages_.allocate(page_size), {}});
  }
  const std::uint32_t page = unused_.back();
  unused_.pop_back();
  const Run run{pages_[page].gpa, page_size};
  if (dma_.map(cpu, {&run, 1}, DmaAccess{false, true}, pages_[page].mapping) != 0) {
    unused_.push_back(page);
    return no_page;
  }
  ++counters_.mapped;
  return page;
}

void PagePool::leave(Cpu& cpu, std::uint32_t page) {
  ++counters_.unmapped;
  dma_.unmap(cpu, pages_[page].mapping);
  cpu.work(costs_.page_allocate);
  unused_.push_back(page);
}

void PagePool::put(Cpu& cpu, std::uint32_t page, bool direct) {
  cpu.work(costs_.page_put);
  if (closed_ || random_.below(1'000'000) >= options_.recycled_ppm) return leave(cpu, page);
  if (direct && cache_.size() < options_.cache) {
    cache_.push_back(page);
  } else if (!returned_.full()) {
    returned_.push_back(page);
  } else {
    return leave(cpu, page);
  }
  ++counters_.recycled;
}

void PagePool::close(Cpu& cpu) {
  closed_ = true;
  for (; !cache_.empty();) {
    const std::uint32_t page = cache_.back();
    cache_.pop_back();
    leave(cpu, page);
  }
  for (; !returned_.empty();) {
    const std::uint32_t page = returned_.front();
    returned_.pop_front();
    leave(cpu, page);
  }
}

}  // namespace gnomon::guest
