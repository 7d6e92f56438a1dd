// SPDX-License-Identifier: Apache-2.0
// The TLB of a Tegra SMMU: fully associative lines, each of a group of four entries of one address space.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/base/address.hpp"
#include "models/spec/tegra_smmu/page_table.hpp"

namespace gnomon::iommu {

class TegraTlb {
 public:
  using Group = std::array<std::uint32_t, 4>;  ///< raw entries of 16 KiB

  explicit TegraTlb(std::uint32_t lines) : lines_(lines), active_(lines) {}

  /// The entry of `iova`, where one that is present is held: an absent one is a miss, and fetched again.
  std::optional<std::uint32_t> lookup(std::uint8_t asid, Iova iova);
  /// Takes the least recently used line. True where that held something.
  bool fill(std::uint8_t asid, Iova iova, const Group& entries);
  /// Returns the lines dropped.
  std::uint32_t flush(const tegra::TlbFlush& which);
  /// Uses the first `lines` only, at most all; what the others held is gone.
  void set_active(std::uint32_t lines);

  std::uint32_t size() const;  ///< lines that hold something
  std::uint32_t active() const { return active_; }

 private:
  struct Line {
    std::uint64_t group = 0;  // IOVA / 16 KiB
    std::uint64_t used = 0;   // the clock at the last use; 0 is an empty line
    Group entries{};
    std::uint8_t asid = 0;
    bool is(std::uint8_t a, std::uint64_t g) const { return used != 0 && group == g && asid == a; }
  };
  std::vector<Line> lines_;
  std::uint32_t active_;
  std::uint64_t clock_ = 0;
};

}  // namespace gnomon::iommu
