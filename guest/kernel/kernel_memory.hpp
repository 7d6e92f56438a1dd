// SPDX-License-Identifier: Apache-2.0
// Pages for the kernel's own structures that hardware reads: page tables, command queues, device tables.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "guest/kernel/guest_pages.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/pgtable/table_memory.hpp"

namespace gnomon::guest {

/// Zeroed pages of guest memory; freed ones are handed out again, last in first out.
class KernelMemory final : public pgtable::TableMemory<GpaSpace> {
 public:
  KernelMemory(GuestRam& ram, GuestPages& pages) : ram_(ram), pages_(pages) {}

  /// A chunk of a backing is never smaller than a page, so a guest page is contiguous in the host.
  std::byte* page(Gpa address) const override { return ram_.memory().at(ram_.to_hpa(address), page_size); }
  /// Throws std::bad_alloc when the guest's memory is used up.
  Gpa allocate() override {
    Gpa taken{};
    if (free_.empty()) {
      taken = pages_.allocate(page_size);
    } else {
      taken = free_.back();
      free_.pop_back();
    }
    std::memset(page(taken), 0, page_size);
    return taken;
  }
  void free(Gpa page) override { free_.push_back(page); }
  Gpa allocate_block(std::uint64_t bytes) override { return allocate_ring(bytes, bytes); }

  /// Zeroed and contiguous, for good: rings and tables of a device. `alignment`: a power of two >= a page.
  Gpa allocate_ring(std::uint64_t bytes, std::uint64_t alignment = page_size) {
    const Gpa start = pages_.allocate(bytes, alignment);
    for (std::uint64_t at = 0; at < bytes; at += page_size) std::memset(page(start + at), 0, page_size);
    return start;
  }

  GuestRam& ram() { return ram_; }

 private:
  GuestRam& ram_;
  GuestPages& pages_;
  std::vector<Gpa> free_;
};

}  // namespace gnomon::guest
