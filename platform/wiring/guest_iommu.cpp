// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/guest_iommu.hpp"

#include "guest/amd_iommu/instance.hpp"
#include "guest/arm_smmu_v3/instance.hpp"
#include "guest/intel_iommu/instance.hpp"
#include "guest/tegra_smmu/instance.hpp"
#include "guest/virtio_iommu/driver.hpp"
#include "models/hypervisor/core/amdvi_device.hpp"
#include "platform/wiring/plain_iommu.hpp"
#include "platform/wiring/s390_pci.hpp"

namespace gnomon::wiring {

using scenario::IommuKind;

namespace {

class VirtioIommu final : public GuestIommu {
 public:
  explicit VirtioIommu(const GuestIommuParts& p)
      : layout_(virtio::SplitQueueLayout::contiguous(p.pages.allocate(std::uint64_t{64} * queue_size(p)), queue_size(p))),
        ring_(p.ram, layout_, pool(p), {vmm(p).indirect, vmm(p).event_idx, false}),
        queue_(ring_, p.ram, p.monitor, p.locks.add("viommu_request", guest(p).spinlock, p.configuration.machine.lock),
               p.ram.to_hpa(layout_.used_index()), {iommu_window, guest(p).report_request_errors}),
        instance_(queue_, {guest(p).sync_map, p.configuration.faults.driver},
                  guest::PageSizeBitmap{p.configuration.iommu_page_sizes}) {}

  guest::IommuInstance& instance() override { return instance_; }
  const virtio::SplitQueueLayout* request_queue() const override { return &layout_; }
  std::uint64_t in_flight() const override { return ring_.in_flight(); }

 private:
  static const hypervisor::HypervisorConfig& vmm(const GuestIommuParts& p) { return p.configuration.vmm; }
  static const scenario::GuestConfiguration& guest(const GuestIommuParts& p) { return p.configuration.guest; }
  static std::uint16_t queue_size(const GuestIommuParts& p) { return vmm(p).request_queue_size; }
  static guest::RequestPool pool(const GuestIommuParts& p) {
    guest::RequestPool pool;
    pool.readable_bytes = virtio_iommu::max_readable_bytes;
    pool.writable_bytes = sizeof(virtio_iommu::Tail);
    pool.base = p.pages.allocate(pool.bytes(queue_size(p)));
    return pool;
  }

  virtio::SplitQueueLayout layout_;
  guest::VirtqueueDriver ring_;
  guest::ViommuRequestQueue queue_;
  guest::ViommuInstance instance_;
};

/// An IOMMU whose driver needs nothing of the wiring beyond its instance.
class SomeIommu final : public GuestIommu {
 public:
  explicit SomeIommu(std::unique_ptr<guest::IommuInstance> instance) : instance_(std::move(instance)) {}
  guest::IommuInstance& instance() override { return *instance_; }

 private:
  std::unique_ptr<guest::IommuInstance> instance_;
};

std::unique_ptr<GuestIommu> amd_iommu(const GuestIommuParts& p) {
  const scenario::Configuration& c = p.configuration;
  const LockKind kind = c.guest.spinlock;
  const LockCosts costs = c.machine.lock;
  guest::AmdIommuOptions options;
  options.registers = iommu_window;
  // Hardware does not cache entries that are not present; QEMU says that it does.
  const bool emulated = c.hypervisor != scenario::HypervisorKind::none;
  options.capability = amdvi::encode(emulated ? hypervisor::AmdviDevice::capability() : amdvi::Capability{});
  options.driver = c.guest.amd;
  options.driver.faults = c.faults.amd_driver;
  return std::make_unique<SomeIommu>(std::make_unique<guest::AmdIommuInstance>(
      guest::AmdIommuParts{p.kernel_memory, p.monitor, p.locks.add("amd_iommu", kind, costs),
                           [&locks = p.locks, kind, costs] { return locks.make("amd_domain", kind, costs); }},
      options));
}

std::unique_ptr<GuestIommu> intel_iommu(const GuestIommuParts& p) {
  const scenario::Configuration& c = p.configuration;
  const LockKind kind = c.guest.spinlock;
  const LockCosts costs = c.machine.lock;
  guest::IntelIommuOptions options;
  options.registers = iommu_window;
  options.registers_trap = c.hypervisor != scenario::HypervisorKind::none;
  options.scalable_mode = c.guest.intel_scalable;
  options.driver = c.guest.intel;
  options.driver.faults = c.faults.intel_driver;
  return std::make_unique<SomeIommu>(std::make_unique<guest::IntelIommuInstance>(
      guest::IntelIommuParts{p.kernel_memory, p.monitor, p.locks.add("intel_qi", kind, costs),
                             [&locks = p.locks, kind, costs] { return locks.make("intel_domain", kind, costs); },
                             p.store_trap},
      options));
}

std::unique_ptr<GuestIommu> tegra_smmu(const GuestIommuParts& p) {
  const scenario::Configuration& c = p.configuration;
  const guest::TegraSmmuOptions options{iommu_window, c.machine.tegra_soc, c.guest.tegra_flush, c.machine.tegra_smmu,
                                        c.faults.tegra_driver};
  return std::make_unique<SomeIommu>(std::make_unique<guest::TegraSmmuInstance>(p.kernel_memory, options));
}

std::unique_ptr<GuestIommu> smmuv3(const GuestIommuParts& p) {
  guest::SmmuOptions options;
  options.registers = iommu_window;
  options.driver = p.configuration.guest.smmu;
  options.driver.faults = p.configuration.faults.smmu_driver;
  return std::make_unique<SomeIommu>(
      std::make_unique<guest::Smmuv3Instance>(guest::SmmuParts{p.kernel_memory, p.monitor}, options));
}

}  // namespace

std::unique_ptr<GuestIommu> make_guest_iommu(const GuestIommuParts& parts) {
  switch (parts.configuration.iommu) {
    case IommuKind::virtio_iommu: return std::make_unique<VirtioIommu>(parts);
    case IommuKind::amd_iommu: return amd_iommu(parts);
    case IommuKind::plain: return std::make_unique<SomeIommu>(make_plain_iommu(parts.configuration.guest));
    case IommuKind::intel_iommu: return intel_iommu(parts);
    case IommuKind::tegra_smmu: return tegra_smmu(parts);
    case IommuKind::s390_pci:
      return std::make_unique<SomeIommu>(make_s390_iommu(parts.configuration, parts.kernel_memory, parts.instructions));
    case IommuKind::smmuv3: return smmuv3(parts);
    case IommuKind::none: break;
  }
  return nullptr;
}

}  // namespace gnomon::wiring
