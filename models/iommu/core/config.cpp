// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/core/config.hpp"

#include <bit>
#include <stdexcept>

namespace gnomon::iommu {
namespace {

void require(bool holds, const char* otherwise) {
  if (!holds) throw std::invalid_argument(otherwise);
}

}  // namespace

void validate(const IommuConfig& c) {
  require(std::has_single_bit(c.iotlb_sets), "iotlb_sets must be a power of two");
  require(c.iotlb_ways > 0, "iotlb_ways must not be 0");
  require(c.walk_cache_ways > 0, "walk_cache_ways must not be 0");
  for (const std::uint32_t entries : c.walk_cache_entries) {
    require(entries <= c.walk_cache_ways ||
                (entries % c.walk_cache_ways == 0 && std::has_single_bit(entries / c.walk_cache_ways)),
            "walk_cache_entries must be at most, or a power of two times, walk_cache_ways");
  }
  require(std::has_single_bit(c.context_cache_entries), "context_cache_entries must be a power of two");
  require(c.sagaw != 0 && (c.sagaw & ~0b01110) == 0, "sagaw must name depths of 3, 4 or 5 levels");
  require(c.address_width > 12 && c.address_width <= 57, "address_width must be 13 to 57");
  require(c.host_address_width >= 32 && c.host_address_width <= 52, "host_address_width must be 32 to 52");
  require(c.large_pages <= 0b11, "large_pages must be a set of 2 MiB (bit 0) and 1 GiB (bit 1)");
  require(c.max_address_mask <= 48, "max_address_mask must be at most 48");
  require(c.fault_records >= 1 && c.fault_records <= 256, "fault_records must be 1 to 256");
  require(c.scalable_mode || !c.first_stage, "first_stage needs scalable_mode");
  require(c.first_stage || !c.nested, "nested needs first_stage");
  require(c.pasid_bits >= 1 && c.pasid_bits <= 20, "pasid_bits must be 1 to 20");
  require(std::has_single_bit(c.pasid_cache_entries), "pasid_cache_entries must be a power of two");
}

}  // namespace gnomon::iommu
