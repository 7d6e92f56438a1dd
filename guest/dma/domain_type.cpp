// SPDX-License-Identifier: Apache-2.0
// Choice of the default domain: command line, strictness of the system, wishes of the driver.
#include "guest/dma/domain_type.hpp"

#include <algorithm>

namespace gnomon::guest {

namespace {

std::optional<bool> kernel_bool(std::string_view value) {  // kstrtobool, as far as all versions agree
  if (value.empty()) return std::nullopt;
  switch (value[0]) {
    case 'y':
    case 'Y':
    case '1': return true;
    case 'n':
    case 'N':
    case '0': return false;
    case 'o':
    case 'O': break;
    default: return std::nullopt;
  }
  if (value.size() < 2) return std::nullopt;
  if (value[1] == 'n' || value[1] == 'N') return true;
  if (value[1] == 'f' || value[1] == 'F') return false;
  return std::nullopt;
}

/// Of kstrtoul what anybody writes there: decimal digits, few enough.
std::optional<std::uint64_t> kernel_number(std::string_view value) {
  constexpr std::size_t most_digits = 6;
  if (value.empty() || value.size() > most_digits) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return number;
}

template <class F>
void for_each_part(std::string_view text, std::string_view separators, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    if (end != 0) f(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void take_word(std::string_view word, DomainCommandLine& line) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  if (key == "iommu.passthrough") {
    if (const auto on = kernel_bool(value)) line.passthrough = on;
  } else if (key == "iommu.strict") {
    if (const auto on = kernel_bool(value)) line.strict = on;
  } else if (key == "iommu.forcedac") {
    line.force_dac = kernel_bool(value).value_or(line.force_dac);
  } else if (key == "s390_iommu_aperture") {
    line.s390_aperture = kernel_number(value).value_or(line.s390_aperture);
  } else {
    for_each_part(value, ",", [&](std::string_view option) {
      if (key == "intel_iommu" && option == "strict") line.intel_strict = true;
      if (key == "amd_iommu" && option == "fullflush") line.amd_fullflush = true;
      if (key == "s390_iommu" && option == "strict") line.s390_strict = true;
      if (key == "iommu" && option == "pt") line.passthrough = true;
      if (key == "iommu" && option == "nopt") line.passthrough = false;
    });
  }
}

bool lazy_by_default(const DomainKernel& kernel, Architecture architecture) {
  switch (architecture) {
    case Architecture::x86: return kernel.lazy_x86;
    case Architecture::arm64: return kernel.lazy_arm64;
    case Architecture::s390: return kernel.lazy_s390;
  }
  return false;
}

struct Strictness {
  bool strict;
  DomainReason reason;
};

// A driver that calls iommu_set_dma_strict() wins over iommu.strict=0.
Strictness system_strictness(const DomainKernel& kernel, const DomainCommandLine& line, const DomainIommu& iommu) {
  if (iommu.driver == IommuFamily::intel && iommu.caching_mode &&
      !(iommu.first_level_default && kernel.first_level_may_be_lazy)) {
    return {true, DomainReason::intel_caching_mode};
  }
  if (iommu.driver == IommuFamily::amd && iommu.np_cache) return {true, DomainReason::amd_np_cache};
  // Early parameters: both x86 drivers are built in, and each takes its word whatever IOMMU there is.
  const bool x86 = iommu.architecture == Architecture::x86;
  if (x86 && line.intel_strict) return {true, DomainReason::intel_iommu_strict};
  if (x86 && line.amd_fullflush) return {true, DomainReason::amd_iommu_fullflush};
  if (iommu.architecture == Architecture::s390 && line.s390_strict) return {true, DomainReason::s390_iommu_strict};
  if (line.strict) return {*line.strict, DomainReason::command_line};
  return {!lazy_by_default(kernel, iommu.architecture), DomainReason::kernel_default};
}

bool wants_identity(const DomainIommu& iommu, const DomainDevice& device) {
  switch (iommu.driver) {
    case IommuFamily::amd: return device.pasid_capable && !iommu.memory_encryption;
    case IommuFamily::intel:
    case IommuFamily::smmuv3: return device.identity_quirk;
    case IommuFamily::virtio:
    case IommuFamily::tegra:
    case IommuFamily::s390: return false;
  }
  return false;
}

bool can_defer_flush(const DomainKernel& kernel, const DomainIommu& iommu, const DomainDevice& device) {
  switch (iommu.driver) {
    case IommuFamily::virtio: return kernel.virtio_deferred_flush;
    case IommuFamily::s390: return !device.ism;
    case IommuFamily::tegra: return false;  // never offers DOMAIN_DMA_FQ: it invalidates within each unmap
    case IommuFamily::intel:
    case IommuFamily::amd:
    case IommuFamily::smmuv3: return true;
  }
  return true;
}

// dev->iommu->shadow_on_flush: a flush makes the hypervisor rebuild its shadow, so flush rarely.
UnmapFlush queue_kind(const DomainKernel& kernel, const DomainIommu& iommu) {
  const bool shadow_on_flush = (iommu.driver == IommuFamily::s390 && iommu.tlb_refresh) ||
                               (iommu.driver == IommuFamily::virtio && kernel.virtio_shadow_on_flush);
  return shadow_on_flush ? UnmapFlush::single_queue : UnmapFlush::per_cpu_queue;
}

}  // namespace

DomainCommandLine parse_domain_command_line(std::string_view text) {
  DomainCommandLine line;
  for_each_part(text, " \t\n", [&line](std::string_view word) { take_word(word, line); });
  return line;
}

DomainDecision choose_domain(const DomainKernel& kernel, const DomainCommandLine& line, const DomainIommu& iommu,
                             const DomainDevice& device) {
  if (iommu.driver == IommuFamily::s390 && !kernel.s390_dma_iommu) {  // knows its own word only
    if (line.s390_strict) return {DomainType::dma, UnmapFlush::strict, DomainReason::s390_iommu_strict};
    return {DomainType::dma, UnmapFlush::allocator_wrap, DomainReason::s390_own_dma_code};
  }
  if (device.untrusted) return {DomainType::dma, UnmapFlush::strict, DomainReason::untrusted_device};
  if (iommu.driver == IommuFamily::intel && kernel.intel_checks_passthrough && !iommu.passthrough_capable) {
    return {DomainType::dma, UnmapFlush::strict, DomainReason::hardware_no_passthrough};
  }
  if (wants_identity(iommu, device)) {
    return {DomainType::identity, UnmapFlush::none, DomainReason::driver_wants_identity};
  }
  // Encrypted memory needs translation, unless the command line insists.
  const bool kconfig_passthrough = kernel.default_passthrough && !iommu.memory_encryption;
  if (line.passthrough.value_or(kconfig_passthrough)) {
    return {DomainType::identity, UnmapFlush::none,
            line.passthrough ? DomainReason::command_line : DomainReason::kernel_default};
  }
  Strictness system = system_strictness(kernel, line, iommu);
  if (system.reason == DomainReason::kernel_default && kernel.default_passthrough && !line.passthrough) {
    system.reason = DomainReason::memory_encryption;
  }
  if (system.strict) return {DomainType::dma, UnmapFlush::strict, system.reason};
  if (!can_defer_flush(kernel, iommu, device)) {
    return {DomainType::dma, UnmapFlush::strict, DomainReason::no_deferred_flush};
  }
  return {DomainType::dma_fq, queue_kind(kernel, iommu), system.reason};
}

DomainDecision switch_to_flush_queue(const DomainKernel& kernel, const DomainIommu& iommu,
                                     const DomainDecision& current) {
  const bool own_dma_code = iommu.driver == IommuFamily::s390 && !kernel.s390_dma_iommu;
  if (current.type != DomainType::dma || own_dma_code) return current;
  return {DomainType::dma_fq, queue_kind(kernel, iommu), DomainReason::sysfs};
}

std::string_view log_line(const DomainDecision& decision) {
  const bool identity = decision.type == DomainType::identity;
  const bool lazy = decision.type == DomainType::dma_fq;
  switch (decision.reason) {
    case DomainReason::kernel_default:
      return identity ? "iommu: Default domain type: Passthrough"
             : lazy   ? "iommu: DMA domain TLB invalidation policy: lazy mode"
                      : "iommu: DMA domain TLB invalidation policy: strict mode";
    case DomainReason::command_line:
      return identity ? "iommu: Default domain type: Passthrough (set via kernel command line)"
             : lazy   ? "iommu: DMA domain TLB invalidation policy: lazy mode (set via kernel command line)"
                      : "iommu: DMA domain TLB invalidation policy: strict mode (set via kernel command line)";
    case DomainReason::intel_iommu_strict: return "DMAR: intel_iommu=strict deprecated; use iommu.strict=1 instead";
    case DomainReason::amd_iommu_fullflush:
      return "AMD-Vi: amd_iommu=fullflush deprecated; use iommu.strict=1 instead";
    case DomainReason::intel_caching_mode: return "DMAR: IOMMU batching disallowed due to virtualization";
    case DomainReason::amd_np_cache: return "AMD-Vi: Using strict mode due to virtualization";
    case DomainReason::s390_iommu_strict:
    case DomainReason::memory_encryption:
    case DomainReason::untrusted_device:
    case DomainReason::driver_wants_identity:
    case DomainReason::hardware_no_passthrough:
    case DomainReason::no_deferred_flush:
    case DomainReason::s390_own_dma_code:
    case DomainReason::sysfs: break;
  }
  return {};
}

}  // namespace gnomon::guest
