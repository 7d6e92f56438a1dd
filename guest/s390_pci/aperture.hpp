// SPDX-License-Identifier: Apache-2.0
// Which DMA addresses a function's translation covers (zpci_dma_init_device; since 6.7 s390_iommu_probe_device).
#pragma once

#include <algorithm>
#include <cstdint>

#include "models/spec/s390_pci/dma_table.hpp"
#include "models/spec/s390_pci/instruction.hpp"

namespace gnomon::guest {

struct S390Aperture {
  Iova first;
  Iova last;  ///< inclusive
  constexpr std::uint64_t bytes() const { return last - first + 1; }
  constexpr bool contains(Iova iova, std::uint64_t size) const {
    return iova >= first && iova <= last && size <= last - iova + 1;
  }
  constexpr bool operator==(const S390Aperture&) const = default;
};

/// From the window's start: as much as main memory times `factor` (s390_iommu_aperture; 0: without limit), what the
/// tables span, and the window allow. `window.first` lies in the span.
constexpr S390Aperture s390_aperture(std::uint64_t memory_bytes, std::uint64_t factor, s390_pci::DmaWindow window) {
  const std::uint64_t in_span = s390_pci::table_span - window.first.value;
  const std::uint64_t in_window = window.last - window.first;  // one less than what it holds
  std::uint64_t bytes = in_span;
  if (in_window < bytes) bytes = in_window + 1;
  if (factor != 0 && memory_bytes <= bytes / factor) bytes = memory_bytes * factor;
  return {window.first, window.first + (bytes - 1)};
}

}  // namespace gnomon::guest
