// SPDX-License-Identifier: Apache-2.0
// Which default domain a device gets, strict or lazy, and why: a pure function of the kernel, its command line, the
// IOMMU and the device. Behaviour of Linux 6.1 to 7.2 (drivers/iommu/iommu.c and the drivers).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gnomon::guest {

enum class Architecture : std::uint8_t { x86, arm64, s390 };
enum class IommuFamily : std::uint8_t { intel, amd, virtio, s390, smmuv3, tegra };

enum class DomainType : std::uint8_t { identity, dma, dma_fq };

/// What ends an IOVA's life: how its cached translations are invalidated.
enum class UnmapFlush : std::uint8_t {
  none,            ///< identity: nothing is mapped
  strict,          ///< inside every unmap
  per_cpu_queue,   ///< lazy, a flush queue a CPU
  single_queue,    ///< lazy, one flush queue
  allocator_wrap,  ///< lazy, s390's own DMA code: once each time the address bitmap wraps
};

enum class DomainReason : std::uint8_t {
  kernel_default,           ///< Kconfig
  command_line,             ///< iommu.passthrough or iommu.strict
  intel_iommu_strict,       ///< the driver's own word on the command line
  amd_iommu_fullflush,      ///< likewise
  s390_iommu_strict,        ///< likewise
  intel_caching_mode,       ///< VT-d caching mode without first level: strict for the whole system
  amd_np_cache,             ///< AMD NpCache: strict for the whole system
  untrusted_device,         ///< external-facing PCI port: strict, and bounce buffers for unaligned parts
  driver_wants_identity,    ///< PASID-capable device behind AMD-Vi; a driver's quirk
  hardware_no_passthrough,  ///< VT-d in 7.2 without the pass-through capability
  no_deferred_flush,        ///< the driver or the device cannot be flushed lazily
  memory_encryption,        ///< overrides a Kconfig default of passthrough
  s390_own_dma_code,        ///< before 6.7 s390 had no default domains
  sysfs,                    ///< DMA-FQ written to the group's `type`
};

/// What a kernel can do, as plain values.
struct DomainKernel {
  bool default_passthrough = false;  ///< CONFIG_IOMMU_DEFAULT_PASSTHROUGH
  bool lazy_x86 = true;              ///< CONFIG_IOMMU_DEFAULT_DMA_LAZY is the default on x86 ...
  bool lazy_arm64 = false;
  bool lazy_s390 = true;                ///< ... and on s390, since it has default domains
  bool first_level_may_be_lazy = true;  ///< caching mode does not force strict on first-level domains (6.3, 6.1.y)
  bool virtio_deferred_flush = true;    ///< virtio-iommu accepts DMA_FQ (6.8)
  bool virtio_shadow_on_flush = false;  ///< virtio-iommu asks for the single queue: proposed in 2023, not merged
  bool s390_dma_iommu = true;           ///< s390 uses the common DMA layer (6.7), and with it the single queue
  bool intel_checks_passthrough = false;  ///< no identity domain without the capability (7.2)
};
inline constexpr DomainKernel domain_linux_6_1{.virtio_deferred_flush = false, .s390_dma_iommu = false};
inline constexpr DomainKernel domain_linux_6_1_early{// 6.1 before the first-level exemption was backported
                                                     .first_level_may_be_lazy = false,
                                                     .virtio_deferred_flush = false,
                                                     .s390_dma_iommu = false};
inline constexpr DomainKernel domain_linux_6_12{};
inline constexpr DomainKernel domain_linux_7_2{.intel_checks_passthrough = true};

/// The words of the kernel command line that matter here.
struct DomainCommandLine {
  std::optional<bool> passthrough;  ///< iommu.passthrough=; on x86 also iommu=pt and iommu=nopt
  std::optional<bool> strict;       ///< iommu.strict=
  bool intel_strict = false;        ///< intel_iommu=strict
  bool amd_fullflush = false;       ///< amd_iommu=fullflush
  bool s390_strict = false;         ///< s390_iommu=strict
  bool force_dac = false;           ///< iommu.forcedac=1; for DmaIovaLimits
  std::uint64_t s390_aperture = 1;  ///< s390_iommu_aperture=: times main memory; 0 is without limit

  bool operator==(const DomainCommandLine&) const = default;
};
/// Takes the words it knows, the last of a kind wins; leaves all others alone, and values the kernel would refuse.
DomainCommandLine parse_domain_command_line(std::string_view text);

/// The IOMMU as the guest sees it.
struct DomainIommu {
  IommuFamily driver = IommuFamily::intel;
  Architecture architecture = Architecture::x86;
  bool caching_mode = false;         ///< VT-d CAP.CM of any unit
  bool first_level_default = false;  ///< VT-d: DMA domains use first-level tables
  bool passthrough_capable = true;   ///< VT-d ECAP.PT
  bool np_cache = false;             ///< AMD-Vi NpCache of any unit
  bool tlb_refresh = false;          ///< s390: the hypervisor shadows (z/VM, KVM)
  bool memory_encryption = false;    ///< SME, SEV or SNP is active
};

struct DomainDevice {
  bool untrusted = false;
  bool pasid_capable = false;   ///< PASID and PRI: GPUs
  bool identity_quirk = false;  ///< VT-d: some Azalia and graphics devices; SMMUv3: one trace device
  bool ism = false;             ///< s390: an ISM function
};

struct DomainDecision {
  DomainType type = DomainType::dma;
  UnmapFlush flush = UnmapFlush::strict;
  DomainReason reason = DomainReason::kernel_default;

  bool operator==(const DomainDecision&) const = default;
};

/// The domain the device gets at boot.
DomainDecision choose_domain(const DomainKernel& kernel, const DomainCommandLine& command_line,
                             const DomainIommu& iommu, const DomainDevice& device);

/// What writing DMA-FQ to the group's sysfs `type` makes of `current`, with the driver bound. A strict DMA domain
/// becomes lazy, and nothing asks why it was strict; any other domain stays. Common DMA layer only.
DomainDecision switch_to_flush_queue(const DomainKernel& kernel, const DomainIommu& iommu,
                                     const DomainDecision& current);

/// The kernel's own line for the decision, as dmesg shows it; empty where it logs none or one with arguments.
std::string_view log_line(const DomainDecision& decision);

}  // namespace gnomon::guest
