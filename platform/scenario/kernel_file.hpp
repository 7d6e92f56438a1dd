// SPDX-License-Identifier: Apache-2.0
// What differs between kernels, as guest/kernels/*.toml say it.
#pragma once

#include <cstdint>
#include <string>

#include "guest/dma/domain_type.hpp"
#include "guest/dma/iova_behaviour.hpp"
#include "platform/config/binder.hpp"

namespace gnomon::scenario {

struct KernelFile {
  std::string title;
  std::string source;  ///< where the behaviour was read

  // The virtio-iommu driver
  bool virtio_sync_map = true;          ///< it queues MAPs and syncs once in iotlb_sync_map
  bool virtio_deferred_flush = true;    ///< it accepts DMA_FQ domains
  bool virtio_shadow_on_flush = false;  ///< it asks for the single flush queue
  // The IOMMU core and DMA layer
  bool sync_map_can_fail = true;
  bool lazy_x86 = true;
  bool single_flush_queue = true;  ///< there is one to ask for
  guest::IovaBehaviour iova;
  // The NVMe driver
  std::uint64_t nvme_max_transfer = 0;             ///< bytes
  std::uint64_t nvme_max_transfer_translated = 0;  ///< bytes, when the DMA API translates
};

/// Every key is required: a kernel has no defaults.
void describe(config::Description& d, KernelFile& k);

guest::DomainKernel domain_kernel(const KernelFile& kernel);

}  // namespace gnomon::scenario
