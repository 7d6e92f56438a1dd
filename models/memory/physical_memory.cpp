// SPDX-License-Identifier: Apache-2.0
#include "models/memory/physical_memory.hpp"

#include <sys/mman.h>

#include <new>
#include <string>

namespace gnomon {

BadPhysicalAccess::BadPhysicalAccess(Hpa address, std::uint64_t bytes)
    : std::out_of_range("physical access of " + std::to_string(bytes) + " bytes at " + std::to_string(address.value) +
                        " is outside memory") {}

PhysicalMemory::PhysicalMemory(std::uint64_t bytes) : size_(bytes) {
  // An untouched page costs nothing: a guest of many GiB is a few MiB of rings and tables to us.
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<std::byte*>(base);
}

PhysicalMemory::~PhysicalMemory() { munmap(base_, size_); }

Hpa PageAllocator::allocate() {
  Hpa page = free_list_;
  if (page.value != 0) {
    free_list_ = memory_.read<Hpa>(page);
  } else {
    if (next_ >= end_) throw std::bad_alloc();
    page = next_;
    next_ += page_size;
  }
  std::memset(memory_.at(page, page_size), 0, page_size);
  ++in_use_;
  return page;
}

Hpa PageAllocator::allocate_contiguous(std::uint64_t pages) {
  const std::uint64_t bytes = pages * page_size;
  if (bytes > end_ - next_) throw std::bad_alloc();
  const Hpa first = next_;
  next_ += bytes;
  std::memset(memory_.at(first, bytes), 0, bytes);
  in_use_ += pages;
  return first;
}

void PageAllocator::free(Hpa page) {
  memory_.write(page, free_list_);
  free_list_ = page;
  --in_use_;
}

}  // namespace gnomon
