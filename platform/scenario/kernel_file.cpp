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
constexpr std::array presence_names{EnumName{"none", DriverPresence::none},
                                    EnumName{"present", DriverPresence::present}};
constexpr std::array pde_names{EnumName{"always", guest::PdeBit::always},
                               EnumName{"when tables freed", guest::PdeBit::tables_freed}};

constexpr std::array s390_names{EnumName{"none", S390DmaCode::none}, EnumName{"own", S390DmaCode::own},
                                EnumName{"common", S390DmaCode::common}};

void describe_virtio(config::Description& d, KernelFile& k) {
  d.choice("virtio_iommu.driver", k.virtio_driver, presence_names, "whether the kernel has the driver, on x86")
      .required();
  d.field("virtio_iommu.sync_map", k.virtio_sync_map,
          "the driver queues MAP requests and waits once a map, in iotlb_sync_map")
      .required()
      .only_for("driver", {"present"});
  d.field("virtio_iommu.deferred_flush", k.virtio_deferred_flush, "the driver takes lazy domains")
      .required()
      .only_for("driver", {"present"});
  d.field("virtio_iommu.shadow_on_flush", k.virtio_shadow_on_flush, "the driver asks for the single flush queue")
      .required()
      .only_for("driver", {"present"});
}

void describe_core(config::Description& d, guest::IommuCoreBehaviour& core) {
  d.choice("core.driver_calls", core.calls, call_names(),
           "what one call of an IOMMU driver stands for: an unmap's whole range, a page, pages of one size")
      .required();
  d.field("core.sync_map", core.sync_map,
          "a map ends in one iotlb_sync_map; else each driver call is visible by itself")
      .required();
  d.field("core.sync_map_can_fail", core.sync_map_can_fail,
          "the core looks at what iotlb_sync_map returns, and undoes the map")
      .required();
  d.field("core.gather", core.gather, "an unmap gathers and syncs once; else each driver call is flushed by itself")
      .required();
  d.field("core.fill_empty_gather", core.fill_empty_gather,
          "the core adds the range where the driver left the gather empty")
      .required();
  d.field("core.skip_empty_gather", core.skip_empty_gather, "an empty gather is not synced").required();
}

void describe_drivers(config::Description& d, KernelFile& k) {
  const auto policies = flush_policy_names();
  d.choice("amd_iommu.flush_policy", k.amd.flush_policy, policies,
           "when AMD-Vi's driver syncs, and with which blocks")
      .required();
  d.choice("amd_iommu.pde_bit", k.amd.pde_bit, pde_names, "when its invalidations drop directory entries too")
      .required();
  d.field("amd_iommu.split_flush_all", k.amd_split_flush_all,
          "with NpCache a flush of everything is split into natural blocks as well")
      .required();
  d.field("amd_iommu.gather_deferred", k.amd_gather_deferred,
          "an unmap that a flush queue will flush is gathered, and may sync early")
      .required();
  d.field("amd_iommu.walk_every_leaf", k.amd_walk_every_leaf,
          "the page-table code walks from the root for each leaf; else once a call")
      .required();
  d.choice("intel_iommu.flush_policy", k.intel.flush_policy, policies,
           "when VT-d's driver syncs, and with which blocks; it adds a driver call's chunk at once")
      .required();
  d.field("intel_iommu.descriptors_per_submit", k.intel.descriptors_per_submit, range(1, 254),
          "invalidation descriptors before one wait and one doorbell")
      .required();
  d.field("intel_iommu.claims_all_sizes", k.intel.claims_all_sizes, "every power of two is a page size to the core")
      .required();
  d.field("intel_iommu.first_level_default", k.intel.first_level_default,
          "DMA domains take first-level tables where all units have scalable mode")
      .required();
  d.field("intel_iommu.cache_tags", k.intel_cache_tags, "a flush goes over the domain's cache tags, under a lock of the domain")
      .required();
  d.field("intel_iommu.second_level_hint", k.intel_second_level_hint,
          "the leaf-only hint of a second-level flush reaches the descriptor")
      .required();
  d.field("intel_iommu.first_level_may_be_lazy", k.intel_first_level_may_be_lazy,
          "caching mode does not make domains of first-level tables strict")
      .required();
}

void describe_smmu(config::Description& d, KernelFile& k) {
  d.choice("arm_smmu_v3.driver", k.smmu_driver, presence_names, "whether the kernel has the driver").required();
  d.field("arm_smmu_v3.range_commands", k.smmu.range_commands, "it uses TLBI by range where the unit has it")
      .required()
      .only_for("driver", {"present"});
  d.field("arm_smmu_v3.sync_every_call", k.smmu.sync_every_call,
          "each unmap call ends with its own CMD_SYNC; else unmaps are gathered")
      .required()
      .only_for("driver", {"present"});
  d.field("arm_smmu_v3.split_blocks", k.smmu.split_blocks, "part of a block can be unmapped")
      .required()
      .only_for("driver", {"present"});
  d.field("arm_smmu_v3.full_above_limit", k.smmu.full_above_limit,
          "without TLBI by range, a table's worth of leaves or more is one TLBI of the whole domain")
      .required()
      .only_for("driver", {"present"});
}
}  // namespace

std::vector<EnumName<guest::DriverCalls>> call_names() {
  return {EnumName{"whole-range", guest::DriverCalls::whole_range},
                                EnumName{"per-page", guest::DriverCalls::per_page},
                                EnumName{"counted", guest::DriverCalls::counted}};
}

std::vector<EnumName<const guest::FlushPolicy*>> flush_policy_names() {
  std::vector<EnumName<const guest::FlushPolicy*>> names;
  for (const auto& entry : guest::flush_policies()) names.push_back({entry.name, entry.policy});
  return names;
}

void describe(config::Description& d, KernelFile& k) {
  d.field("title", k.title, "one line: which kernel this is").required().not_empty();
  d.field("source", k.source, "where its behaviour was read").required().not_empty();
  describe_virtio(d, k);
  describe_core(d, k.core);
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
  describe_drivers(d, k);
  d.choice("s390.dma_code", k.s390_dma, s390_names,
           "PCI functions of s390 have DMA code of the architecture's own, or the common DMA layer; none is not modelled")
      .required();
  describe_smmu(d, k);
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
  domain.first_level_may_be_lazy = kernel.intel_first_level_may_be_lazy;
  domain.virtio_deferred_flush = kernel.virtio_deferred_flush;
  domain.virtio_shadow_on_flush = kernel.virtio_shadow_on_flush;
  domain.s390_dma_iommu = kernel.s390_dma == S390DmaCode::common;
  return domain;
}

}  // namespace gnomon::scenario
