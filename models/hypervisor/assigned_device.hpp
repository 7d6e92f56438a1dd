// SPDX-License-Identifier: Apache-2.0
// A device passed through with VFIO: its container, its host page table, and the ioctls the VMM issues on it.
#pragma once

#include "models/hypervisor/core/config.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/hypervisor/core/vfio_container.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

/// The vIOMMU's notifier of one device: a call is one ioctl, and takes the time of one.
class AssignedDevice final : public hypervisor::ShadowTarget, private hypervisor::IotlbSync {
 public:
  struct Host {
    PhysicalMemory& memory;
    PageAllocator& pages;
    GuestRam& ram;
    hypervisor::PinCounts& pins;
    hypervisor::HostIommu& iommu;
    const hypervisor::HypervisorCosts& costs;
    trace::Tracer& tracer;
  };

  /// `number` from 1: the domain of the physical IOMMU, and the container's number in the event stream.
  AssignedDevice(std::uint32_t number, SourceId source, const hypervisor::VfioConfig& config, const Host& host);

  SourceId source() const { return source_; }
  DomainId domain() const { return DomainId{static_cast<std::uint16_t>(number_)}; }
  hypervisor::HostTable& table() { return *table_; }

  /// The thread that runs the ioctls from now on; null: none runs, and no time passes (boot, teardown).
  void serve_on(Processor* core) { core_ = core; }

  bool map(Iova iova, Gpa gpa, std::uint64_t bytes, hypervisor::DmaAccess access) override;
  void unmap(Iova iova, std::uint64_t bytes) override;
  void set_bypass(bool on) override;
  void nest(Gpa root, unsigned levels) override;
  void block() override;
  void forward_invalidation(Iova iova, std::uint64_t bytes, bool leaf_only) override;
  bool bypass() const { return bypass_; }
  /// Maps all of guest memory, as VFIO does without a vIOMMU.
  void map_guest_memory();
  void close();

 private:
  void sync(const hypervisor::IotlbSyncRange& range) override;
  void spend(Time work);

  const std::uint32_t number_;
  const SourceId source_;
  Host host_;
  std::unique_ptr<hypervisor::HostTable> table_;
  hypervisor::VfioContainer container_;
  Processor* core_ = nullptr;
  bool bypass_ = false;  // all of guest memory is mapped
};

}  // namespace gnomon
