// SPDX-License-Identifier: Apache-2.0
// A ShadowTarget that writes down its calls and keeps what they amount to, page by page.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "models/hypervisor/core/shadow_target.hpp"

namespace gnomon::test {

class RecordingShadow final : public hypervisor::ShadowTarget {
 public:
  struct Call {
    bool map = false;
    std::uint64_t iova = 0;
    std::uint64_t gpa = 0;  ///< 0 of an unmap
    std::uint64_t bytes = 0;
    bool operator==(const Call&) const = default;
  };

  std::vector<Call> calls;
  std::map<std::uint64_t, std::uint64_t> pages;  ///< IOVA page to guest page
  std::optional<unsigned> refuse_after;          ///< maps accepted before one is refused
  bool bypass = false;
  bool double_map = false;  ///< a page was mapped over another

  bool map(Iova iova, Gpa gpa, std::uint64_t bytes, hypervisor::DmaAccess) override {
    calls.push_back({true, iova.value, gpa.value, bytes});
    if (refuse_after && (*refuse_after)-- == 0) {
      refuse_after.reset();
      return false;
    }
    for (std::uint64_t at = 0; at < bytes; at += page_size) {
      double_map |= !pages.emplace((iova + at).page(), (gpa + at).page()).second;
    }
    return true;
  }
  void unmap(Iova iova, std::uint64_t bytes) override {
    calls.push_back({false, iova.value, 0, bytes});
    pages.erase(pages.lower_bound(iova.page()), pages.upper_bound((iova + (bytes - 1)).page()));
  }
  void set_bypass(bool on) override {
    bypass = on;
    if (on) nested.reset();
    if (on) blocked = false;
  }

  struct Forwarded {
    std::uint64_t iova = 0;
    std::uint64_t bytes = 0;
    bool leaf_only = false;
    bool operator==(const Forwarded&) const = default;
  };
  std::optional<Gpa> nested;  ///< root of the first-level table
  bool blocked = false;
  std::vector<Forwarded> forwarded;

  void nest(Gpa root, unsigned) override {
    nested = root;
    blocked = false;
  }
  void block() override {
    nested.reset();
    blocked = true;
  }
  void forward_invalidation(Iova iova, std::uint64_t bytes, bool leaf_only) override {
    forwarded.push_back({iova.value, bytes, leaf_only});
  }
};

}  // namespace gnomon::test
