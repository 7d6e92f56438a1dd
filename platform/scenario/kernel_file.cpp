// SPDX-License-Identifier: Apache-2.0
// The keys of a kernel.
#include "platform/scenario/kernel_file.hpp"

#include <array>

namespace gnomon::scenario {

using config::EnumName;
using config::range;
using config::Unit;

namespace {
constexpr std::array depot_names{EnumName{"bounded", guest::DepotKind::bounded_array},
                                 EnumName{"trimmed", guest::DepotKind::trimmed_list}};
}  // namespace

void describe(config::Description& d, KernelFile& k) {
  d.field("title", k.title, "one line: which kernel this is").required().not_empty();
  d.field("source", k.source, "where its behaviour was read").required().not_empty();
  d.field("virtio_iommu.sync_map", k.virtio_sync_map,
          "the driver queues MAP requests and waits once a map, in iotlb_sync_map")
      .required();
  d.field("virtio_iommu.deferred_flush", k.virtio_deferred_flush, "the driver takes lazy domains").required();
  d.field("virtio_iommu.shadow_on_flush", k.virtio_shadow_on_flush, "the driver asks for the single flush queue")
      .required();
  d.field("core.sync_map_can_fail", k.sync_map_can_fail,
          "the core looks at what iotlb_sync_map returns, and undoes the map")
      .required();
  d.field("dma.lazy_x86", k.lazy_x86, "domains of x86 are lazy unless something wants them strict").required();
  d.field("dma.single_flush_queue", k.single_flush_queue, "there is a single flush queue to choose").required();
  d.field("iova.magazine_size", k.iova.magazine_size, range(1, 4096), "IOVAs a magazine of a CPU's cache holds")
      .required();
  d.choice("iova.depot", k.iova.depot, depot_names,
           "full magazines wait in a bounded array, or a list that is trimmed")
      .required();
  d.field("iova.depot_limit", k.iova.depot_limit, range(1, 65536), "magazines of a bounded depot")
      .required()
      .only_for("depot", {"bounded"});
  d.field("iova.depot_trim_period", k.iova.depot_trim_period, "between the trimmings of a list")
      .required()
      .only_for("depot", {"trimmed"});
  d.field("iova.pci_32bit_once", k.iova.pci_32bit_workaround_sticky,
          "the first failure below 4 GiB ends a PCI device's attempts there; else each allocation tries again")
      .required();
  d.field("nvme.max_transfer", k.nvme_max_transfer, Unit::bytes, "the driver's largest command")
      .required()
      .within(range(4096, 1u << 30));
  d.field("nvme.max_transfer_translated", k.nvme_max_transfer_translated, Unit::bytes,
          "likewise where the DMA API translates (dma_opt_mapping_size)")
      .required()
      .within(range(4096, 1u << 30));
}

guest::DomainKernel domain_kernel(const KernelFile& kernel) {
  guest::DomainKernel domain;
  domain.lazy_x86 = kernel.lazy_x86;
  domain.virtio_deferred_flush = kernel.virtio_deferred_flush;
  domain.virtio_shadow_on_flush = kernel.virtio_shadow_on_flush;
  return domain;
}

}  // namespace gnomon::scenario
