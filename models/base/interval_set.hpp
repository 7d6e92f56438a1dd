// SPDX-License-Identifier: Apache-2.0
// Disjoint intervals of 64-bit addresses in a red-black tree, with nodes from a pool: no allocation once the pool
// has grown to the largest population. Order is by address only, so walks are the same on every machine.
#pragma once

#include <boost/intrusive/set.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace gnomon {

/// [first, last], inclusive, so that the end of the address space has a name.
template <class Payload>
struct Interval : boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>> {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  Payload payload{};
  Interval* next_free = nullptr;

  std::uint64_t bytes() const { return last - first + 1; }  ///< 0 for all of the 64-bit space
};

/// Nodes for any number of sets; must outlive them.
template <class Payload>
class IntervalPool {
 public:
  using Node = Interval<Payload>;

  Node* take() {
    if (free_ == nullptr) grow();
    return std::exchange(free_, free_->next_free);
  }
  void give_back(Node* node) {
    node->next_free = free_;
    free_ = node;
  }

 private:
  static constexpr std::size_t block_nodes = 1024;

  void grow() {
    blocks_.push_back(std::make_unique<Node[]>(block_nodes));
    for (std::size_t i = block_nodes; i-- > 0;) give_back(&blocks_.back()[i]);
  }

  std::vector<std::unique_ptr<Node[]>> blocks_;
  Node* free_ = nullptr;
};

template <class Payload>
class IntervalSet {
 public:
  using Node = Interval<Payload>;

  explicit IntervalSet(IntervalPool<Payload>& pool) : pool_(pool) {}
  ~IntervalSet() { clear(); }
  IntervalSet(const IntervalSet&) = delete;
  IntervalSet& operator=(const IntervalSet&) = delete;

  std::size_t size() const { return tree_.size(); }
  bool empty() const { return tree_.empty(); }
  auto begin() { return tree_.begin(); }
  auto end() { return tree_.end(); }
  auto begin() const { return tree_.begin(); }
  auto end() const { return tree_.end(); }

  /// The lowest interval that shares an address with [first, last]; null if none.
  Node* first_overlap(std::uint64_t first, std::uint64_t last) {
    auto above = tree_.upper_bound(first);
    if (above != tree_.begin()) {
      auto below = std::prev(above);
      if (below->last >= first) return &*below;
    }
    return above != tree_.end() && above->first <= last ? &*above : nullptr;
  }
  const Node* first_overlap(std::uint64_t first, std::uint64_t last) const {
    return const_cast<IntervalSet*>(this)->first_overlap(first, last);
  }

  /// The lowest interval that begins above `address`; null if none.
  Node* first_above(std::uint64_t address) {
    auto above = tree_.upper_bound(address);
    return above == tree_.end() ? nullptr : &*above;
  }

  /// Requires first <= last and no overlap with what is in the set.
  Node* insert(std::uint64_t first, std::uint64_t last, const Payload& payload) {
    Node* node = pool_.take();
    node->first = first;
    node->last = last;
    node->payload = payload;
    tree_.insert(*node);
    return node;
  }

  void erase(Node* node) {
    tree_.erase(tree_.iterator_to(*node));
    pool_.give_back(node);
  }

  void clear() {
    tree_.clear_and_dispose([this](Node* node) { pool_.give_back(node); });
  }

 private:
  struct KeyOf {
    using type = std::uint64_t;
    type operator()(const Node& node) const { return node.first; }
  };

  IntervalPool<Payload>& pool_;
  boost::intrusive::set<Node, boost::intrusive::key_of_value<KeyOf>> tree_;
};

}  // namespace gnomon
