// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/resolve_variant.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "guest/dma/swiotlb.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/replay/trace_file.hpp"
#include "platform/scenario/command_line.hpp"
#include "platform/scenario/fio_jobs.hpp"

namespace gnomon::scenario {

/// What config.toml shows: the scenario, then what it came to.
struct Effective {
  ScenarioFile& scenario;
  KernelFile& kernel;
  Resolution& resolution;
};

void describe(config::Description& d, Resolution& r) {
  d.field("domain", r.domain, "the DMA domain of the devices");
  d.field("unmap", r.unmap, "what ends a translation's life");
  d.field("reason", r.reason, "why");
  d.field("kernel_log", r.kernel_log, "the kernel's own line for it");
}

void describe(config::Description& d, Effective& e) {
  describe(d, e.scenario);
  d.table("kernel", e.kernel, "the behaviour that guest.kernel stands for");
  d.table("resolved", e.resolution, "derived");
}

namespace {

using config::Diagnostics;
using config::Origins;
using guest::DomainReason;
using guest::DomainType;
using guest::UnmapFlush;

const char* text_of(DomainReason reason) {
  switch (reason) {
    case DomainReason::kernel_default: return "the kernel's default";
    case DomainReason::command_line: return "the kernel's command line";
    case DomainReason::intel_iommu_strict: return "intel_iommu=strict";
    case DomainReason::amd_iommu_fullflush: return "amd_iommu=fullflush";
    case DomainReason::s390_iommu_strict: return "s390_iommu=strict";
    case DomainReason::intel_caching_mode: return "VT-d caching mode";
    case DomainReason::amd_np_cache: return "AMD NpCache";
    case DomainReason::untrusted_device: return "the device is untrusted";
    case DomainReason::driver_wants_identity: return "the driver's wish";
    case DomainReason::hardware_no_passthrough: return "the hardware cannot pass through";
    case DomainReason::no_deferred_flush: return "the kernel's driver cannot defer invalidation";
    case DomainReason::memory_encryption: return "memory encryption";
    case DomainReason::s390_own_dma_code: return "s390's own DMA code";
    case DomainReason::sysfs: return "sysfs";
  }
  return "";
}

const char* text_of(UnmapFlush flush) {
  switch (flush) {
    case UnmapFlush::none: return "none";
    case UnmapFlush::strict: return "strict";
    case UnmapFlush::per_cpu_queue: return "lazy, a flush queue a CPU";
    case UnmapFlush::single_queue: return "lazy, one flush queue";
    case UnmapFlush::allocator_wrap: return "lazy, by allocator wrap";
  }
  return "";
}

const char* text_of(DomainType type) {
  switch (type) {
    case DomainType::identity: return "identity";
    case DomainType::dma: return "dma";
    case DomainType::dma_fq: return "dma-fq";
  }
  return "";
}

class VariantResolver {
 public:
  VariantResolver(const ScenarioFile& file, const Origins& origins, const LoadedKernel& kernel,
                  Diagnostics& diagnostics)
      : file_(file), origins_(origins), kernel_(kernel), diagnostics_(diagnostics) {}

  std::optional<ResolvedVariant> run(const std::string& name, const Places& places) {
    out_.name = name;
    fill_plain();
    check_devices();
    check_iommu();
    check_memory();
    check_command_line(file_.guest.cmdline, origins_.where("guest.cmdline"), diagnostics_);
    choose_domain();
    choose_driver();
    if (!choose_workload(places) || failed_) return std::nullopt;
    write_effective();
    return std::move(out_);
  }

 private:
  void error(std::string_view path, std::string message, std::string note = "") {
    diagnostics_.error(origins_.where(path), std::move(message), std::move(note));
    failed_ = true;
  }
  void note(std::string text) { out_.notes.push_back(std::move(text)); }
  bool translated() const { return out_.configuration.guest.translated; }

  /// One workload: fio, or one of the benchmarks.
  bool choose_workload(const Places& places) {
    const WorkloadTable& w = file_.workload;
    std::vector<std::string_view> given;
    if (!w.fio.empty()) given.push_back("fio");
    if (w.api) given.push_back("api");
    if (w.map_benchmark) given.push_back("map_benchmark");
    if (w.vfio) given.push_back("vfio");
    if (!w.trace.empty()) given.push_back("trace");
    if (w.iperf) given.push_back("iperf");
    if (w.dma_master) given.push_back("dma_master");
    if (given.size() != 1) {
      error("workload", given.empty() ? "there is no workload" : fmt::format("more than one workload: {}", fmt::join(given, ", ")),
            "accepted: one of fio, api, map_benchmark, vfio, iperf, dma_master, trace");
      return false;
    }
    if (w.replay && w.trace.empty()) error("workload.replay", "there is no trace to replay", "see workload.trace");
    if (!w.fio.empty()) {
      out_.configuration.jobs = load_jobs(file_, origins_, places.folder, places.shown, diagnostics_);
      return !out_.configuration.jobs.empty();
    }
    if (w.runtime || w.ramp_time || !w.section.empty()) {
      error(w.runtime ? "workload.runtime" : w.ramp_time ? "workload.ramp_time" : "workload.section",
            "this is fio's, and the workload is another");
    }
    if (w.map_benchmark) out_.configuration.benchmark = *w.map_benchmark;
    if (w.api) out_.configuration.benchmark = api_spec(*w.api);
    if (w.vfio) choose_vfio(*w.vfio);
    if (w.iperf) choose_iperf(*w.iperf);
    if (w.dma_master) choose_dma_master(*w.dma_master);
    if (!w.trace.empty()) choose_replay(w, places);
    return true;
  }

  guest::ApiBenchmarkSpec api_spec(const ApiTable& table) {
    guest::ApiBenchmarkSpec spec;
    spec.repeat = table.repeat;
    const auto parse = [&](const std::vector<std::string>& texts, std::string_view path) {
      std::vector<guest::ApiOperation> operations;
      for (const std::string& text : texts) {
        const auto parsed = parse_api_operation(text);
        if (const auto* wrong = std::get_if<config::QuantityError>(&parsed)) {
          error(path, fmt::format("\"{}\": {}", config::printable(text), wrong->message), wrong->note);
        } else {
          operations.push_back(std::get<guest::ApiOperation>(parsed));
        }
      }
      return operations;
    };
    spec.prepare = parse(table.prepare, "workload.api.prepare");
    spec.operations = parse(table.operations, "workload.api.operations");
    if (!translated()) error("workload.api", "the IOMMU API needs an IOMMU that translates", "see iommu.device and guest.cmdline");
    return spec;
  }

  void choose_iperf(const iperf::IperfSpec& spec) {
    try {
      iperf::validate(spec);
    } catch (const std::invalid_argument& wrong) {
      error("workload.iperf", wrong.what());
    }
    const auto& devices = out_.configuration.devices;
    if (devices.front().model != DeviceModel::nic)
      error("workload.iperf", "iperf needs a NIC, the first device", "model = \"nic\" in the first [[device]]");
    out_.configuration.benchmark = spec;
  }

  void choose_dma_master(const guest::DmaMasterSpec& spec) {
    if (out_.configuration.devices.front().model != DeviceModel::dma_master)
      error("workload.dma_master", "a stream needs a dma-master, the first device",
            "model = \"dma-master\" in the first [[device]]");
    if (!translated())
      error("workload.dma_master", "its frames are mapped by the IOMMU API, which needs an IOMMU that translates",
            "see iommu.device and guest.cmdline");
    for (const auto& [key, bytes] : {std::pair{"buffer", spec.buffer}, std::pair{"churn", spec.churn}}) {
      if (bytes % page_size != 0)
        error(fmt::format("workload.dma_master.{}", key),
              fmt::format("{} is no multiple of 4KiB", config::format_quantity(bytes, config::Unit::bytes)));
    }
    constexpr std::uint64_t end = std::uint64_t{1} << 32;
    if (spec.iova.value + spec.span() > end)
      error("workload.dma_master.buffer",
            fmt::format("frames and the buffer beside them take {}, and end above 4GiB",
                        config::format_quantity(spec.span(), config::Unit::bytes)));
    if (spec.buffer * (spec.flip ? 3 : 1) + spec.churn > file_.guest.memory / 2)
      error("guest.memory", "the frames do not fit into half of the guest's memory");
    out_.configuration.benchmark = spec;
  }

  void choose_vfio(const VfioWorkloadSpec& spec) {
    if (file_.hypervisor.kind != HypervisorKind::none)
      error("workload.vfio", "VFIO is the host's: its IOMMU, not a guest's", "accepted with hypervisor.kind = \"none\"");
    if (!translated()) error("workload.vfio", "VFIO needs an IOMMU that translates", "see iommu.device");
    out_.configuration.benchmark = spec;
  }

  void choose_replay(const WorkloadTable& w, const Places& places) {
    guest::ReplaySpec spec;
    if (w.replay) {
      spec.pacing = w.replay->mode;
      if (!(w.replay->rate >= 0.001 && w.replay->rate <= 1000))
        return error("workload.replay.rate", "a trace is replayed from 0.001 to 1000 times as fast as recorded");
      spec.rate_ppm = static_cast<std::uint64_t>(w.replay->rate * 1e6 + 0.5);
    }
    try {
      replay::LoadedTrace trace = replay::load_trace((places.folder / w.trace).string());
      for (std::string& text : trace.notes) note(std::move(text));
      spec.script = std::move(trace.script);
    } catch (const gtrace::GtraceError& wrong) {
      return error("workload.trace", fmt::format("{}: {}", config::printable(w.trace), wrong.what()),
                   "accepted: what `gnomon import` writes");
    } catch (const std::system_error& wrong) {
      return error("workload.trace", fmt::format("{}: {}", config::printable(w.trace), wrong.code().message()));
    }
    if (spec.script->cpus > file_.guest.vcpus)
      error("guest.vcpus", fmt::format("the trace has {} CPUs, the guest {}", spec.script->cpus, file_.guest.vcpus));
    const std::uint64_t needed = guest::RecordedMemory::bytes_for(spec.script->runs);
    if (needed > file_.guest.memory / 2)
      error("guest.memory", fmt::format("the trace's buffers take {}, and half of the guest's memory is for them",
                                        config::format_quantity(needed, config::Unit::bytes)));
    out_.configuration.benchmark = std::move(spec);
  }

  void fill_plain() {
    Configuration& c = out_.configuration;
    const GuestTable& g = file_.guest;
    c.machine = file_.machine.constants;
    c.hypervisor = file_.hypervisor.kind;
    c.vmm.service = file_.hypervisor.service;
    c.vmm.event_idx = file_.hypervisor.event_idx;
    c.vmm.indirect = file_.hypervisor.indirect;
    c.vmm.vfio.dma_entry_limit = file_.hypervisor.dma_entry_limit;
    c.guest.vcpus = g.vcpus;
    c.guest.hz = g.hz;
    c.guest.memory_encryption = g.memory_encryption;
    c.guest.spinlock = g.spinlock;
    c.guest.memory = g.memory;
    c.guest.backing = g.memory_backing;
    c.guest.buffers.runs_per_64k = g.runs_per_64k;
    c.guest.iova = kernel_.file.iova;
    c.guest.core = kernel_.file.core;
    c.guest.report_request_errors = g.report_request_errors;
    c.faults = file_.faults;
  }

  void check_devices() {
    constexpr std::size_t most = 16;
    const bool virtualised = file_.hypervisor.kind != HypervisorKind::none;
    for (std::size_t i = 0; i < file_.devices.size(); ++i) {
      const DeviceTable& device = file_.devices[i];
      const std::string path = fmt::format("device.{}", i);
      if (is_tegra() && device.model != DeviceModel::dma_master)
        error(path + ".model", "behind a Tegra SMMU are clients of the memory controller, and no PCI devices",
              "accepted: dma-master");
      if (device.model == DeviceModel::nic && !file_.machine.constants.has_nic)
        error(path + ".model", fmt::format("{} has no NIC", file_.machine.profile), "a machine with a [nic] table has one");
      if (virtualised && !device.assigned)
        error(path + ".assigned", "an emulated device is not built yet", "accepted: true");
    }
    if (file_.devices.size() > most) error("device", fmt::format("more than {} devices", most));
    if (is_tegra() && file_.devices.size() > tegra_heads.size())
      error("device", fmt::format("a Tegra has {} display heads", tegra_heads.size()));
    if (file_.devices.empty() && is_tegra()) out_.configuration.devices = {{DeviceModel::dma_master, false}};
    if (file_.devices.empty()) return;
    out_.configuration.devices.clear();
    for (const DeviceTable& device : file_.devices) out_.configuration.devices.push_back({device.model, device.untrusted});
  }

  void check_iommu() {
    const IommuTable& i = file_.iommu;
    if (!check_s390()) return;
    if (i.device == IommuKind::virtio_iommu && kernel_.file.virtio_driver == DriverPresence::none)
      return error("iommu.device", fmt::format("{} has no virtio-iommu driver", kernel_.file.title),
                   "accepted: none, or another guest.kernel");
    if (file_.hypervisor.kind == HypervisorKind::none) {
      if (i.device == IommuKind::virtio_iommu)
        return error("iommu.device", "bare metal has no virtio-iommu", "accepted: none, plain, or the machine's own");
      if (!is_machines_own(i.device))
        return error("iommu.device", fmt::format("{} has another IOMMU", file_.machine.profile),
                     fmt::format("accepted with hypervisor.kind = \"none\": none, plain, {}", own_iommu()));
    } else if (i.device == IommuKind::plain) {
      return error("iommu.device", "a driver without hardware needs no hypervisor",
                   "accepted with hypervisor.kind = \"none\"");
    }
    check_smmu();
    std::uint64_t mask = i.granule;
    for (const std::uint64_t size : i.page_sizes) {
      if (size == 0 || (size & (size - 1)) != 0)
        return error("iommu.page_sizes", fmt::format("a page size is no power of two: {}",
                                                     config::format_quantity(size, config::Unit::bytes)));
      if (size >= i.granule) mask |= size;
    }
    if (i.granule != page_size)
      return error("iommu.granule",
                   fmt::format("a guest of 4KiB pages cannot map by {}",
                               config::format_quantity(i.granule, config::Unit::bytes)),
                   "accepted: 4KiB");
    out_.configuration.iommu_page_sizes = mask;
  }

  bool is_tegra() const { return file_.iommu.device == IommuKind::tegra_smmu; }

  bool on_s390() const { return file_.machine.constants.iommu.unit == iommu::UnitKind::s390; }

  /// A PCI function of s390 is translated by tables of its guest's, and no other machine's is. False: an error.
  bool check_s390() {
    const IommuTable& i = file_.iommu;
    const bool asked = i.device == IommuKind::s390_pci;
    if (asked != on_s390()) {
      error("iommu.device",
            asked ? fmt::format("{} is no s390", file_.machine.profile)
                  : fmt::format("{} is an s390, whose PCI functions are always translated", file_.machine.profile),
            asked ? "a machine whose iommu.unit is s390-pci" : "accepted: s390-pci");
      return false;
    }
    if (!asked) return true;
    if (kernel_.file.s390_dma == S390DmaCode::none)
      error("iommu.device", fmt::format("the s390 DMA code of {} is not modelled", kernel_.file.title),
            "another guest.kernel");
    for (std::size_t n = 0; n < file_.devices.size(); ++n) {
      if (file_.devices[n].untrusted)
        error(fmt::format("device.{}.untrusted", n), "firmware of s390 says of no device that it is external-facing",
              "accepted: false");
    }
    const bool own = kernel_.file.s390_dma == S390DmaCode::own;
    const WorkloadTable& w = file_.workload;
    if (own && (w.api || w.vfio || !w.trace.empty()))
      error("workload", fmt::format("{} maps for s390's PCI functions by code of its own, which only devices use",
                                    kernel_.file.title),
            "accepted: fio, map_benchmark, iperf, or another guest.kernel");
    return !failed_;
  }

  /// The emulated SMMUv3 shadows nothing: the machine's own nests the guest's stage 1.
  void check_smmu() {
    const IommuTable& i = file_.iommu;
    if (i.device != IommuKind::smmuv3) return;
    const iommu::Smmuv3Config& unit = file_.machine.constants.smmuv3;
    const bool emulated = file_.hypervisor.kind != HypervisorKind::none;
    if (kernel_.file.smmu_driver == DriverPresence::none)
      return error("iommu.device", fmt::format("{} has no SMMUv3 driver", kernel_.file.title),
                   "accepted: none, or another guest.kernel");
    if (emulated && !(own_kind() == IommuKind::smmuv3 && unit.stage1 && unit.stage2))
      return error("iommu.device", fmt::format("the IOMMU of {} cannot nest an SMMUv3", file_.machine.profile),
                   "a machine whose iommu.unit is smmuv3 and whose smmuv3.nested is true");
    if (!i.guest_queues) return;
    if (!emulated)
      return error("iommu.cmdqv", "there is no guest to own a queue", "accepted with a hypervisor");
    if (!unit.virtual_queues)
      return error("iommu.cmdqv", fmt::format("{} has no CMDQ-V", file_.machine.profile),
                   "a machine whose smmuv3.virtual_queues is true");
    if (file_.devices.size() > 1)
      error("iommu.cmdqv", "an interface of CMDQ-V has one VMID, and here each device has its own", "accepted: one [[device]]");
  }

  IommuKind own_kind() const {
    switch (file_.machine.constants.iommu.unit) {
      case iommu::UnitKind::vtd: return IommuKind::intel_iommu;
      case iommu::UnitKind::amdvi: return IommuKind::amd_iommu;
      case iommu::UnitKind::smmuv3: return IommuKind::smmuv3;
      case iommu::UnitKind::tegra: return IommuKind::tegra_smmu;
      case iommu::UnitKind::s390: return IommuKind::s390_pci;
    }
    return IommuKind::none;
  }
  std::string_view own_iommu() const { return iommu_names[static_cast<std::size_t>(own_kind())].name; }
  bool is_machines_own(IommuKind kind) const {
    return kind == IommuKind::none || kind == IommuKind::plain || kind == own_kind();
  }

  void check_memory() {
    const std::uint64_t chunk = file_.guest.memory_backing == Backing::hugetlb_1g ? std::uint64_t{1} << 30
                                : file_.guest.memory_backing == Backing::thp_2m   ? std::uint64_t{2} << 20
                                                                                  : page_size;
    if (file_.guest.memory % chunk != 0)
      error("guest.memory",
            fmt::format("'guest.memory' is no multiple of its backing's {}",
                        config::format_quantity(chunk, config::Unit::bytes)),
            "accepted: whole multiples of that, or another guest.memory_backing");
    const unsigned bits = tegra_soc()->address_bits;
    if (is_tegra() && file_.guest.memory > std::uint64_t{1} << bits)
      error("guest.memory", fmt::format("{} has physical addresses of {} bits", tegra_soc()->name, bits));
  }

  void check_memory_encryption(GuestConfiguration& g) {
    if (!g.memory_encryption) return;
    if (file_.iommu.device != IommuKind::none)
      error("guest.memory_encryption", "encrypted memory behind an IOMMU is not built yet", "iommu.device = \"none\"");
    if (out_.configuration.hypervisor == HypervisorKind::none)
      error("guest.memory_encryption", "a confidential guest has a hypervisor", "hypervisor.kind = \"kvm\"");
    // swiotlb_max_mapping_size: a segment, less what aligning to the drive's page may take.
    g.nvme_max_transfer = std::min<std::uint64_t>(g.nvme_max_transfer, guest::Swiotlb::most_bytes - page_size);
  }

  /// The domain every device gets: the kernel decides, from its version, its command line, the IOMMU and the
  /// device.
  void choose_domain() {
    GuestConfiguration& g = out_.configuration.guest;
    const guest::DomainCommandLine line = guest::parse_domain_command_line(file_.guest.cmdline);
    g.force_dac = line.force_dac;
    g.nvme_max_transfer = kernel_.file.nvme_max_transfer;
    check_memory_encryption(g);
    if (file_.iommu.device == IommuKind::none) {
      resolution_ = {"none", "none", "the guest has no IOMMU", ""};
      return;
    }
    guest::DomainDevice device;
    const auto untrusted = [](const DeviceTable& d) { return d.untrusted; };
    const bool some = std::any_of(file_.devices.begin(), file_.devices.end(), untrusted);
    device.untrusted = some && std::all_of(file_.devices.begin(), file_.devices.end(), untrusted);
    const guest::DomainIommu iommu = domain_iommu();
    auto decision = guest::choose_domain(domain_kernel(kernel_.file), line, iommu, device);
    if (file_.guest.sysfs_dma_fq) decision = guest::switch_to_flush_queue(domain_kernel(kernel_.file), iommu, decision);
    resolution_ = {text_of(decision.type), text_of(decision.flush), text_of(decision.reason),
                   std::string{guest::log_line(decision)}};
    if (decision.type == DomainType::identity && on_s390())
      return error("guest.cmdline", "identity domains of s390 (relaxed translation) are not built yet",
                   "iommu.passthrough=0");
    if (decision.type == DomainType::identity && is_unmanaged()) {
      note("the workload's domain is its own: what the command line says of DMA domains does not concern it");
    } else if (decision.type == DomainType::identity && some) {
      return error("device", "devices that differ in trust, where the trusted ones pass through, are not built yet");
    } else if (decision.type == DomainType::identity) {
      note("the domain is an identity domain: after boot the vIOMMU has nothing to do, as without one");
      return;
    }
    out_.configuration.iommu = file_.iommu.device;
    g.translated = true;
    g.nvme_max_transfer = kernel_.file.nvme_max_transfer_translated;
    g.deferred = decision.type == DomainType::dma_fq || decision.flush == UnmapFlush::allocator_wrap;
    g.s390_own_dma = on_s390() && kernel_.file.s390_dma == S390DmaCode::own;
    g.s390_aperture = line.s390_aperture;
    if (g.s390_own_dma) return note_own_dma(line);
    if (decision.reason == DomainReason::no_deferred_flush && !is_unmanaged())
      note(fmt::format("{}: its {} driver cannot defer invalidation, so the domain is strict", kernel_.file.title,
                       iommu_names[static_cast<std::size_t>(file_.iommu.device)].name));
    if (decision.reason == DomainReason::amd_np_cache && line.strict == false)
      note("NpCache makes the domain strict, whatever iommu.strict says");
    if (some && !device.untrusted) note("the devices that are not trusted have strict domains and bounce buffers");
    choose_flush_queue(decision.flush);
  }

  void note_own_dma(const guest::DomainCommandLine& line) {
    const GuestTable& g = file_.guest;
    if (g.flush_queue || g.flush_queue_entries || g.flush_queue_timeout)
      note(fmt::format("{}: s390's own DMA code has no flush queue; its settings have no effect", kernel_.file.title));
    if (line.strict) note(fmt::format("{}: s390's own DMA code knows s390_iommu=strict only", kernel_.file.title));
  }

  /// VFIO's and the API benchmark's domains are unmanaged: strict, and nobody asks the command line.
  bool is_unmanaged() const { 
    return file_.workload.api || file_.workload.vfio || file_.workload.dma_master;
  }

  bool sm_on() const { return file_.guest.cmdline.find("sm_off") == std::string::npos; }

  /// What the emulated unit is, and how its guest's tables are followed.
  void choose_intel() {
    GuestConfiguration& g = out_.configuration.guest;
    g.intel.kernel = kernel_.file.intel;
    g.intel.cache_tags = kernel_.file.intel_cache_tags;
    g.intel.second_level_hint = kernel_.file.intel_second_level_hint;
    if (file_.guest.flush_policy) g.intel.kernel.flush_policy = *file_.guest.flush_policy;
    g.intel_scalable = sm_on();
    const IommuTable& i = file_.iommu;
    if (i.device != IommuKind::intel_iommu || file_.hypervisor.kind == HypervisorKind::none) return;
    using hypervisor::IntelShadowing;
    hypervisor::IntelIommuDeviceConfig& device = out_.configuration.intel_device;
    device.caching_mode = i.caching_mode;
    device.scalable = i.scalable_mode;
    device.address_bits = i.aw_bits;
    device.shadowing = i.shadow.value_or(i.first_level ? IntelShadowing::nested : IntelShadowing::caching_mode);
    if (i.aw_bits != 39 && i.aw_bits != 48) error("iommu.aw-bits", "the width is none of QEMU's", "accepted: 39, 48");
    if (i.first_level && !i.scalable_mode) error("iommu.x-flts", "first-level tables are scalable mode's", "x-scalable-mode = true");
    if (i.first_level != (device.shadowing != IntelShadowing::caching_mode))
      error("iommu.shadow", "first-level tables are nested or write-protected, second-level ones shadowed by caching mode",
            "x-flts = true for nested and write-protect");
    // Else nobody hears of what becomes present: a mapping, or with first-level tables a PASID entry.
    if (!i.caching_mode)
      error("iommu.caching-mode", "a passed-through device behind intel-iommu needs caching mode", "accepted: true");
    if (device.shadowing == IntelShadowing::nested && !out_.configuration.machine.iommu.scalable_mode)
      error("iommu.shadow", fmt::format("the IOMMU of {} cannot nest", file_.machine.profile),
            "a machine whose iommu.scalable_mode is true");
  }

  void choose_smmu() {
    const iommu::Smmuv3Config& unit = file_.machine.constants.smmuv3;
    guest::SmmuDriverOptions& driver = out_.configuration.guest.smmu;
    driver.kernel = kernel_.file.smmu;
    if (file_.guest.flush_policy) driver.kernel.flush_policy = *file_.guest.flush_policy;
    driver.queue = file_.iommu.guest_queues ? guest::SmmuQueue::owned : guest::SmmuQueue::registers;
    const bool ranges = unit.range_invalidation && file_.iommu.range_invalidation;
    out_.configuration.machine.smmuv3.range_invalidation = ranges;
    out_.configuration.smmu_device.range_invalidation = ranges;
  }

  guest::DomainIommu domain_iommu() const {
    const bool emulated = file_.hypervisor.kind != HypervisorKind::none;
    guest::DomainIommu iommu;
    switch (file_.iommu.device) {
      case IommuKind::amd_iommu:
        iommu.driver = guest::IommuFamily::amd;
        iommu.np_cache = emulated;
        break;
      case IommuKind::plain: iommu.driver = guest::IommuFamily::intel; break;
      case IommuKind::intel_iommu: {
        const iommu::IommuConfig& unit = file_.machine.constants.iommu;
        const bool scalable = emulated ? file_.iommu.scalable_mode : unit.scalable_mode;
        const bool first_level = scalable && (emulated ? file_.iommu.first_level : unit.first_stage);
        iommu.driver = guest::IommuFamily::intel;
        iommu.caching_mode = emulated && file_.iommu.caching_mode;
        iommu.first_level_default = first_level && kernel_.file.intel.first_level_default && sm_on();
        break;
      }
      case IommuKind::s390_pci:
        iommu.driver = guest::IommuFamily::s390;
        iommu.architecture = guest::Architecture::s390;
        iommu.tlb_refresh = emulated;
        break;
      case IommuKind::smmuv3:
        iommu.driver = guest::IommuFamily::smmuv3;
        iommu.architecture = guest::Architecture::arm64;
        break;
      case IommuKind::none:
      case IommuKind::virtio_iommu: iommu.driver = guest::IommuFamily::virtio; break;
      case IommuKind::tegra_smmu: iommu.driver = guest::IommuFamily::tegra; break;
    }
    return iommu;
  }

  const tegra::Soc* tegra_soc() const { return file_.iommu.tegra_soc.value_or(file_.machine.constants.tegra_soc); }

  /// The proposals of 2015 change the core too: it calls back once a map and once an unmap.
  void choose_tegra() {
    if (!is_tegra()) return;
    Configuration& c = out_.configuration;
    c.guest.tegra_flush = file_.iommu.tegra_flush;
    c.machine.tegra_soc = tegra_soc();
    if (c.guest.tegra_flush == guest::TegraFlush::before) return;
    c.guest.core.sync_map = c.guest.core.gather = true;
    note("a what-if: the Tegra SMMU's flushing as proposed in 2015, which no Linux to 6.1 has");
    if (c.faults.dma_master.forget_flush && c.guest.tegra_flush != guest::TegraFlush::unsynchronised)
      note("the flush by hand that is forgotten is unsynchronised flushing's alone");
  }

  void choose_flush_queue(UnmapFlush flush) {
    GuestConfiguration& g = out_.configuration.guest;
    const GuestTable& wanted = file_.guest;
    bool single = flush == UnmapFlush::single_queue;
    if (wanted.flush_queue) {
      const bool asked = *wanted.flush_queue == FlushQueueKind::single;
      if (asked && !kernel_.file.single_flush_queue)
        return error("guest.flush_queue", fmt::format("{} has no single flush queue", kernel_.file.title),
                     "accepted: per-cpu");
      if (asked != single && g.deferred)
        note(fmt::format("a what-if: {} flush queue where {} has {}", asked ? "one" : "a per-CPU",
                         kernel_.file.title, single ? "one for all CPUs" : "one a CPU"));
      single = asked;
    }
    const bool any = wanted.flush_queue || wanted.flush_queue_entries || wanted.flush_queue_timeout;
    if (any && !g.deferred) note("the domain is strict: the flush queue's settings have no effect");
    g.flush_queue = single ? guest::flush_queue_single : guest::flush_queue_per_cpu;
    if (wanted.flush_queue_entries) g.flush_queue.slots = *wanted.flush_queue_entries;
    if (wanted.flush_queue_timeout) g.flush_queue.timeout = *wanted.flush_queue_timeout;
    if (g.deferred) resolution_.unmap = text_of(single ? UnmapFlush::single_queue : UnmapFlush::per_cpu_queue);
  }

  void choose_driver() {
    const bool usual = kernel_.file.virtio_sync_map;
    const bool sync_map = file_.guest.sync_map.value_or(usual);
    out_.configuration.guest.sync_map = sync_map;
    GuestConfiguration& g = out_.configuration.guest;
    choose_intel();
    choose_tegra();
    choose_smmu();
    if (file_.guest.driver_calls) g.core.calls = *file_.guest.driver_calls;
    g.amd.kernel = kernel_.file.amd;
    g.amd.split_flush_all = kernel_.file.amd_split_flush_all;
    g.amd.gather_deferred = kernel_.file.amd_gather_deferred;
    g.amd.walk_every_leaf = kernel_.file.amd_walk_every_leaf;
    g.plain = file_.iommu.plain;
    g.plain_policy = file_.iommu.plain == PlainKind::amd_v1 ? kernel_.file.amd.flush_policy : kernel_.file.intel.flush_policy;
    if (file_.guest.flush_policy) g.amd.kernel.flush_policy = g.plain_policy = *file_.guest.flush_policy;
    if (translated() && file_.iommu.device == IommuKind::virtio_iommu && sync_map != usual)
      note(fmt::format("a what-if: iotlb_sync_map is {}used, and {} does {}", sync_map ? "" : "not ",
                       kernel_.file.title, usual ? "use it" : "not"));
    if (file_.guest.report_request_errors)
      note("a what-if: the driver reports failed requests, which no Linux does");
  }

  /// Fills what the scenario left to the kernel, with its origin, and writes everything.
  void write_effective() {
    ScenarioFile file = file_;
    KernelFile kernel = kernel_.file;
    Origins origins = origins_;
    const GuestConfiguration& g = out_.configuration.guest;
    const auto by_kernel = [&](std::string_view path, std::string_view kernel_path) {
      if (const config::Origin* origin = kernel_.origins.find(kernel_path))
        origins.record(std::string{path}, *origin);
    };
    if (!file.guest.sync_map) {
      file.guest.sync_map = g.sync_map;
      by_kernel("guest.sync_map", "virtio_iommu.sync_map");
    }
    if (g.deferred && !g.s390_own_dma) {
      if (!file.guest.flush_queue)
        by_kernel("guest.flush_queue", on_s390() ? "s390.dma_code" : "virtio_iommu.shadow_on_flush");
      file.guest.flush_queue = g.flush_queue.per_cpu ? FlushQueueKind::per_cpu : FlushQueueKind::single;
      file.guest.flush_queue_entries = g.flush_queue.slots;
      file.guest.flush_queue_timeout = g.flush_queue.timeout;
    }
    for (const auto& [path, origin] : kernel_.origins.all())
      if (!path.empty()) origins.record("kernel." + path, origin);
    Effective effective{file, kernel, resolution_};
    out_.effective_toml = config::effective_toml(effective, origins);
    std::string head;
    for (const std::string& text : out_.notes) head += fmt::format("# {}\n", config::printable(text));
    out_.effective_toml.insert(0, head.empty() ? head : head + "\n");
  }

  const ScenarioFile& file_;
  const Origins& origins_;
  const LoadedKernel& kernel_;
  Diagnostics& diagnostics_;
  ResolvedVariant out_;
  Resolution resolution_;
  bool failed_ = false;
};

}  // namespace

std::optional<ResolvedVariant> resolve_variant(const std::string& name, const ScenarioFile& file,
                                               const Origins& origins, const LoadedKernel& kernel,
                                               const Places& places, Diagnostics& diagnostics) {
  return VariantResolver{file, origins, kernel, diagnostics}.run(name, places);
}

}  // namespace gnomon::scenario
