// SPDX-License-Identifier: Apache-2.0
// Where a guest's physical memory lies in the host's: the backing decides how far a guest-contiguous buffer is
// contiguous for the host, hence how many runs VFIO pins and which page sizes the host IOMMU can use.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include "models/base/address.hpp"
#include "models/base/wide.hpp"
#include "models/memory/physical_memory.hpp"

namespace gnomon {

/// An access outside the guest's memory.
class BadGuestAccess : public std::out_of_range {
 public:
  BadGuestAccess(Gpa address, std::uint64_t bytes);
};

/// What the VMM's allocation of guest memory is made of.
enum class Backing : std::uint8_t {
  pages_4k,    ///< anonymous memory, fragmented: no two neighbouring guest pages are neighbours in the host
  thp_2m,      ///< transparent huge pages
  hugetlb_1g,  ///< hugetlbfs with 1 GiB pages
};

/// Guest-physical memory [0, size) over host-physical memory. The chunks of the backing are permuted by an affine
/// map modulo their number, a function of `seed` alone; there is no table, so a translation is two multiplications.
class GuestRam {
 public:
  /// `base` and `bytes` are multiples of the chunk, and [base, base + bytes) is installed: else
  /// std::invalid_argument. `memory` must outlive the object.
  GuestRam(PhysicalMemory& memory, Hpa base, std::uint64_t bytes, Backing backing, std::uint64_t seed);

  /// Bare metal: the first `bytes` of `memory`, a Gpa being its Hpa.
  static GuestRam identity(PhysicalMemory& memory, std::uint64_t bytes);

  std::uint64_t size() const { return size_; }
  /// Bytes of one chunk of the backing; the whole memory on bare metal.
  std::uint64_t chunk_bytes() const { return std::min(offset_mask_ + 1, size_); }
  PhysicalMemory& memory() const { return *memory_; }

  bool contains(Gpa address, std::uint64_t bytes) const { return bytes <= size_ && address.value <= size_ - bytes; }

  /// Throws BadGuestAccess outside [0, size).
  Hpa to_hpa(Gpa address) const {
    if (address.value >= size_) throw BadGuestAccess(address, 1);
    return base_ + (permuted(address.value >> chunk_shift_) << chunk_shift_) + (address.value & offset_mask_);
  }

  /// Bytes from here on that are contiguous in the host, counted to the end of the chunk: the next chunk may happen
  /// to follow. Throws BadGuestAccess.
  std::uint64_t contiguous_bytes(Gpa address) const {
    if (address.value >= size_) throw BadGuestAccess(address, 1);
    return std::min(offset_mask_ - (address.value & offset_mask_) + 1, size_ - address.value);
  }

  /// One object at any alignment, over chunk edges too. Throws BadGuestAccess.
  template <class T>
  T read(Gpa address) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (within_chunk(address, sizeof(T))) return memory_->read<T>(to_hpa(address));
    T value;
    read_bytes(address, &value, sizeof(T));
    return value;
  }
  template <class T>
  void write(Gpa address, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (within_chunk(address, sizeof(T))) return memory_->write(to_hpa(address), value);
    write_bytes(address, &value, sizeof(T));
  }

  /// Any number of bytes. All or nothing: throws BadGuestAccess before the first is copied.
  void read_bytes(Gpa address, void* to, std::uint64_t bytes) const;
  void write_bytes(Gpa address, const void* from, std::uint64_t bytes);

 private:

  struct Geometry {
    Hpa base;
    std::uint64_t bytes;
    unsigned chunk_shift;
    std::uint64_t seed;
  };
  GuestRam(PhysicalMemory& memory, const Geometry& geometry);

  bool within_chunk(Gpa address, std::uint64_t bytes) const {
    return (address.value & offset_mask_) + bytes <= offset_mask_ + 1;
  }

  // (chunk * multiplier + offset) mod chunks, by Barrett's reduction: the quotient's estimate is at most one short.
  std::uint64_t permuted(std::uint64_t chunk) const {
    const std::uint64_t x = chunk * multiplier_ + addend_;
    const auto quotient = static_cast<std::uint64_t>((Wide{x} * reciprocal_) >> 64);
    const std::uint64_t remainder = x - quotient * chunks_;
    return remainder >= chunks_ ? remainder - chunks_ : remainder;
  }

  PhysicalMemory* memory_;
  Hpa base_;
  std::uint64_t size_;
  unsigned chunk_shift_;
  std::uint64_t offset_mask_;
  std::uint64_t chunks_;
  std::uint64_t multiplier_ = 1;  // coprime to chunks_
  std::uint64_t addend_ = 0;
  std::uint64_t reciprocal_;  // floor((2^64 - 1) / chunks_)
};

}  // namespace gnomon
