// SPDX-License-Identifier: Apache-2.0
// Virtual command queues: Tegra241's CMDQ-V, by which a guest submits invalidations without a VM exit. Registers
// of one virtual interface as Linux names them (drivers/iommu/arm/arm-smmu-v3/tegra241-cmdqv.c, 6.12). Here the
// interface's own page follows the SMMU's registers, and its queues' two pages follow it.
#pragma once

#include <cstdint>

#include "models/spec/smmuv3/bits.hpp"
#include "models/spec/smmuv3/registers.hpp"

namespace gnomon::smmuv3::virtual_queue {

inline constexpr unsigned queues = 2;          ///< logical queues of one interface on Grace
inline constexpr unsigned streams = 4;         ///< StreamIDs an interface can translate (of 16)
inline constexpr std::uint32_t stride = 0x80;  ///< between queues

inline constexpr std::uint32_t interface_page = register_space_bytes;         ///< the hypervisor's
inline constexpr std::uint32_t page0 = interface_page + register_page_bytes;  ///< may be mapped into a guest
inline constexpr std::uint32_t page1 = page0 + register_page_bytes;           ///< base addresses
inline constexpr std::uint32_t end = page1 + register_page_bytes;

// In the interface page.
inline constexpr std::uint32_t config = 0x00;       ///< HYP_OWN 17, VMID 16:1, EN 0
inline constexpr std::uint32_t status = 0x04;       ///< ENABLED 0
inline constexpr std::uint32_t sid_match = 0x40;    ///< + 4 s: virtual StreamID 20:1, enable 0
inline constexpr std::uint32_t sid_replace = 0x80;  ///< + 4 s: StreamID 19:0
// In page 0, + stride q.
inline constexpr std::uint32_t cons = 0x00;
inline constexpr std::uint32_t prod = 0x04;
inline constexpr std::uint32_t queue_config = 0x08;  ///< EN 0
inline constexpr std::uint32_t queue_status = 0x0c;  ///< ENABLED 0
inline constexpr std::uint32_t queue_gerror = 0x10;
inline constexpr std::uint32_t queue_gerrorn = 0x14;
// In page 1, + stride q.
inline constexpr std::uint32_t base = 0x00;  ///< 64 bits, as CMDQ_BASE

inline constexpr std::uint32_t hyp_own = 1u << 17;
constexpr std::uint32_t interface_config(std::uint16_t vmid, bool enabled, bool owned_by_hypervisor = false) {
  return static_cast<std::uint32_t>(at(enabled, 0) | placed(vmid, 16, 1)) | (owned_by_hypervisor ? hyp_own : 0);
}

}  // namespace gnomon::smmuv3::virtual_queue
