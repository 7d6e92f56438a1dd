// SPDX-License-Identifier: Apache-2.0
// A page of an I/O page table as the CPU sees it, over memory as a walker sees it that does not snoop.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <cstring>

#include "guest/kernel/kernel_memory.hpp"
#include "models/spec/tegra_smmu/page_table.hpp"

namespace gnomon::guest {

/// A store stays in the CPU's cache until its line is cleaned: nothing is ever written back early, which a real
/// cache may do, so that a missing clean is always seen.
class CachedTable {
 public:
  /// A zeroed page; throws std::bad_alloc. `coherent`: stores are seen at once. `memory` must outlive the object.
  CachedTable(KernelMemory& memory, const tegra::Soc& soc, bool coherent)
      : memory_(memory),
        page_(memory.allocate()),
        seen_(memory.page(page_)),
        line_(soc.cpu_line_bytes),
        atom_(soc.atom_bytes),
        coherent_(coherent) {}
  ~CachedTable() { memory_.free(page_); }
  CachedTable(const CachedTable&) = delete;
  CachedTable& operator=(const CachedTable&) = delete;

  Gpa page() const { return page_; }
  std::uint32_t load(unsigned index) const { return entries_[index]; }
  void store(unsigned index, std::uint32_t value) {
    entries_[index] = value;
    dirty_.set(index * 4 / line_);
    flushable_.set(index * 4 / atom_);
    if (coherent_) write_back(index * 4 / line_);
  }

  /// Cleans the lines that [offset, offset + bytes) touches, bytes > 0. Returns how many, dirty or not.
  unsigned clean(std::uint32_t offset, std::uint32_t bytes) {
    const unsigned first = offset / line_;
    const unsigned last = (offset + bytes - 1) / line_;
    for (unsigned line = first; line <= last; ++line) write_back(line);
    return last - first + 1;
  }
  bool dirty() const { return dirty_.any(); }

  /// Whether entries of the atom were stored since the page-table cache was last flushed of it.
  bool flushable(unsigned atom) const { return flushable_.test(atom); }
  bool any_flushable() const { return flushable_.any(); }
  void flushed(unsigned atom) { flushable_.reset(atom); }
  unsigned atoms() const { return static_cast<unsigned>(page_size / atom_); }

 private:
  void write_back(unsigned line) {
    if (!dirty_.test(line)) return;
    dirty_.reset(line);
    std::memcpy(seen_ + line * line_, reinterpret_cast<const std::byte*>(entries_.data()) + line * line_, line_);
  }

  KernelMemory& memory_;
  Gpa page_;
  std::byte* seen_;
  std::uint32_t line_;
  std::uint32_t atom_;
  bool coherent_;
  std::array<std::uint32_t, tegra::table_entries> entries_{};
  std::bitset<128> dirty_;      // by line
  std::bitset<256> flushable_;  // by atom
};

}  // namespace gnomon::guest
