// SPDX-License-Identifier: Apache-2.0
// Where the pages of a page table lie: in the host's memory, or in a guest's, whose entries then hold Gpas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "models/memory/guest_ram.hpp"
#include "models/memory/physical_memory.hpp"

namespace gnomon::pgtable {

/// Whole pages: an editor asks for a table once and then works in it, so this costs one call a table visited.
template <class Space>
class TableMemory {
 public:
  virtual ~TableMemory() = default;
  /// The 4096 bytes of a page. Throws where there is no such memory.
  virtual std::byte* page(Address<Space> address) const = 0;
  /// One zeroed page. Throws std::bad_alloc.
  virtual Address<Space> allocate() = 0;
  virtual void free(Address<Space> page) = 0;
  /// `bytes`, a power of two of at least a page: zeroed, contiguous, aligned to their size. Goes back page by page.
  /// Throws std::bad_alloc, always where the memory has no such blocks.
  virtual Address<Space> allocate_block(std::uint64_t /*bytes*/) { throw std::bad_alloc(); }
};

/// Tables of the host. What is given must outlive the object.
class HostTableMemory final : public TableMemory<HpaSpace> {
 public:
  HostTableMemory(PhysicalMemory& memory, PageAllocator& allocator) : memory_(memory), allocator_(allocator) {}
  std::byte* page(Hpa address) const override { return memory_.at(address, page_size); }
  Hpa allocate() override { return allocator_.allocate(); }
  void free(Hpa page) override { allocator_.free(page); }

 private:
  PhysicalMemory& memory_;
  PageAllocator& allocator_;
};

/// Tables of a guest kernel in [first, end) of its memory, page aligned. `ram` must outlive the object.
class GuestTableMemory final : public TableMemory<GpaSpace> {
 public:
  GuestTableMemory(GuestRam& ram, Gpa first, Gpa end) : ram_(ram), next_(first), end_(end) {}
  /// A chunk of a backing is never smaller than a page, so a guest page is contiguous in the host.
  std::byte* page(Gpa address) const override { return ram_.memory().at(ram_.to_hpa(address), page_size); }
  Gpa allocate() override {
    Gpa taken = free_list_;
    if (taken != Gpa{0}) {
      free_list_ = ram_.read<Gpa>(taken);
    } else {
      if (next_ == end_) throw std::bad_alloc();
      taken = next_;
      next_ += page_size;
    }
    std::memset(page(taken), 0, page_size);
    ++in_use_;
    return taken;
  }
  Gpa allocate_block(std::uint64_t bytes) override {
    const Gpa start{(next_.value + bytes - 1) & ~(bytes - 1)};
    if (end_.value < bytes || start > end_ - bytes) throw std::bad_alloc();
    next_ = start + bytes;
    for (std::uint64_t at = 0; at < bytes; at += page_size) std::memset(page(start + at), 0, page_size);
    in_use_ += bytes >> page_shift;
    return start;
  }
  void free(Gpa page) override {
    ram_.write(page, free_list_);
    free_list_ = page;
    --in_use_;
  }
  std::uint64_t in_use() const { return in_use_; }  ///< pages

 private:
  GuestRam& ram_;
  Gpa next_;
  Gpa end_;
  Gpa free_list_{0};  // linked through the free pages' first word; 0 ends it, so the first page must not be 0
  std::uint64_t in_use_ = 0;
};

}  // namespace gnomon::pgtable
