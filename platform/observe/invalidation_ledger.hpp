// SPDX-License-Identifier: Apache-2.0
// Holds what invalidations cover against what was modified: the over-invalidation of a flush policy.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/trace/events.hpp"
#include "platform/observe/page_map.hpp"

namespace gnomon::observe {

/// Per domain and page: is it mapped, and was its leaf changed since the last invalidation that covered it.
class InvalidationLedger {
 public:
  /// In 4 KiB pages.
  struct Covered {
    std::uint64_t pages = 0;     ///< mapped now, or modified
    std::uint64_t modified = 0;  ///< of those, changed since their last invalidation
  };

  void on(const trace::MappingAdded& e) { change(e.domain, e.iova, e.bytes, true); }
  void on(const trace::MappingRemoved& e) { change(e.domain, e.iova, e.bytes, false); }
  /// What the request covers; the modifications are settled by it. Nothing for requests that invalidate nothing.
  Covered on(const trace::GuestRequest& e);

 private:
  static constexpr unsigned words = 8;
  struct Block {
    std::array<std::uint64_t, words> mapped{}, modified{};
    bool listed = false;  ///< in Domain::modified
  };
  struct Domain {
    PageMap<Block> pages;
    std::uint64_t mapped = 0;             ///< pages
    std::vector<std::uint64_t> modified;  ///< blocks, among them all that hold a modified page
  };

  Domain& domain(std::uint32_t id);
  void change(std::uint32_t domain, std::uint64_t iova, std::uint64_t bytes, bool mapped);
  static Covered settle_range(Domain& domain, std::uint64_t iova, std::uint64_t bytes);
  static Covered settle_all(Domain& domain);

  std::vector<Domain> domains_;
};

}  // namespace gnomon::observe
