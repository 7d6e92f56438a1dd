// SPDX-License-Identifier: Apache-2.0
// Choice of the default domain: the table of drivers, environments and command lines.
#include "guest/dma/domain_type.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace gnomon::guest {
namespace {

constexpr DomainDecision strict(DomainReason reason) {
  return {DomainType::dma, UnmapFlush::strict, reason};
}
constexpr DomainDecision lazy(DomainReason reason, UnmapFlush flush = UnmapFlush::per_cpu_queue) {
  return {DomainType::dma_fq, flush, reason};
}
constexpr DomainDecision identity(DomainReason reason) {
  return {DomainType::identity, UnmapFlush::none, reason};
}

constexpr DomainKernel rfc_single_queue = [] {  // the proposal of 2023 on top of 6.12
  DomainKernel kernel;
  kernel.virtio_shadow_on_flush = true;
  return kernel;
}();

constexpr DomainIommu intel(bool caching_mode, bool first_level) {
  return {.driver = IommuFamily::intel, .caching_mode = caching_mode, .first_level_default = first_level};
}
constexpr DomainIommu amd(bool np_cache) {
  return {.driver = IommuFamily::amd, .np_cache = np_cache};
}
constexpr DomainIommu virtio(Architecture architecture) {
  return {.driver = IommuFamily::virtio, .architecture = architecture};
}
constexpr DomainIommu s390(bool tlb_refresh) {
  return {.driver = IommuFamily::s390, .architecture = Architecture::s390, .tlb_refresh = tlb_refresh};
}
constexpr DomainIommu smmuv3{.driver = IommuFamily::smmuv3, .architecture = Architecture::arm64};

constexpr DomainDevice plain{};
constexpr DomainDevice gpu{.pasid_capable = true};
constexpr DomainDevice ism{.ism = true};
constexpr DomainDevice untrusted{.untrusted = true};

struct Row {
  std::string name;
  std::vector<DomainKernel> kernels;
  std::vector<std::string> command_lines;
  DomainIommu iommu;
  DomainDevice device;
  DomainDecision expected;
};

const std::vector<DomainKernel> every_kernel{domain_linux_6_1_early, domain_linux_6_1, domain_linux_6_12,
                                             domain_linux_7_2};
const std::vector<DomainKernel> since_6_8{domain_linux_6_12, domain_linux_7_2};
const std::vector<std::string> strict_or_not{"", "quiet iommu.strict=0", "iommu.strict=1"};

using enum DomainReason;
constexpr auto single = UnmapFlush::single_queue;
constexpr auto x86 = Architecture::x86;
constexpr auto arm64 = Architecture::arm64;

const std::vector<Row> table{
    {"Intel, bare metal", every_kernel, {""}, intel(false, false), plain, lazy(kernel_default)},
    {"Intel, bare metal, first level", every_kernel, {""}, intel(false, true), plain, lazy(kernel_default)},
    {"Intel, bare metal, lazy", every_kernel, {"iommu.strict=0"}, intel(false, false), plain, lazy(command_line)},
    {"Intel, bare metal, strict",
     every_kernel,
     {"iommu.strict=1"},
     intel(false, false),
     plain,
     strict(command_line)},
    {"Intel, bare metal, own word",
     every_kernel,
     {"intel_iommu=on,strict", "intel_iommu=strict iommu.strict=0"},
     intel(false, false),
     plain,
     strict(intel_iommu_strict)},
    {"Intel, VM, second level", every_kernel, strict_or_not, intel(true, false), plain, strict(intel_caching_mode)},
    {"Intel, VM, first level, before the exemption",
     {domain_linux_6_1_early},
     strict_or_not,
     intel(true, true),
     plain,
     strict(intel_caching_mode)},
    {"Intel, VM, first level",
     {domain_linux_6_1, domain_linux_6_12, domain_linux_7_2},
     {""},
     intel(true, true),
     plain,
     lazy(kernel_default)},
    {"Intel, VM, first level, strict",
     {domain_linux_6_1, domain_linux_6_12, domain_linux_7_2},
     {"iommu.strict=1"},
     intel(true, true),
     plain,
     strict(command_line)},
    {"Intel, VM, emulated devices only", every_kernel, {""}, intel(false, false), plain, lazy(kernel_default)},
    {"AMD, bare metal", every_kernel, {""}, amd(false), plain, lazy(kernel_default)},
    {"AMD, bare metal, strict", every_kernel, {"iommu.strict=1"}, amd(false), plain, strict(command_line)},
    {"AMD, bare metal, own word",
     every_kernel,
     {"amd_iommu=fullflush"},
     amd(false),
     plain,
     strict(amd_iommu_fullflush)},
    {"AMD, VM", every_kernel, strict_or_not, amd(true), plain, strict(amd_np_cache)},
    {"AMD, PASID-capable device", every_kernel, {""}, amd(false), gpu, identity(driver_wants_identity)},
    {"virtio, 6.1", {domain_linux_6_1}, {"", "iommu.strict=0"}, virtio(x86), plain, strict(no_deferred_flush)},
    {"virtio, 6.1, strict", {domain_linux_6_1}, {"iommu.strict=1"}, virtio(x86), plain, strict(command_line)},
    {"virtio, x86", since_6_8, {""}, virtio(x86), plain, lazy(kernel_default)},
    {"virtio, arm64", since_6_8, {""}, virtio(arm64), plain, strict(kernel_default)},
    {"virtio, arm64, lazy", since_6_8, {"iommu.strict=0"}, virtio(arm64), plain, lazy(command_line)},
    {"virtio, strict", since_6_8, {"iommu.strict=1"}, virtio(x86), plain, strict(command_line)},
    {"virtio, proposal of 2023", {rfc_single_queue}, {""}, virtio(x86), plain, lazy(kernel_default, single)},
    {"s390, LPAR", since_6_8, {""}, s390(false), plain, lazy(kernel_default)},
    {"s390, z/VM or KVM", since_6_8, {""}, s390(true), plain, lazy(kernel_default, single)},
    {"s390, strict", since_6_8, {"iommu.strict=1"}, s390(true), plain, strict(command_line)},
    {"s390, own word", since_6_8, {"s390_iommu=strict"}, s390(false), plain, strict(s390_iommu_strict)},
    {"s390, ISM", since_6_8, {""}, s390(false), ism, strict(no_deferred_flush)},
    {"s390, ISM in a VM", since_6_8, {""}, s390(true), ism, strict(no_deferred_flush)},
    {"s390, own DMA code",
     {domain_linux_6_1},
     {"", "iommu.passthrough=1"},
     s390(true),
     plain,
     {DomainType::dma, UnmapFlush::allocator_wrap, s390_own_dma_code}},
    {"s390, own DMA code, own word",
     {domain_linux_6_1},
     {"s390_iommu=strict"},
     s390(true),
     plain,
     strict(s390_iommu_strict)},
    {"SMMUv3", every_kernel, {""}, smmuv3, plain, strict(kernel_default)},
    {"SMMUv3, lazy", every_kernel, {"iommu.strict=0"}, smmuv3, plain, lazy(command_line)},
    {"SMMUv3 does not know x86's words",
     every_kernel,
     {"iommu.strict=0 intel_iommu=strict amd_iommu=fullflush"},
     smmuv3,
     plain,
     lazy(command_line)},
    {"untrusted, Intel",
     every_kernel,
     {"", "iommu.passthrough=1", "iommu.strict=0"},
     intel(false, false),
     untrusted,
     strict(untrusted_device)},
    {"untrusted, AMD", every_kernel, {"iommu.passthrough=1"}, amd(false), untrusted, strict(untrusted_device)},
    {"passthrough, Intel",
     every_kernel,
     {"iommu.passthrough=1", "iommu=pt", "iommu=nopt iommu=pt"},
     intel(true, false),
     plain,
     identity(command_line)},
    {"passthrough, AMD", every_kernel, {"iommu.passthrough=on"}, amd(true), plain, identity(command_line)},
    {"passthrough, virtio", every_kernel, {"iommu.passthrough=1"}, virtio(x86), plain, identity(command_line)},
    {"passthrough, s390", since_6_8, {"iommu.passthrough=1"}, s390(true), plain, identity(command_line)},
    {"passthrough, SMMUv3", every_kernel, {"iommu.passthrough=y"}, smmuv3, plain, identity(command_line)},
};

TEST_CASE("Every row of the decision table", "[domain]") {
  for (const Row& row : table) {
    for (const DomainKernel& kernel : row.kernels) {
      for (const std::string& text : row.command_lines) {
        INFO(row.name << " with \"" << text << "\"");
        const auto got = choose_domain(kernel, parse_domain_command_line(text), row.iommu, row.device);
        CHECK(static_cast<int>(got.type) == static_cast<int>(row.expected.type));
        CHECK(static_cast<int>(got.flush) == static_cast<int>(row.expected.flush));
        CHECK(static_cast<int>(got.reason) == static_cast<int>(row.expected.reason));
      }
    }
  }
}

TEST_CASE("VT-d without the pass-through capability: 7.2 refuses identity, 6.12 does not ask", "[domain]") {
  DomainIommu iommu = intel(false, false);
  iommu.passthrough_capable = false;
  const auto line = parse_domain_command_line("iommu.passthrough=1");
  CHECK(choose_domain(domain_linux_7_2, line, iommu, plain) == strict(hardware_no_passthrough));
  CHECK(choose_domain(domain_linux_6_12, line, iommu, plain) == identity(command_line));
}

TEST_CASE("Memory encryption overrides the built-in default, not the command line", "[domain]") {
  DomainKernel kernel = domain_linux_6_12;
  kernel.default_passthrough = true;
  DomainIommu iommu = amd(false);
  CHECK(choose_domain(kernel, {}, iommu, plain) == identity(kernel_default));
  iommu.memory_encryption = true;
  CHECK(choose_domain(kernel, {}, iommu, plain) == lazy(memory_encryption));
  CHECK(choose_domain(kernel, parse_domain_command_line("iommu.passthrough=1"), iommu, plain) ==
        identity(command_line));
  CHECK(choose_domain(kernel, {}, iommu, gpu) == lazy(memory_encryption));  // no identity for it either
}

TEST_CASE("Writing DMA-FQ to sysfs does not ask why the domain was strict", "[domain]") {
  const auto forced = choose_domain(domain_linux_6_12, {}, intel(true, false), plain);
  REQUIRE(forced == strict(intel_caching_mode));
  CHECK(switch_to_flush_queue(domain_linux_6_12, intel(true, false), forced) == lazy(sysfs));
  CHECK(switch_to_flush_queue(domain_linux_6_12, s390(true), strict(command_line)) == lazy(sysfs, single));
  CHECK(switch_to_flush_queue(domain_linux_6_1, virtio(x86), strict(no_deferred_flush)) == lazy(sysfs));
  CHECK(switch_to_flush_queue(domain_linux_6_12, amd(false), identity(command_line)) == identity(command_line));
  CHECK(switch_to_flush_queue(domain_linux_6_1, s390(true), strict(s390_iommu_strict)) ==
        strict(s390_iommu_strict));
}

TEST_CASE("The kernel's own lines", "[domain]") {
  CHECK(log_line(strict(intel_caching_mode)) == "DMAR: IOMMU batching disallowed due to virtualization");
  CHECK(log_line(strict(amd_np_cache)) == "AMD-Vi: Using strict mode due to virtualization");
  CHECK(log_line(lazy(kernel_default)) == "iommu: DMA domain TLB invalidation policy: lazy mode");
  CHECK(log_line(strict(command_line)) ==
        "iommu: DMA domain TLB invalidation policy: strict mode (set via kernel command line)");
  CHECK(log_line(identity(command_line)) ==
        "iommu: Default domain type: Passthrough (set via kernel command line)");
  CHECK(log_line(strict(untrusted_device)).empty());
}

TEST_CASE("Words of the command line", "[domain]") {
  const auto parse = parse_domain_command_line;
  CHECK(parse("") == DomainCommandLine{});
  CHECK(parse("  root=/dev/vda1  quiet iommu=soft strict ") == DomainCommandLine{});
  CHECK(parse("iommu.strict=0").strict == false);
  CHECK(parse("iommu.strict=0 iommu.strict=1").strict == true);
  CHECK(parse("iommu.strict=on").strict == true);
  CHECK(parse("iommu.strict=off").strict == false);
  CHECK(parse("iommu.strict=maybe").strict == std::nullopt);
  CHECK(parse("iommu.strict=").strict == std::nullopt);
  CHECK(parse("iommu.strict=o").strict == std::nullopt);
  CHECK(parse("iommu=pt").passthrough == true);
  CHECK(parse("iommu=pt,nopt").passthrough == false);
  CHECK(parse("intel_iommu=on,sm_on,strict").intel_strict);
  CHECK_FALSE(parse("intel_iommu=on,sm_on").intel_strict);
  CHECK_FALSE(parse("amd_iommu=strict").amd_fullflush);
  CHECK(parse("iommu.forcedac=1").force_dac);
}

}  // namespace
}  // namespace gnomon::guest
