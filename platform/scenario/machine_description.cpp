// SPDX-License-Identifier: Apache-2.0
// Every constant of a machine, by its key.
#include "platform/scenario/machine_description.hpp"

#include <fmt/format.h>

namespace gnomon::scenario {

using config::Description;
using config::EnumName;
using config::range;
using config::Unit;

namespace {

constexpr std::array exit_name_names{EnumName{"vmx", observe::ExitSpelling::vmx},
                                     EnumName{"svm", observe::ExitSpelling::svm},
                                     EnumName{"sie", observe::ExitSpelling::sie},
                                     EnumName{"arm", observe::ExitSpelling::arm}};

constexpr std::array unit_names{EnumName{"vtd", iommu::UnitKind::vtd}, EnumName{"amd-vi", iommu::UnitKind::amdvi},
                                EnumName{"smmuv3", iommu::UnitKind::smmuv3},
                                EnumName{"tegra-smmu", iommu::UnitKind::tegra},
                                EnumName{"s390-pci", iommu::UnitKind::s390}};

void describe_cpu(Description& d, MachineProfile& m) {
  CpuConfig& c = m.cpu;
  d.constant("cpu.external_interrupt_exit", c.exits.external_interrupt,
             "exit to entry: host handler, irqfd, injection of a device's interrupt");
  d.constant("cpu.hlt_exit", c.exits.hlt, "exit to entry of a halt, without the halt itself");
  d.constant("cpu.msr_write_exit", c.exits.msr_write,
             "exit to entry of a timer deadline or an inter-processor interrupt");
  d.constant("cpu.preemption_timer_exit", c.exits.preemption_timer,
             "exit to entry when the guest's local timer expires");
  d.constant("cpu.injection", c.exits.injection, "an interrupt into a vCPU that has exited already");
  d.constant("cpu.posted_interrupts", c.posted_interrupts,
             "the hardware delivers device interrupts without an exit");
  d.constant("cpu.halt_poll", c.halt_poll, "KVM's halt_poll_ns: a halt shorter than this never sleeps");
  d.constant("cpu.sleep_wake", c.sleep_wake, "host wake-up of a vCPU that went to sleep");
  d.constant("cpu.idle_wake", c.idle_wake, "bare metal: out of a shallow idle state");
  d.constant("cpu.interprocessor", c.interprocessor, "an inter-processor interrupt's way to the other core");
  d.constant("cpu.nested_paging_tax_ppm", m.nested_paging_tax_ppm, range(0, 1'000'000),
             "how much dearer a guest's CPU work is than the host's, in millionths");
  d.constant("lock.acquire", m.lock.acquire, "an uncontended atomic operation of a spinlock");
  d.constant("lock.hand_over", m.lock.hand_over, "from a release until a waiting CPU has the lock's cache line");
}

void describe_software(Description& d, guest::GuestCosts& g) {
  d.constant("software.fio_per_io", g.fio_per_io, "fio's own work on one I/O: pick, account, read the clock");
  d.constant("software.io_submit", g.io_submit, "io_submit() of one I/O: system call, kernel aio");
  d.constant("software.io_getevents", g.io_getevents, "io_getevents() that finds an event: system call and copy");
  d.constant("software.block_submit", g.block_submit, "block layer: bio, request, tag");
  d.constant("software.direct_io_per_page", g.direct_io_per_page, "pin and unpin one user page of an O_DIRECT I/O");
  d.constant("software.block_complete", g.block_complete, "block layer: end of I/O, request freed");
  d.constant("software.aio_complete", g.aio_complete, "event into the aio ring, test for a waiter");
  d.constant("software.nvme_submit", g.nvme_submit, "build the NVMe command and its PRPs");
  d.constant("software.nvme_doorbell", g.nvme_doorbell, "an uncached store posted to the device");
  d.constant("software.nvme_complete", g.nvme_complete, "one completion queue entry");
  d.constant("software.interrupt", g.interrupt, "entry and exit of a hard interrupt");
  d.constant("software.softirq", g.softirq, "entry and exit of softirq processing");
  d.constant("software.tick", g.tick, "one scheduler tick");
  d.constant("software.context_switch", g.context_switch, "one thread to another, or out of idle");
  d.constant("software.wake_up", g.wake_up, "make a blocked thread runnable");
  d.constant("software.dma_map", g.dma_map, "dma_map_* around the IOVA and the IOMMU call");
  d.constant("software.dma_unmap", g.dma_unmap, "dma_unmap_* around the IOVA and the IOMMU call");
  d.constant("software.iova_cached", g.iova_cached, "an IOVA from or to this CPU's magazines");
  d.constant("software.iova_depot", g.iova_depot, "exchange of a magazine with the depot");
  d.constant("software.iova_tree_step", g.iova_tree_step, "one node of the IOVA tree visited");
  d.constant("software.flush_queue_entry", g.flush_queue_entry, "one entry into or out of a flush queue");
  d.constant("software.iommu_call", g.iommu_call, "one call of the IOMMU driver's map_pages or unmap_pages");
  d.constant("software.memset_page", g.memset_page, "4 KiB filled, in the cache");
  d.constant("software.intel_leaf", g.intel_leaf, "a leaf mapped by VT-d's driver: compare and exchange of its entry");
  d.constant("software.intel_cache_flush", g.intel_cache_flush, "changed entries of one table written back, with the fence");
  d.constant("software.intel_submit", g.intel_submit, "one submission to VT-d's queue: slots, wait descriptor, the tail's store");
  d.constant("software.intel_descriptor", g.intel_descriptor, "one descriptor built and copied to the queue");
  d.constant("software.intel_poll", g.intel_poll, "one look at the status word");
  d.constant("software.intel_relax", g.intel_relax, "the queue's lock dropped and taken again between two looks");
  d.constant("software.scatter_element", g.scatter_element,
             "one element of a scatterlist taken up by iommu_map_sg");
  d.constant("software.table_call", g.table_call, "one call of a driver's page-table code, whatever it maps or unmaps");
  d.constant("software.table_level", g.table_level, "one level of a walk of the guest's page table");
  d.constant("software.table_entry", g.table_entry, "one entry of it written or cleared");
  d.constant("software.table_unmap", g.table_unmap, "one leaf found and its size worked out, before it is cleared");
  d.constant("software.table_page", g.table_page, "one page of it allocated and zeroed, or freed");
  d.constant("software.amd_command", g.amd_command, "one AMD-Vi command built, copied to the ring, its doorbell stored");
  d.constant("software.amd_poll", g.amd_poll, "one look at the number a COMPLETION_WAIT writes");
  d.constant("software.viommu_tree", g.viommu_tree,
             "virtio-iommu driver's interval tree: one insertion or removal");
  d.constant("software.viommu_request", g.viommu_request,
             "one virtio-iommu request built and added to the virtqueue");
  d.constant("software.viommu_poll", g.viommu_poll, "used ring found non-empty, one request retired");
}

void describe_vmm(Description& d, hypervisor::HypervisorCosts& h) {
  d.constant("hypervisor.exit", h.exit, "VM exit, and KVM finding out that it is the VMM's");
  d.constant("hypervisor.entry", h.entry, "VM entry");
  d.constant("hypervisor.to_user", h.to_user, "return of the KVM_RUN ioctl to the VMM");
  d.constant("hypervisor.from_user", h.from_user, "the next KVM_RUN ioctl");
  d.constant("hypervisor.mmio_dispatch", h.mmio_dispatch, "from the exit's record to the device's write handler");
  d.constant("hypervisor.eventfd_signal", h.eventfd_signal,
             "the kernel signals an ioeventfd instead of leaving to user space");
  d.constant("hypervisor.eventfd_wake", h.eventfd_wake, "until the thread that polls the eventfd runs");
  d.constant("hypervisor.big_lock", h.big_lock, "taking the VMM's big lock, uncontended");
  d.constant("hypervisor.big_lock_handover", h.big_lock_handover,
             "from one thread's release to a sleeping waiter's return");
  d.constant("hypervisor.request", h.request, "virtio-iommu request: pop a chain, decode, answer, push");
  d.constant("hypervisor.descriptor_read", h.descriptor_read, "one descriptor out of guest memory");
  d.constant("hypervisor.mapping_lookup", h.mapping_lookup, "find and change one record in a domain's tree");
  d.constant("hypervisor.command", h.command, "fetch, decode and dispatch one command of an emulated hardware IOMMU");
  d.constant("hypervisor.table_read", h.table_read,
             "one entry of a guest's page table, through the VMM's memory map");
  d.constant("hypervisor.tree_lookup", h.tree_lookup, "one search of a device's tree of mapped IOVAs");
  d.constant("hypervisor.refresh", h.refresh, "s390: an RPCIT whatever its range, while no other is served");
  d.constant("hypervisor.page_lookup", h.page_lookup,
             "s390: one page searched in the record of what the host maps for a function");
  d.constant("hypervisor.notifier", h.notifier, "one notifier call down to the container's listener");
}

void describe_vfio(Description& d, hypervisor::HypervisorCosts& h) {
  d.constant("vfio.ioctl_map", h.ioctl_map, "MAP_DMA of any size: entry, checks, slot, lock");
  d.constant("vfio.ioctl_unmap", h.ioctl_unmap, "UNMAP_DMA of any size, without its invalidation");
  d.constant("vfio.ioctl_nest", h.ioctl_nest, "iommufd: a device to another nested table");
  d.constant("vfio.ioctl_invalidate", h.ioctl_invalidate, "iommufd: IOMMU_HWPT_INVALIDATE, without the hardware's part");
  d.constant("vfio.ioctl_refused", h.ioctl_refused, "an ioctl that ends in its checks");
  d.constant("vfio.pin_batch", h.pin_batch, "one get_user_pages call");
  d.constant("vfio.pin_page", h.pin_page, "one 4 KiB page in a batch: pinning and accounting");
  d.constant("vfio.unpin_page", h.unpin_page, "one 4 KiB page, with its dirty mark");
  d.constant("vfio.map_run", h.map_run, "one iommu_map call of a contiguous run");
  d.constant("vfio.unmap_region", h.unmap_region, "one iommu_unmap_fast call and its record");
  d.constant("vfio.pte_write", h.pte_write, "one table entry written or cleared, coherent walk");
  d.constant("vfio.table_page", h.table_page, "one page table page allocated and zeroed, or freed");
  d.constant("vfio.software_walk", h.software_walk, "one iova_to_phys");
}

void describe_iommu(Description& d, MachineProfile& m) {
  d.constant("host_iommu.submit", m.host_iommu.submit, "build invalidation descriptors, write the tail register");
  d.constant("host_iommu.poll_interval", m.host_iommu.poll_interval,
             "between looks at the status word; 0ns is a tight loop");
  iommu::IommuConfig& i = m.iommu;
  d.constant("iommu.scalable_mode", i.scalable_mode, "VT-d ECAP.SMTS: PASID tables");
  d.constant("iommu.first_stage", i.first_stage, "VT-d ECAP.FLTS: first-stage tables");
  d.constant("iommu.nested", i.nested, "VT-d ECAP.NEST: first stage over second");
  d.choice("iommu.unit", i.unit, unit_names, "whose IOMMU the machine has");
  d.constant("iommu.iotlb_sets", i.iotlb_sets, range(1, 65536), "sets of the IOTLB").power_of_two();
  d.constant("iommu.iotlb_ways", i.iotlb_ways, range(1, 64), "ways of the IOTLB");
  static constexpr std::array levels{"iommu.walk_cache.level1", "iommu.walk_cache.level2",
                                     "iommu.walk_cache.level3", "iommu.walk_cache.level4"};
  for (std::size_t level = 0; level < levels.size(); ++level) {
    d.constant(
        levels[level], i.walk_cache_entries[level], range(0, 65536),
        fmt::format("paging-structure cache entries that point to a table of level {}; 0 is none", level + 1));
  }
  d.constant("iommu.walk_cache.ways", i.walk_cache_ways, range(1, 64), "ways of the paging-structure caches");
  d.constant("iommu.context_cache_entries", i.context_cache_entries, range(1, 65536), "context cache entries");
  d.constant("iommu.sagaw", i.sagaw, "table depths: bit 1 is 3 levels, bit 2 is 4, bit 3 is 5");
  d.constant("iommu.address_width", i.address_width, "bits of an input address (MGAW)");
  d.constant("iommu.host_address_width", i.host_address_width, "bits of a host-physical address (HAW)");
  d.constant("iommu.large_pages", i.large_pages,
             "second-stage large pages (SSLPS): bit 0 is 2 MiB, bit 1 is 1 GiB");
  d.constant("iommu.max_address_mask", i.max_address_mask, range(0, 48),
             "largest AM of a page-selective invalidation (MAMV)");
  d.constant("iommu.fault_records", i.fault_records, range(1, 256), "fault recording registers");
  d.constant("iommu.snoop_control", i.snoop_control, "ECAP.SC: the SNP bit of a leaf is not reserved");
  d.constant("iommu.device_tlb", i.device_tlb, "ECAP.DT: device-TLB descriptors are legal");
  iommu::IommuTiming& t = i.timing;
  d.constant("iommu.iotlb_hit", t.iotlb_hit, "one IOTLB lookup, hit or miss");
  d.constant("iommu.context_hit", t.context_hit, "one context-cache lookup");
  d.constant("iommu.walk_cache_hit", t.walk_cache_hit, "one lookup of the paging-structure caches");
  d.constant("iommu.memory_read", t.memory_read, "each paging, root or context entry read");
  d.constant("iommu.descriptor_fetch", t.descriptor_fetch, "reading one descriptor from the invalidation queue");
  d.constant("iommu.descriptor_execute", t.descriptor_execute, "executing one descriptor");
  d.constant("iommu.status_write", t.status_write, "a wait descriptor's status write until memory has it");
}

void describe_tegra(Description& d, MachineProfile& m) {
  d.choice("tegra_smmu.soc", m.tegra_soc, soc_names, "which SoC: its caches, address spaces, physical addresses");
  guest::TegraSmmuCosts& c = m.tegra_smmu;
  d.constant("tegra_smmu.page", c.page, "one page of a map or unmap: its entry found, uses counted");
  d.constant("tegra_smmu.entry_store", c.entry_store, "one table entry written, in the CPU's cache");
  d.constant("tegra_smmu.entry_load", c.entry_load, "one table entry read, in the CPU's cache");
  d.constant("tegra_smmu.clean_line", c.clean_line, "one line of the CPU's cache cleaned to memory, without the wait");
  d.constant("tegra_smmu.barrier", c.barrier, "the wait until what was cleaned is in memory");
  d.constant("tegra_smmu.register_write", c.register_write, "one register of the unit written, posted");
  d.constant("tegra_smmu.register_read", c.register_read, "one register read: it waits for the writes before it");
  d.constant("tegra_smmu.table_page", c.table_page, "a page for a table allocated and zeroed");
  d.constant("tegra_smmu.table_free", c.table_free, "and freed");
}

void describe_smmuv3(Description& d, MachineProfile& m) {
  iommu::Smmuv3Config& u = m.smmuv3;
  d.constant("smmuv3.range_invalidation", u.range_invalidation, "IDR3.RIL: TLBI commands by range");
  d.constant("smmuv3.nested", u.stage2, "IDR0.S2P beside S1P: stage 2, and stage 1 over it");
  d.constant("smmuv3.msi", u.msi, "IDR0.MSI: CMD_SYNC may tell by a write to memory, which the driver polls");
  d.constant("smmuv3.command_log2", u.command_log2, range(6, 19), "IDR1.CMDQS: the command queue holds 2^n commands");
  d.constant("smmuv3.virtual_queues", u.virtual_queues, "an interface of CMDQ-V: command queues a guest may own");
  iommu::IommuTiming& t = m.iommu.timing;
  d.constant("smmuv3.doorbell", t.doorbell, "from the processor's store to PROD until the unit knows of the commands");
  d.constant("smmuv3.completion", t.completion,
             "from a TLBI's execution until it is complete, which CMD_SYNC stands for; several complete side by side");
  guest::GuestCosts& g = m.software;
  d.constant("smmuv3.command", g.smmu_command, "one command built and copied to the queue");
  d.constant("smmuv3.atomic", g.smmu_atomic, "an atomic operation on a cache line this CPU has");
  d.constant("smmuv3.line_transfer", g.smmu_line_transfer, "a cache line that another CPU or the unit wrote, fetched");
  d.constant("smmuv3.prod_write", g.smmu_prod_write, "barrier and store to PROD");
  d.constant("smmuv3.cons_read", g.smmu_cons_read, "load of CONS, where it does not exit");
  d.constant("smmuv3.relax", g.smmu_relax, "one turn of a loop that polls CONS");
}

void describe_fabric(Description& d, MachineProfile& m) {
  d.constant("pcie.one_way", m.pcie.one_way, "device to root complex, or back");
  d.constant("pcie.bandwidth", m.pcie.bandwidth, Unit::bytes_per_second, "bytes on the wire in each direction");
  d.constant("pcie.max_payload", m.pcie.max_payload, Unit::bytes, "data a transaction layer packet carries")
      .power_of_two();
  d.constant("pcie.tlp_overhead", m.pcie.tlp_overhead, Unit::bytes,
             "header, sequence, LCRC and framing of a packet");
  d.constant("memory.dma_access", m.memory.dma_access,
             "a device's access to memory or the last-level cache, first beat");
}

void describe_nvme(Description& d, nvme::NvmeConfig& n) {
  d.constant("nvme.capacity", n.capacity, Unit::bytes, "size of namespace 1");
  d.constant("nvme.block", n.block, Unit::bytes, "a logical block");
  d.constant("nvme.max_transfer", n.max_transfer, Unit::bytes, "the largest command (MDTS)").power_of_two();
  d.constant("nvme.max_queue_pairs", n.max_queue_pairs, range(1, 65535), "I/O queue pairs, beside the admin pair");
  d.constant("nvme.queue_entries", n.queue_entries, range(2, 65536), "entries of the largest queue (CAP.MQES + 1)");
  d.constant("nvme.doorbell_stride", n.doorbell_stride, range(0, 15),
             "CAP.DSTRD: doorbells are 4 << this bytes apart");
  d.constant("nvme.vectors", n.vectors, range(1, 2048), "MSI-X vectors");
  d.constant("nvme.command_slots", n.command_slots, range(1, 65536), "commands inside the controller at once");
  d.constant("nvme.fetch_burst", n.fetch_burst, range(1, 64), "submission entries read by one DMA");
  d.constant("nvme.fetches_in_flight", n.fetches_in_flight, range(1, 64),
             "such DMAs at a time, each of another queue");
  d.constant("nvme.arbitration_burst", n.arbitration_burst, range(1, 128),
             "commands of a queue before the next one's turn")
      .power_of_two();
  d.constant("nvme.command_overhead", n.command_overhead,
             "firmware, from the entry's arrival to the command's first action");
  d.constant("nvme.ready_delay", n.ready_delay, "from CC.EN to CSTS.RDY");
  d.constant("nvme.aggregation_threshold", n.aggregation_threshold, range(1, 256),
             "completions an interrupt stands for; 1 is no coalescing");
  d.constant("nvme.aggregation_time", n.aggregation_time,
             "how long the first of them waits at most; 0ns is no coalescing");
  nvme::MediaConfig& m = n.media;
  d.constant("nvme.media.channels", m.channels, range(1, 4096), "units that serve one command each at a time");
  d.constant("nvme.media.stripe", m.stripe, Unit::bytes, "successive stripes lie on successive channels")
      .power_of_two();
  d.constant("nvme.media.read_latency", m.read_latency, "a read's fixed time in its channel");
  d.constant("nvme.media.read_jitter", m.read_jitter, "and up to this much more, uniform");
  d.constant("nvme.media.write_latency", m.write_latency, "a write's fixed time in its channel");
  d.constant("nvme.media.write_jitter", m.write_jitter, "and up to this much more, uniform");
  d.constant("nvme.media.slow_per_million", m.slow_per_million, range(0, 1'000'000),
             "commands in a million that meet housekeeping");
  d.constant("nvme.media.slow_extra", m.slow_extra, "what those take on top");
  d.constant("nvme.media.read_bandwidth", m.read_bandwidth, Unit::bytes_per_second, "of all reads together");
  d.constant("nvme.media.write_bandwidth", m.write_bandwidth, Unit::bytes_per_second, "of all writes together");
}

void describe_nic(Description& d, MachineProfile& m) {
  nic::NicConfig& n = m.nic;
  d.field("nic.present", m.has_nic, "the machine has a NIC: then every constant of it is given");
  d.constant("nic.wire_rate", n.wire_rate, Unit::bytes_per_second, "of the wire, each way");
  d.constant("nic.posted_bytes", n.posted_bytes, Unit::bytes, "payload writes under way on PCIe at a time");
  d.constant("nic.packet_buffer", n.packet_buffer, Unit::bytes, "received bytes that wait for PCIe; the rest is dropped");
  d.constant("nic.stride", n.packing.stride, Unit::bytes, "a packet begins at a multiple of this in its buffer")
      .power_of_two();
  d.constant("nic.coalesce", n.packing.coalesce, "hardware GRO: payload of a flow back to back");
  d.constant("nic.peer.round_trip", n.peer.round_trip, "the wire and the peer's own time");
  d.constant("nic.peer.window", n.peer.window, Unit::bytes, "the peer has under way at most, of a flow");
  d.constant("nic.peer.ack_every", n.peer.ack_every, Unit::bytes, "the peer takes before it acknowledges");
  d.constant("nic.pcie.one_way", m.nic_pcie.one_way, "NIC to root complex, or back");
  d.constant("nic.pcie.bandwidth", m.nic_pcie.bandwidth, Unit::bytes_per_second, "of the NIC's link, each way");
  d.constant("nic.pcie.max_payload", m.nic_pcie.max_payload, Unit::bytes, "data a packet of that link carries")
      .power_of_two();
  d.constant("nic.pcie.tlp_overhead", m.nic_pcie.tlp_overhead, Unit::bytes, "header, sequence, LCRC and framing");
  guest::NicCosts& c = m.nic_software;
  d.constant("nic.software.poll", c.poll, "one NAPI poll, around what it finds");
  d.constant("nic.software.completion", c.completion, "one buffer: its completion entry, its page into an skb");
  d.constant("nic.software.gro_packet", c.gro_packet, "one packet merged into its aggregate");
  d.constant("nic.software.deliver", c.deliver, "one aggregate through IP and TCP to its socket");
  d.constant("nic.software.page_get", c.page_get, "a page out of the pool, and its descriptor");
  d.constant("nic.software.page_put", c.page_put, "a page back into the pool");
  d.constant("nic.software.page_allocate", c.page_allocate, "a page from, or to, the page allocator");
  d.constant("nic.software.acknowledge", c.acknowledge, "build one ACK and take it down to the driver");
  d.constant("nic.software.send_frame", c.send_frame, "build one large frame and take it down to the driver");
  d.constant("nic.software.transmit", c.transmit, "the driver's part of one frame: descriptors");
  d.constant("nic.software.transmitted", c.transmitted, "one sent frame retired");
  d.constant("nic.software.doorbell", c.doorbell, "an uncached store posted to the NIC");
  d.constant("nic.software.ack_received", c.ack_received, "one ACK of the peer through the stack");
  d.constant("nic.software.read_call", c.read_call, "one recv(), beside the copy");
  d.constant("nic.software.write_call", c.write_call, "one send(), beside the copy");
  d.constant("nic.software.copy_per_kib", c.copy_per_kib, "1024 bytes between kernel and user memory");
}

}  // namespace

void describe(Description& d, MachineProfile& m) {
  d.field("title", m.title, "one line: what machine this is");
  d.choice("exit_names", m.exit_names, exit_name_names, "whose exit reasons perf kvm would print");
  describe_cpu(d, m);
  describe_software(d, m.software);
  describe_vmm(d, m.hypervisor);
  describe_vfio(d, m.hypervisor);
  describe_iommu(d, m);
  describe_tegra(d, m);
  describe_smmuv3(d, m);
  describe_fabric(d, m);
  describe_nvme(d, m.nvme);
  describe_nic(d, m);
}

void require_all_constants(const config::Document& document, const config::Origins& origins,
                           config::Diagnostics& diagnostics) {
  const config::Node* unit = document.find("iommu.unit");
  const bool has_smmuv3 =
      document.find("smmuv3") != nullptr || (unit != nullptr && unit->text() != nullptr && *unit->text() == "smmuv3");
  for (const config::Parameter& p : config::parameters<MachineProfile>()) {
    if (document.find(p.path) != nullptr) continue;
    if (p.path.starts_with("nic.") && document.find("nic") == nullptr) continue;
    if (p.path.starts_with("tegra_smmu.") && document.find("tegra_smmu") == nullptr) continue;
    if (p.path.starts_with("smmuv3.") && !has_smmuv3) continue;
    diagnostics.error(
        origins.where(p.path), fmt::format("missing key '{}'", p.path),
        fmt::format("{}: {}\na machine has no defaults: its profile gives every constant", p.type, p.doc));
  }
}

}  // namespace gnomon::scenario
