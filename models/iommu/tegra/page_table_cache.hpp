// SPDX-License-Identifier: Apache-2.0
// The page-table cache (PTC) of a Tegra SMMU: atoms of page-table memory by physical address, directory and table
// entries alike, absent ones too.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "models/iommu/core/tagged_cache.hpp"
#include "models/memory/physical_memory.hpp"

namespace gnomon::iommu {

class PageTableCache {
 public:
  static constexpr std::uint32_t largest_atom = 64;  ///< bytes
  using Atom = std::array<std::byte, largest_atom>;

  /// `sets`: a power of two. `memory` must outlive the object. `snoops`: a store to memory drops what is held of
  /// it.
  PageTableCache(std::uint32_t sets, std::uint32_t ways, std::uint32_t atom_bytes, bool snoops,
                 const PhysicalMemory& memory)
      : cache_(sets, ways), atom_bytes_(atom_bytes), snoops_(snoops), memory_(memory) {}

  /// Reads `bytes`, inside one atom of installed memory. Returns 1 where that took a read of memory, else 0.
  unsigned read(Hpa address, void* into, std::uint32_t bytes) {
    const std::uint64_t number = address.value / atom_bytes_;
    const std::uint64_t offset = address.value % atom_bytes_;
    const std::byte* now = memory_.at(Hpa{number * atom_bytes_}, atom_bytes_);
    const Atom* held = enabled_ ? cache_.find(make_key({}, 0, number)) : nullptr;
    if (held != nullptr && !(snoops_ && std::memcmp(held->data(), now, atom_bytes_) != 0)) {
      std::memcpy(into, held->data() + offset, bytes);
      return 0;
    }
    std::memcpy(into, now + offset, bytes);
    if (enabled_) {
      Atom atom;
      std::memcpy(atom.data(), now, atom_bytes_);
      cache_.insert(make_key({}, 0, number), atom);
    }
    return 1;
  }

  void enable(bool on) {
    enabled_ = on;
    if (!on) flush_all();
  }
  // Each returns the atoms dropped.
  std::uint32_t flush_all() {
    return cache_.erase_if([](const CacheKey&, const Atom&) { return true; });
  }
  std::uint32_t flush(Hpa address) {
    const std::uint64_t number = address.value / atom_bytes_;
    return cache_.erase_range({}, 0, number, number);
  }
  std::uint32_t size() const { return cache_.size(); }  ///< atoms

 private:
  TaggedCache<Atom> cache_;
  std::uint32_t atom_bytes_;
  bool snoops_;
  const PhysicalMemory& memory_;
  bool enabled_ = false;
};

}  // namespace gnomon::iommu
