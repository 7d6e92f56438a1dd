// SPDX-License-Identifier: Apache-2.0
// An I/O page table as a plain map of leaves, for tests of what sits on top of one.
#pragma once

#include <iterator>
#include <map>
#include <optional>

#include "models/hypervisor/core/io_page_table.hpp"

namespace gnomon::test {

class FlatIoPageTable final : public hypervisor::IoPageTable {
 public:
  struct Leaf {
    Hpa hpa;
    std::uint64_t bytes = 0;
    hypervisor::DmaAccess access{};
  };

  std::map<std::uint64_t, Leaf> leaves;  ///< by IOVA
  std::uint64_t sizes = 0x40201000;      ///< 4 KiB, 2 MiB, 1 GiB
  std::uint64_t leaves_left = ~std::uint64_t{0};
  std::uint64_t walks = 0;

  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t leaf_bytes,
                 hypervisor::DmaAccess access) override {
    MapOutcome outcome;
    for (; outcome.bytes < bytes; outcome.bytes += leaf_bytes) {
      if (leaves_left == 0 || iova_to_phys(iova + outcome.bytes)) return outcome;
      --leaves_left;
      leaves[iova.value + outcome.bytes] = Leaf{hpa + outcome.bytes, leaf_bytes, access};
      ++outcome.ptes_written;
    }
    outcome.ok = true;
    return outcome;
  }

  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    UnmapOutcome outcome;
    for (auto leaf = leaves.lower_bound(iova.value); outcome.bytes < bytes && leaf != leaves.end();) {
      if (leaf->first != iova.value + outcome.bytes) break;
      outcome.bytes += leaf->second.bytes;
      ++outcome.ptes_cleared;
      leaf = leaves.erase(leaf);
    }
    return outcome;
  }

  std::optional<Hpa> iova_to_phys(Iova iova) override {
    ++walks;
    const auto above = leaves.upper_bound(iova.value);
    if (above == leaves.begin()) return std::nullopt;
    const auto& [base, leaf] = *std::prev(above);
    if (iova.value - base >= leaf.bytes) return std::nullopt;
    return leaf.hpa + (iova.value - base);
  }

  std::uint64_t page_sizes() const override { return sizes; }
};

}  // namespace gnomon::test
