// SPDX-License-Identifier: Apache-2.0
// Host-physical memory as bytes. Holds what hardware and software really parse: page tables, rings, queues, PRP lists.
// The payload of DMA is not stored; only its addresses matter here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "models/base/address.hpp"

namespace gnomon {

/// An access outside the installed memory. A model that lets it happen has a bug, or a device was given a wild address.
class BadPhysicalAccess : public std::out_of_range {
 public:
  BadPhysicalAccess(Hpa address, std::uint64_t bytes);
};

/// Memory of a fixed size, zero at power-on, backed by host pages only where it was touched.
class PhysicalMemory {
 public:
  /// `bytes`: a multiple of the page size. Throws std::bad_alloc where the host refuses the address space.
  explicit PhysicalMemory(std::uint64_t bytes);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  std::uint64_t size() const { return size_; }

  /// Reads or writes one object at any alignment. Throws BadPhysicalAccess.
  template <class T>
  T read(Hpa address) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, at(address, sizeof(T)), sizeof(T));
    return value;
  }
  template <class T>
  void write(Hpa address, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(at(address, sizeof(T)), &value, sizeof(T));
  }

  /// The bytes [address, address + bytes), contiguous. Throws BadPhysicalAccess.
  std::byte* at(Hpa address, std::uint64_t bytes) const {
    if (bytes > size_ || address.value > size_ - bytes) throw BadPhysicalAccess(address, bytes);
    return base_ + address.value;
  }

 private:
  std::uint64_t size_;
  std::byte* base_;
};

/// Hands out host-physical pages for structures of the host: page tables, queues. Zeroed, reused LIFO.
/// Pages are taken upwards from `first`; the caller keeps guest memory out of the range.
class PageAllocator {
 public:
  PageAllocator(PhysicalMemory& memory, Hpa first, Hpa end) : memory_(memory), next_(first), end_(end) {}

  /// One zeroed page. Throws std::bad_alloc when the range is used up.
  Hpa allocate();
  /// So many pages in a row, zeroed, for good. Throws std::bad_alloc.
  Hpa allocate_contiguous(std::uint64_t pages);
  void free(Hpa page);
  std::uint64_t in_use() const { return in_use_; }  ///< pages

 private:
  PhysicalMemory& memory_;
  Hpa next_;
  Hpa end_;
  Hpa free_list_{0};  // linked through the free pages' first word; 0 ends it
  std::uint64_t in_use_ = 0;
};

}  // namespace gnomon
