// SPDX-License-Identifier: Apache-2.0
// The keys of a scenario.
#include "platform/scenario/scenario_file.hpp"

#include "platform/scenario/kernel_file.hpp"
#include "platform/scenario/machine_description.hpp"

namespace gnomon::scenario {

using config::Description;
using config::EnumName;
using config::range;
using config::Unit;

namespace {

constexpr std::array hypervisor_names{EnumName{"none", HypervisorKind::none}, EnumName{"kvm", HypervisorKind::kvm}};
constexpr std::array service_names{EnumName{"vcpu", hypervisor::QueueService::on_kick},
                                   EnumName{"ioeventfd", hypervisor::QueueService::ioeventfd},
                                   EnumName{"worker", hypervisor::QueueService::worker}};
constexpr std::array flush_queue_names{EnumName{"per-cpu", FlushQueueKind::per_cpu},
                                       EnumName{"single", FlushQueueKind::single}};
constexpr std::array spinlock_names{EnumName{"test-and-set", LockKind::test_and_set},
                                    EnumName{"queued", LockKind::queued}};
constexpr std::array backing_names{EnumName{"4KiB", Backing::pages_4k}, EnumName{"THP", Backing::thp_2m},
                                   EnumName{"hugetlb", Backing::hugetlb_1g}};

constexpr std::array shadow_names{EnumName{"caching-mode", hypervisor::IntelShadowing::caching_mode},
                                  EnumName{"nested", hypervisor::IntelShadowing::nested},
                                  EnumName{"write-protect", hypervisor::IntelShadowing::write_protect}};
constexpr std::array plain_names{EnumName{"vtd-claims-all", PlainKind::vtd_claims_all}, EnumName{"vtd", PlainKind::vtd},
                                 EnumName{"amd-v1", PlainKind::amd_v1}, EnumName{"amd-2013", PlainKind::amd_2013},
                                 EnumName{"4k", PlainKind::pages_4k}};

constexpr std::array flush_names{EnumName{"before", guest::TegraFlush::before},
                                 EnumName{"range", guest::TegraFlush::range},
                                 EnumName{"one-callback", guest::TegraFlush::one_callback},
                                 EnumName{"walk-in-flush", guest::TegraFlush::walk_in_flush},
                                 EnumName{"map-sync-unmap-sync", guest::TegraFlush::map_sync_unmap_sync},
                                 EnumName{"unsynchronised", guest::TegraFlush::unsynchronised},
                                 EnumName{"coherent", guest::TegraFlush::coherent}};

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;

}  // namespace

void describe(Description& d, MachineTable& m) {
  d.field("profile", m.profile, "the machine, a file of platform/machines without its .toml")
      .required()
      .not_empty();
  describe(d, m.constants);
}

void describe(Description& d, HypervisorTable& h) {
  d.choice("kind", h.kind, hypervisor_names, "who runs the guest; none is bare metal");
  d.choice("service", h.service, service_names,
           "who serves the virtio-iommu request queue: the kicking vCPU inside its exit (QEMU, virtio-iommu-pci), "
           "the main loop woken by an ioeventfd, or a worker thread of the device's own");
  d.field("dma_entry_limit", h.dma_entry_limit, range(1, 0xffff'ffff),
          "mappings a VFIO container may hold (the module parameter of that name)");
  d.field("event_idx", h.event_idx, "VIRTIO_F_EVENT_IDX is offered: kicks that nobody waits for are suppressed");
  d.field("indirect", h.indirect, "VIRTIO_F_INDIRECT_DESC is offered");
}

void describe(Description& d, GuestTable& g) {
  d.field("vcpus", g.vcpus, range(1, 128), "virtual CPUs; on bare metal, CPUs");
  d.field("kernel", g.kernel, "whose behaviour the software has, a file of guest/kernels without its .toml")
      .not_empty();
  d.field("cmdline", g.cmdline, "the kernel's command line, in the kernel's own words");
  d.choice("flush_queue", g.flush_queue, flush_queue_names,
           "queues of deferred invalidation; by default as the kernel and driver do");
  d.field("flush_queue_entries", g.flush_queue_entries, range(2, 1u << 20),
          "slots of a flush queue, one of which stays free; by default 256 per CPU, 32768 of a single queue")
      .power_of_two();
  d.field("flush_queue_timeout", g.flush_queue_timeout,
          "from the first entry to the flush; by default 10ms per CPU, 1s of a single queue")
      .within(range(Time::us(1), Time::s(3600)));
  d.field("sync_map", g.sync_map, "iotlb_sync_map is used; by default as the kernel's driver does");
  d.choice("flush_policy", g.flush_policy, flush_policy_names(),
           "when an unmap syncs and with which invalidations; by default as the kernel's driver does (amd-iommu, plain)");
  d.choice("driver_calls", g.driver_calls, call_names(),
           "what one call of the IOMMU driver stands for; by default as the kernel's core does");
  d.field("sysfs_dma_fq", g.sysfs_dma_fq,
          "DMA-FQ is written to the groups' sysfs type: a strict domain becomes lazy, whatever made it strict");
  d.field("report_request_errors", g.report_request_errors,
          "a what-if: the virtio-iommu driver reports the failures of queued requests, which Linux drops");
  d.field("hz", g.hz, range(100, 1000), "CONFIG_HZ, ticks a second");
  d.choice("spinlock", g.spinlock, spinlock_names,
           "test-and-set is what an x86 guest without paravirtual locks uses; queued is first come, first served");
  d.field("memory", g.memory, Unit::bytes, "memory of the guest").within(range(256 * mebibyte, 1024 * gibibyte));
  d.field("memory_encryption", g.memory_encryption,
          "a confidential guest: devices reach shared memory only, and all DMA goes through bounce buffers there");
  d.choice("memory_backing", g.memory_backing, backing_names,
           "what the host's memory under the guest's is made of");
  d.field("runs_per_64k", g.runs_per_64k, range(1, 16),
          "physically contiguous runs in each 64 KiB of an I/O buffer")
      .power_of_two();
}

void describe(Description& d, IommuTable& i) {
  d.choice("device", i.device, iommu_names, "the IOMMU the software drives: emulated in a guest, the machine's own on bare metal; plain is a driver without "
           "hardware");
  d.choice("plain", i.plain, plain_names, "whose ways the plain driver has").only_for("device", {"plain"});
  d.field("caching-mode", i.caching_mode, "CAP.CM is set: what maps is invalidated too, so that a hypervisor can shadow it")
      .only_for("device", {"intel-iommu"});
  d.field("x-scalable-mode", i.scalable_mode, "the emulated unit has scalable mode").only_for("device", {"intel-iommu"});
  d.field("x-flts", i.first_level, "in scalable mode: with first-level tables, which the hardware can walk nested")
      .only_for("device", {"intel-iommu"});
  d.field("aw-bits", i.aw_bits, range(39, 48), "address width of second-level tables: 39 or 48")
      .only_for("device", {"intel-iommu"});
  d.choice("shadow", i.shadow, shadow_names,
           "how the hypervisor follows the guest's tables; by default nested with x-flts, else caching-mode")
      .only_for("device", {"intel-iommu"});
  d.choice("flush", i.tegra_flush, flush_names,
           "when the driver cleans its table entries and flushes page-table cache and TLB: before (entry by entry, as Linux "
           "does), range or one-callback (once a call, maps and unmaps alike), walk-in-flush (it reads the entries to see "
           "which), map-sync-unmap-sync (a map leaves the TLB alone), unsynchronised (the caller does, by flush_all), "
           "coherent (a walker that snoops)")
      .only_for("device", {"tegra-smmu"});
  d.choice("soc", i.tegra_soc, soc_names,
           "a what-if: the SMMU and cache lines of this SoC, at the machine's costs; by default the machine's own")
      .only_for("device", {"tegra-smmu"});
  d.field("ril", i.range_invalidation, "TLBI by range is used where the machine's unit has it").only_for("device", {"smmuv3"});
  d.field("cmdqv", i.guest_queues,
          "the guest owns command queues of the hardware (Tegra241 CMDQ-V); else each store to its queue exits")
      .only_for("device", {"smmuv3"});
  d.field("granule", i.granule, Unit::bytes, "smallest page the device maps (QEMU's word)")
      .power_of_two()
      .only_for("device", {"virtio-iommu"});
  d.field("page_sizes", i.page_sizes, Unit::bytes,
          "page sizes the device offers beside its granule (page_size_mask)")
      .only_for("device", {"virtio-iommu"});
}

void describe(Description& d, DeviceTable& v) {
  d.choice("model", v.model, device_names, "what it is: dma-master is a display or camera that streams").required();
  d.field("assigned", v.assigned, "passed through to the guest by VFIO");
  d.field("untrusted", v.untrusted, "firmware tells the guest that the device is external-facing");
}

void describe(Description& d, WorkloadTable& w) {
  d.field("fio", w.fio, "a fio job file, relative to the scenario; or one of the tables below").not_empty();
  config::Row& row =
      d.field("section", w.section, "the job's section, or a list of them, as fio --section; by default all");
  if (!w.section_is_list) {
    row.is_list = false;
    row.get = [&w] { return config::FieldValue{w.section.empty() ? std::string{} : w.section.front()}; };
    row.set = [&w](const config::FieldValue& value) { w.section = {std::get<std::string>(value)}; };
  }
  const auto limits = range(Time::us(100), Time::s(100'000));
  d.field("runtime", w.runtime, "of every job, instead of what the job file says").within(limits);
  d.field("ramp_time", w.ramp_time, "of every job before it is measured, instead of what the job file says")
      .within(range(Time{}, Time::s(100'000)));
  d.table("api", w.api, "calls of the IOMMU API from a list, without DMA");
  d.table("map_benchmark", w.map_benchmark, "the kernel's dma_map_benchmark");
  d.table("iperf", w.iperf, "iperf3 against the machine at the other end of the NIC's wire");
  d.table("dma_master", w.dma_master, "a display or camera streams frames that the IOMMU API maps");
  d.table("vfio", w.vfio, "on bare metal: a VMM maps a guest's memory for a device and takes it down again");
  d.field("trace", w.trace, "a recorded workload to replay: a .gtrace, relative to the scenario").not_empty();
  d.table("replay", w.replay, "how the trace is replayed");
}

void describe(Description& d, Faults& f) {
  d.field("skip_iotlb_sync", f.driver.skip_iotlb_sync, "the driver's iotlb_sync does nothing");
  d.field("reap_without_flush", f.flush_queue.reap_without_flush,
          "a flush queue frees IOVAs before their invalidation");
  d.field("intel_skip_map_flush", f.intel_driver.skip_map_flush, "VT-d's driver does not flush on map");
  d.field("intel_skip_unmap_flush", f.intel_driver.skip_unmap_flush, "VT-d's iotlb_sync does nothing");
  d.field("intel_always_hint", f.intel_driver.always_hint, "VT-d's driver sets IH though page-table pages were freed");
  d.field("intel_no_rounding", f.intel_driver.no_rounding,
          "VT-d's driver names the block its length says, not the one around its range");
  d.field("vtd_skip_unmap_events", f.intel_device.skip_unmap_events,
          "the emulated VT-d forgets what the guest unmapped without telling the host");
  d.field("vtd_ignore_address_mask", f.intel_device.ignore_address_mask,
          "the emulated VT-d invalidates one page, whatever AM says");
  d.field("vtd_drop_forwarded", f.intel_device.drop_forwarded,
          "the emulated VT-d does not hand invalidations to the hardware");
  d.field("amd_skip_map_flush", f.amd_driver.skip_map_flush, "AMD-Vi's driver does not flush on map");
  d.field("amd_skip_unmap_flush", f.amd_driver.skip_unmap_flush, "AMD-Vi's iotlb_sync does nothing");
  d.field("amd_skip_wait", f.amd_driver.skip_wait, "AMD-Vi's driver does not wait for its flushes");
  d.field("amdvi_skip_unmap_events", f.amdvi.skip_unmap_events,
          "the emulated AMD-Vi forgets what the guest unmapped without telling the host");
  d.field("amdvi_ignore_size_bit", f.amdvi.ignore_size_bit, "the emulated AMD-Vi invalidates one page, whatever S says");
  d.field("tegra_skip_clean", f.tegra_driver.skip_clean, "Tegra's driver leaves table entries in the CPU's cache");
  d.field("tegra_skip_ptc_flush", f.tegra_driver.skip_ptc_flush,
          "Tegra's driver never flushes table entries out of the page-table cache");
  d.field("tegra_skip_tlb_flush", f.tegra_driver.skip_tlb_flush, "Tegra's driver does not flush the TLB");
  d.field("tegra_skip_directory_flush", f.tegra_driver.skip_directory_flush,
          "Tegra's driver neither cleans nor flushes directory entries");
  d.field("tegra_skip_freed_table", f.tegra_driver.skip_freed_table,
          "Tegra's driver leaves a freed table's entries in the page-table cache");
  d.field("forget_flush", f.dma_master.forget_flush,
          "the stream's driver does not flush by hand, though iommu.flush is unsynchronised");
  d.field("s390_skip_map_refresh", f.s390_driver.skip_map_refresh, "s390's iotlb_sync_map does nothing");
  d.field("s390_skip_unmap_refresh", f.s390_driver.skip_unmap_refresh, "s390's iotlb_sync does nothing");
  d.field("s390_no_full_refresh", f.s390_driver.no_full_refresh,
          "a map that finds the hypervisor out of resources fails at once, as before 6.7's handling of -ENOMEM");
  d.field("s390_release_without_refresh", f.s390_own_dma.release_without_refresh,
          "s390 before 6.7 frees its addresses at the bitmap's wrap without RPCIT");
  d.field("s390_skip_unmap_events", f.s390_device.skip_unmap_events,
          "the emulated s390 functions forget what the guest made invalid without telling the host");
  d.field("unmap_first_piece_only", f.viommu.unmap_first_piece_only,
          "of a mapping's power-of-two pieces only the first leaves the shadow");
  d.field("unmap_past_end", f.viommu.unmap_past_end, "UNMAP also removes the first mapping behind its range");
  d.field("swallow_request", f.viommu.swallow_request,
          "the virtio-iommu device takes its request of this number, from 1, and never gives it back; 0: none");
  d.field("skip_invalidation", f.vfio.skip_invalidation, "the host's unmap returns without an IOTLB invalidation");
  d.field("leak_pins", f.vfio.leak_pins, "the host's unmap forgets to unpin its last page");
  d.field("ignore_psi_mask", f.iommu.ignore_psi_mask, "a page-selective invalidation drops only its first page");
  d.field("ignore_domain_invalidation", f.iommu.ignore_domain_invalidation,
          "a domain-selective IOTLB invalidation drops nothing");
  d.field("keep_walk_cache", f.iommu.keep_walk_cache, "IOTLB invalidations leave the paging-structure caches");
  d.field("ignore_pasid_invalidation", f.iommu.ignore_pasid_invalidation,
          "a PASID-selective IOTLB invalidation drops nothing");
  d.field("keep_nested_walk_cache", f.iommu.keep_nested_walk_cache,
          "PASID-based IOTLB invalidations leave the first stage's paging-structure caches");
  d.field("keep_nested_entries", f.iommu.keep_nested_entries,
          "page-selective second-stage invalidations leave nested translations");
  d.field("keep_pasid_cache", f.iommu.keep_pasid_cache, "a PASID-cache invalidation drops nothing");
  d.field("smmu_skip_unmap_flush", f.smmu_driver.skip_unmap_flush, "SMMUv3's driver: iotlb_sync does nothing");
  d.field("smmu_skip_walk_flush", f.smmu_driver.skip_walk_flush,
          "SMMUv3's driver frees tables that a block's unmap took out without an invalidation");
  d.field("smmu_skip_sync", f.smmu_driver.skip_sync, "SMMUv3's driver queues its commands and waits for none");
  d.field("smmu_first_range_only", f.smmu_driver.first_range_only,
          "SMMUv3's driver sends the first TLBI of a range that takes several");
  d.field("smmu_drop_invalidations", f.smmu_device.drop_invalidations,
          "the emulated SMMUv3 does not tell the host of the guest's invalidations");
  d.field("late_dma", f.nvme.late_dma, "the drive reads a page of a write again after it completed it");
  d.field("late_dma_delay", f.nvme.late_dma_delay, "how long after the completion late_dma comes");
  d.field("stray_dma", f.nvme.stray_dma,
          "the drive misbehaves: it reads and writes pages of commands it has finished, one every so long; 0ns: it does not");
  d.field("lose_completion", f.nvme.lose_completion,
          "the drive never completes the I/O command it would complete as this many-th, from 1; 0: none");
}

void describe(Description& d, Variant& v) {
  d.field("name", v.name, "its name, and that of its folder of results").required().not_empty();
  d.free_table("set", v.set, "what it sets, by dotted path");
}

void describe(Description& d, Expectation& e) {
  d.field("variant", e.variant, "whose metric or status; a star stands for anything: every variant it fits");
  d.field("metric", e.metric, "which metric; `gnomon list metrics` has them");
  d.field("relative_to", e.relative_to, "the ratio to this variant's metric counts; its star is what the variant's stood for");
  d.field("value", e.value, "what was published");
  d.field("tolerance", e.tolerance, "how far the simulated value may be off");
  d.field("tolerance_percent", e.tolerance_percent, "likewise, in percent of value");
  d.field("min", e.min, "the least it may be");
  d.field("max", e.max, "the most it may be");
  d.field("order", e.order, "variants and >, >=, <, <= or ~ in turn: how their metrics compare");
  d.field("status", e.status, "how the variant's run ends");
  d.field("source", e.source, "where the figure is from");
}

void describe(Description& d, ScenarioFile& s) {
  d.field("title", s.title, "one line: what is compared").required().not_empty();
  d.field("source", s.source, "where its figures come from");
  d.choice("study", s.study, study_names, "sensitivity: a study of machine constants, which variants may then set");
  d.field("trace", s.trace, "traces to write: perfetto, vcd, csv");
  d.table("machine", s.machine, "the physical machine").required();
  d.table("hypervisor", s.hypervisor, "what runs the guest");
  d.table("guest", s.guest, "the guest; on bare metal, the one operating system there is");
  d.table("iommu", s.iommu, "the IOMMU the guest sees");
  d.tables("device", s.devices, "devices; by default one assigned nvme, of a Tegra a dma-master");
  d.table("workload", s.workload, "what the guest does").required();
  d.table("faults", s.faults, "planted bugs, all off by default");
  d.tables("variant", s.variants, "what a run compares; by default one, named \"default\"");
  d.free_table("matrix", s.matrix, "paths, each with a list of values: every variant is run with all combinations");
  d.tables("expect", s.expectations, "what must come out");
}

config::Origins bind_scenario(ScenarioFile& file, const config::Document& document,
                              config::Diagnostics& diagnostics) {
  const config::Node* section = document.find("workload.section");
  file.workload.section_is_list = section == nullptr || section->text() == nullptr;
  return config::bind(file, document, diagnostics);
}

}  // namespace gnomon::scenario
