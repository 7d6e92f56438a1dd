// SPDX-License-Identifier: Apache-2.0
// What is remembered of the I/O pages of one domain: blocks of 512 pages, made where touched.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace gnomon::observe {

/// `Block` stands for 512 pages. Looking at one of the latest blocks again costs no search: a device's rings and
/// its buffers are few.
template <class Block>
class PageMap {
 public:
  static constexpr std::uint64_t block_pages = 512;

  Block& block(std::uint64_t index) {
    Known& known = known_[index % known_.size()];
    if (index != known.index) {
      std::unique_ptr<Block>& slot = blocks_[index];
      if (!slot) slot = std::make_unique<Block>();
      known = {index, slot.get()};
    }
    return *known.block;
  }
  Block* find(std::uint64_t index) {
    Known& known = known_[index % known_.size()];
    if (index == known.index) return known.block;
    const auto found = blocks_.find(index);
    if (found == blocks_.end()) return nullptr;
    known = {index, found->second.get()};
    return known.block;
  }
  std::size_t size() const { return blocks_.size(); }

  /// Visits (index, block) of all blocks in no particular order: for sums alone.
  template <class F>
  void for_each(F&& visit) {
    for (auto& [index, block] : blocks_) visit(index, *block);
  }

 private:
  std::unordered_map<std::uint64_t, std::unique_ptr<Block>> blocks_;
  struct Known {
    std::uint64_t index = ~std::uint64_t{0};
    Block* block = nullptr;
  };
  std::array<Known, 16> known_;
};

}  // namespace gnomon::observe
