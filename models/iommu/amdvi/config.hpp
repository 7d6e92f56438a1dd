// SPDX-License-Identifier: Apache-2.0
// What is chosen of an AMD-Vi unit beyond IommuConfig.
#pragma once

#include "models/spec/amdvi/capability.hpp"

namespace gnomon::iommu {

/// Of IommuConfig an AMD-Vi unit takes the geometry of the caches (the context cache holds device table entries),
/// `device_tlb` (IotlbSup) and the faults: ignore_psi_mask ignores the S bit of INVALIDATE_IOMMU_PAGES,
/// ignore_domain_invalidation its whole-domain form. Widths and depths of VT-d mean nothing to it.
struct AmdviConfig {
  amdvi::HostTableLevels hats = amdvi::HostTableLevels::six;  ///< how deep tables may be
};

}  // namespace gnomon::iommu
