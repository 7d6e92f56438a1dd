// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/guest_iommu.hpp"

#include "guest/virtio_iommu/driver.hpp"

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

}  // namespace

std::unique_ptr<GuestIommu> make_guest_iommu(const GuestIommuParts& parts) {
  switch (parts.configuration.iommu) {
    case IommuKind::virtio_iommu: return std::make_unique<VirtioIommu>(parts);
    case IommuKind::none:
    case IommuKind::intel_iommu:
    case IommuKind::amd_iommu:
    case IommuKind::smmuv3:
    case IommuKind::tegra_smmu:
    case IommuKind::s390_pci: break;
  }
  return nullptr;
}

}  // namespace gnomon::wiring
