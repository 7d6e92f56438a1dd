// SPDX-License-Identifier: Apache-2.0
// The tree of allocated IOVA ranges: walks, the nodes remembered between them, and the pool of nodes.
#include "guest/dma/iova_tree.hpp"

#include <algorithm>
#include <bit>
#include <iterator>
#include <stdexcept>

namespace gnomon::guest {

namespace {
constexpr std::size_t nodes_a_block = 1024;
constexpr std::uint64_t anchor_pfn = ~0ULL;
}  // namespace

IovaTree::IovaTree(std::uint64_t start_pfn, std::uint64_t pfn_32bit)
    : start_pfn_(start_pfn), pfn_32bit_(pfn_32bit), failed_size_32bit_(pfn_32bit) {
  if (start_pfn == 0) throw std::invalid_argument("IovaTree: page 0 must stay unused, it means failure");
  anchor_ = take_node(anchor_pfn, anchor_pfn);
  tree_.insert(*anchor_);
  cached_ = cached32_ = anchor_;
}

IovaTree::IovaTree(const IovaTree& other)
    : start_pfn_(other.start_pfn_), pfn_32bit_(other.pfn_32bit_), failed_size_32bit_(other.failed_size_32bit_) {
  for (const Node& node : other.tree_) {
    Node* const copy = take_node(node.first, node.last);
    tree_.insert_before(tree_.end(), *copy);
    if (&node == other.anchor_) anchor_ = copy;
    if (&node == other.cached_) cached_ = copy;
    if (&node == other.cached32_) cached32_ = copy;
  }
}

void IovaTree::reserve(std::uint64_t first, std::uint64_t last) {
  if (first > last || last >= anchor_pfn) throw std::invalid_argument("IovaTree: bad reserved range");
  for (auto it = tree_.begin(); it != tree_.end() && it->first <= last; ++it) {
    if (it->last < first) continue;
    if (first < it->first) it->first = first;  // grows downwards; the order in the tree does not change
    if (last <= it->last) return;
    first = it->last + 1;
  }
  tree_.insert(*take_node(first, last));
}

IovaTree::Search IovaTree::allocate(std::uint64_t pages, std::uint64_t limit) {
  Search search;
  const bool low = limit <= pfn_32bit_;
  if (low && pages >= failed_size_32bit_) {
    search.remembered_failure = true;
    return search;
  }
  Node* const start = low ? cached32_ : cached_;
  Gap gap = find_gap(start, pages, limit, start_pfn_, search.nodes_visited);
  if (gap.above == nullptr && start->last < limit) {  // what the walk left out: from the limit down to its start
    search.restarted = true;
    Node* const top = low ? &*tree_.lower_bound(limit) : anchor_;
    gap = find_gap(top, pages, limit, start->last + 1, search.nodes_visited);
  }
  if (gap.above == nullptr) {
    failed_size_32bit_ = pages;  // the kernel notes it after a failure in the full space too
    return search;
  }
  Node* const node = take_node(gap.pfn, gap.pfn + pages - 1);
  tree_.insert_before(tree_.iterator_to(*gap.above), *node);
  (node->last < pfn_32bit_ ? cached32_ : cached_) = node;
  search.pfn = gap.pfn;
  return search;
}

// Unsigned wrap-around is part of the algorithm: a size beyond `high` yields a candidate above everything, which
// ends the walk, and the last test rejects it.
IovaTree::Gap IovaTree::find_gap(Node* from, std::uint64_t pages, std::uint64_t limit, std::uint64_t low,
                                 std::uint32_t& visited) {
  const std::uint64_t align = ~0ULL << std::bit_width(pages - 1);
  std::uint64_t high = limit;
  std::uint64_t candidate;
  Node* above;
  Node* node = from;
  do {
    ++visited;
    high = std::min(high, node->first);
    candidate = (high - pages) & align;
    above = node;
    node = lower(node);
  } while (node != nullptr && candidate <= node->last && candidate >= low);
  if (high < pages || candidate < low) return {};
  return {above, candidate};
}

std::uint32_t IovaTree::free(std::uint64_t pfn) {
  using Algorithms = Tree::node_algorithms;
  using Traits = Tree::value_traits;
  std::uint32_t visited = 0;
  auto at = Algorithms::root_node(tree_.end().pointed_node());
  while (at != nullptr) {
    ++visited;
    Node& node = *Traits::to_value_ptr(at);
    if (pfn < node.first) {
      at = Tree::node_traits::get_left(at);
    } else if (pfn > node.last) {
      at = Tree::node_traits::get_right(at);
    } else if (&node == anchor_) {
      break;
    } else {
      forget_cached(&node, higher(&node));
      tree_.erase(tree_.iterator_to(node));
      node.next_free = free_nodes_;
      free_nodes_ = &node;
      return visited;
    }
  }
  throw std::logic_error("IovaTree: a page was freed that is not allocated");
}

void IovaTree::forget_cached(const Node* node, Node* next) {
  const bool below = node->last < pfn_32bit_;
  if (node == cached32_ || (below && node->first >= cached32_->first)) cached32_ = next;
  if (node->first < pfn_32bit_) failed_size_32bit_ = pfn_32bit_;
  if (node->first >= cached_->first) cached_ = next;
}

IovaTree::Node* IovaTree::lower(Node* node) {
  auto it = tree_.iterator_to(*node);
  return it == tree_.begin() ? nullptr : &*std::prev(it);
}

IovaTree::Node* IovaTree::higher(Node* node) {
  return &*std::next(tree_.iterator_to(*node));
}

IovaTree::Node* IovaTree::take_node(std::uint64_t first, std::uint64_t last) {
  if (free_nodes_ == nullptr) {
    blocks_.push_back(std::make_unique<Node[]>(nodes_a_block));
    for (std::size_t i = nodes_a_block; i-- > 0;) {
      blocks_.back()[i].next_free = free_nodes_;
      free_nodes_ = &blocks_.back()[i];
    }
  }
  Node* const node = free_nodes_;
  free_nodes_ = node->next_free;
  node->first = first;
  node->last = last;
  return node;
}

}  // namespace gnomon::guest
