// SPDX-License-Identifier: Apache-2.0
// Pages for the kernel's own structures that hardware reads: page tables, command queues, device tables.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/kernel/guest_pages.hpp"
#include "models/memory/guest_ram.hpp"

namespace gnomon::guest {

/// Zeroed pages of guest memory; freed ones are handed out again, last in first out.
class KernelMemory {
 public:
  KernelMemory(GuestRam& ram, GuestPages& pages) : ram_(ram), pages_(pages) {}

  /// Throws std::bad_alloc when the guest's memory is used up.
  Gpa allocate_page() {
    Gpa page{};
    if (free_.empty()) {
      page = pages_.allocate(page_size);
    } else {
      page = free_.back();
      free_.pop_back();
    }
    for (std::uint64_t at = 0; at < page_size; at += sizeof(std::uint64_t)) ram_.write<std::uint64_t>(page + at, 0);
    return page;
  }
  /// Contiguous, for good: rings and tables of a device.
  Gpa allocate(std::uint64_t bytes, std::uint64_t alignment = page_size) { return pages_.allocate(bytes, alignment); }
  void free_page(Gpa page) { free_.push_back(page); }

  GuestRam& ram() { return ram_; }

 private:
  GuestRam& ram_;
  GuestPages& pages_;
  std::vector<Gpa> free_;
};

}  // namespace gnomon::guest
