// SPDX-License-Identifier: Apache-2.0
// What is remembered of the I/O pages of one domain: blocks of 512 pages, made where touched.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace gnomon::observe {

/// `Block` stands for 512 pages. Looking at the same block again costs no search: buffers are small and neighbours.
template <class Block>
class PageMap {
 public:
  static constexpr std::uint64_t block_pages = 512;

  Block& block(std::uint64_t index) {
    if (index != last_index_) {
      std::unique_ptr<Block>& slot = blocks_[index];
      if (!slot) slot = std::make_unique<Block>();
      last_index_ = index;
      last_ = slot.get();
    }
    return *last_;
  }
  Block* find(std::uint64_t index) {
    if (index == last_index_) return last_;
    const auto found = blocks_.find(index);
    return found == blocks_.end() ? nullptr : found->second.get();
  }
  std::size_t size() const { return blocks_.size(); }

  /// Visits (index, block) of all blocks in no particular order: for sums alone.
  template <class F>
  void for_each(F&& visit) {
    for (auto& [index, block] : blocks_) visit(index, *block);
  }

 private:
  std::unordered_map<std::uint64_t, std::unique_ptr<Block>> blocks_;
  std::uint64_t last_index_ = ~std::uint64_t{0};
  Block* last_ = nullptr;
};

}  // namespace gnomon::observe
