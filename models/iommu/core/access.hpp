// SPDX-License-Identifier: Apache-2.0
// What a DMA wants to do with memory.
#pragma once

#include <cstdint>

#include "models/pgtable/mapping.hpp"

namespace gnomon::iommu {

enum class Access : std::uint8_t { read, write };

constexpr bool allows(pgtable::Permissions p, Access access) {
  return access == Access::read ? p.read : p.write;
}

}  // namespace gnomon::iommu
