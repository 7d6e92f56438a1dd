// SPDX-License-Identifier: Apache-2.0
// What is chosen of a Tegra SMMU: the SoC, and what its manual leaves open.
#pragma once

#include <cstdint>

#include "models/spec/tegra_smmu/soc.hpp"

namespace gnomon::iommu {

struct TegraConfig {
  const tegra::Soc* soc = &tegra::tegra210;
  /// Lines of the page-table cache. PTC_CONFIG has an index map of 6 bits, hence 64 sets; the ways are assumed.
  std::uint32_t ptc_sets = 64;
  std::uint32_t ptc_ways = 4;
  /// The walker snoops: it sees what the CPU has stored, and so does the page-table cache. No Tegra does.
  bool coherent = false;
};

}  // namespace gnomon::iommu
