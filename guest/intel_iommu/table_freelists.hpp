// SPDX-License-Identifier: Apache-2.0
// Lists of page-table pages that wait for an invalidation before they are freed. Hardware may still read the pages,
// so the lists are kept beside them.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/iommu/gather.hpp"

namespace gnomon::guest {

/// All lists of one domain. Allocates nothing once it has grown to the most pages that wait at a time.
class TableFreelists {
 public:
  /// Puts a page on the list, which may be empty.
  void push(FreelistHandle& list, Gpa page) {
    std::uint32_t node = spare_;
    if (node != 0) {
      spare_ = nodes_[node].next;
    } else {
      node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    }
    nodes_[node] = {page, list.value};
    list.value = node;
  }

  /// Empties the list, last page first.
  template <class OnPage>
  void take(FreelistHandle list, OnPage on_page) {
    for (std::uint32_t node = list.value; node != 0;) {
      const Node taken = nodes_[node];
      nodes_[node].next = spare_;
      spare_ = node;
      on_page(taken.page);
      node = taken.next;
    }
  }

 private:
  struct Node {
    Gpa page{};
    std::uint32_t next = 0;
  };
  std::vector<Node> nodes_{1};  // 0 is no node
  std::uint32_t spare_ = 0;
};

}  // namespace gnomon::guest
