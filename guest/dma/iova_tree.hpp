// SPDX-License-Identifier: Apache-2.0
// The tree of allocated IOVA ranges: first fit from the top, by Linux's drivers/iommu/iova.c (6.1 to 7.2).
// Pages throughout. The caller holds the lock and charges time for the nodes visited.
#pragma once

#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <memory>
#include <vector>

namespace gnomon::guest {

class IovaTree {
 public:
  struct Search {
    std::uint64_t pfn = 0;  ///< first page of the range; 0 when there is none, for page 0 is never handed out
    std::uint32_t nodes_visited = 0;
    bool restarted = false;           ///< the walk reached the bottom and began again from the limit
    bool remembered_failure = false;  ///< refused without a walk: this size or a smaller one failed before
  };

  /// Nothing below `start_pfn` (>= 1) is handed out. `pfn_32bit`: the first page past 4 GiB.
  IovaTree(std::uint64_t start_pfn, std::uint64_t pfn_32bit);
  /// A copy goes on as the original would: what walks start from is copied too.
  IovaTree(const IovaTree& other);
  IovaTree& operator=(const IovaTree&) = delete;

  /// Keeps [first, last] from being handed out; may overlap what was reserved before. Call before any allocation.
  void reserve(std::uint64_t first, std::uint64_t last);

  /// `pages` (1 .. 2^52) aligned to the next power of two, all below `limit` (exclusive).
  Search allocate(std::uint64_t pages, std::uint64_t limit);

  /// Frees the range that holds `pfn`; returns the nodes visited. Throws std::logic_error when no range does.
  std::uint32_t free(std::uint64_t pfn);

  std::uint64_t ranges() const { return tree_.size() - 1; }  ///< allocated and reserved; not the anchor

 private:
  struct Node : boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>> {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    Node* next_free = nullptr;
  };
  struct ByFirst {
    using type = std::uint64_t;
    const type& operator()(const Node& node) const { return node.first; }
  };
  using Tree = boost::intrusive::set<Node, boost::intrusive::key_of_value<ByFirst>>;
  struct Gap {
    Node* above = nullptr;  // the node the range goes below; null when there is no gap
    std::uint64_t pfn = 0;
  };

  Gap find_gap(Node* from, std::uint64_t pages, std::uint64_t limit, std::uint64_t low, std::uint32_t& visited);
  Node* lower(Node* node);
  Node* higher(Node* node);
  void forget_cached(const Node* node, Node* next);
  Node* take_node(std::uint64_t first, std::uint64_t last);

  std::vector<std::unique_ptr<Node[]>> blocks_;
  Node* free_nodes_ = nullptr;
  Tree tree_;
  Node* anchor_ = nullptr;    // above every page
  Node* cached_ = nullptr;    // where the last allocation above 4 GiB went: the next walk starts there
  Node* cached32_ = nullptr;  // the same below 4 GiB
  std::uint64_t start_pfn_;
  std::uint64_t pfn_32bit_;
  std::uint64_t failed_size_32bit_;  // below 4 GiB no request of this size or more can succeed
};

}  // namespace gnomon::guest
