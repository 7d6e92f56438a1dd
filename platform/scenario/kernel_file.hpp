// SPDX-License-Identifier: Apache-2.0
// What differs between kernels, as guest/kernels/*.toml say it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guest/arm_smmu_v3/behaviour.hpp"
#include "guest/dma/domain_type.hpp"
#include "guest/dma/iova_behaviour.hpp"
#include "guest/iommu/domain.hpp"
#include "guest/iommu/driver_behaviour.hpp"
#include "platform/config/binder.hpp"

namespace gnomon::scenario {

enum class DriverPresence { none, present };
/// How PCI functions of s390 do DMA: code of the architecture's own (to 6.6), or IOMMU core and common DMA layer.
enum class S390DmaCode { none, own, common };

struct KernelFile {
  std::string title;
  std::string source;  ///< where the behaviour was read

  // The virtio-iommu driver; the rest of it applies where it is there
  DriverPresence virtio_driver = DriverPresence::present;
  bool virtio_sync_map = true;          ///< it queues MAPs and syncs once in iotlb_sync_map
  bool virtio_deferred_flush = true;    ///< it accepts DMA_FQ domains
  bool virtio_shadow_on_flush = false;  ///< it asks for the single flush queue
  // The IOMMU core and DMA layer
  guest::IommuCoreBehaviour core;
  bool lazy_x86 = true;
  bool single_flush_queue = true;  ///< there is one to ask for
  guest::IovaBehaviour iova;
  // The drivers of the x86 units
  guest::AmdDriverBehaviour amd;
  bool amd_split_flush_all = false;  ///< with NpCache a flush of everything is split too
  bool amd_gather_deferred = true;   ///< unmaps that a flush queue will flush are gathered all the same
  bool amd_walk_every_leaf = true;   ///< page-table code walks from the root for each leaf
  guest::IntelDriverBehaviour intel;
  bool intel_cache_tags = true;         ///< since 6.10
  bool intel_second_level_hint = true;  ///< IH of a second-level flush is not masked off
  bool intel_first_level_may_be_lazy = true;  ///< caching mode leaves first-level domains lazy
  // s390
  S390DmaCode s390_dma = S390DmaCode::common;  ///< none: not modelled
  // SMMUv3's driver; the rest of it applies where it is there
  DriverPresence smmu_driver = DriverPresence::present;
  guest::SmmuDriverBehaviour smmu;
  // The NVMe driver
  std::uint64_t nvme_max_transfer = 0;             ///< bytes
  std::uint64_t nvme_max_transfer_translated = 0;  ///< bytes, when the DMA API translates
};

/// Every key is required: a kernel has no defaults.
void describe(config::Description& d, KernelFile& k);

guest::DomainKernel domain_kernel(const KernelFile& kernel);

/// The flush policies as values of a key; the same names everywhere.
std::vector<config::EnumName<const guest::FlushPolicy*>> flush_policy_names();
/// What a driver call may stand for, likewise.
std::vector<config::EnumName<guest::DriverCalls>> call_names();

}  // namespace gnomon::scenario
