// SPDX-License-Identifier: Apache-2.0
// KVM and its VMM on the host's cores: VM exits to user space, the vIOMMU's emulation, VFIO's shadow of it.
// Time is spent here; what a request or an ioctl does is the cores' (VirtioIommuDevice, VfioContainer).
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <functional>
#include <memory>
#include <unordered_set>
#include <vector>

#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/cpu/core/store_trap.hpp"
#include "models/fabric/payload.hpp"
#include "models/hypervisor/assigned_device.hpp"
#include "models/hypervisor/core/config.hpp"
#include "models/hypervisor/core/emulated_iommu.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/hypervisor/core/virtio_iommu_queue.hpp"
#include "models/hypervisor/s390_pci.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

/// What the hypervisor works on; all outlive it.
struct HypervisorParts {
  PhysicalMemory& memory;
  PageAllocator& host_pages;
  GuestRam& ram;
  LineMonitor& monitor;
  trace::Tracer& tracer;
};

class Hypervisor final : public sc_core::sc_module,
                         public StoreTrap,
                         private hypervisor::RegisterPort,
                         private hypervisor::VmmPort {
 public:
  tlm_utils::simple_target_socket<Hypervisor> trapped{"trapped"};  ///< MMIO that exits: the vIOMMU's registers
  tlm_utils::simple_initiator_socket<Hypervisor> iommu_registers{"iommu_registers"};  ///< of the physical IOMMU

  /// Makes the host's driver of the physical IOMMU over the port to its registers.
  using MakeHostIommu = std::function<std::unique_ptr<hypervisor::HostIommu>(hypervisor::RegisterPort&)>;

  Hypervisor(const sc_core::sc_module_name& name, const hypervisor::HypervisorConfig& config,
             const hypervisor::HypervisorCosts& costs, const HypervisorParts& parts, Lock& big_lock,
             const MakeHostIommu& make_host_iommu);

  /// Passes a device through, during elaboration. Its number is the order of the calls, from 0.
  AssignedDevice& assign(SourceId source);
  /// A virtio-iommu for the guest: its request queue in guest memory and its device.
  void add_viommu(const hypervisor::VirtioIommuDeviceConfig& device, const virtio::SplitQueueLayout& queue);

  /// An emulated hardware IOMMU for the guest, served within the exit under the big lock. All devices are behind it.
  void add_viommu(std::unique_ptr<hypervisor::EmulatedIommu> device);

  /// The PCI functions of an s390 guest, one an assigned device: `handle_of` is what CLP calls each. Returns how the
  /// guest's processors reach them.
  PciInstructionPort& add_s390_functions(const hypervisor::S390PciDeviceConfig& config,
                                         const std::function<s390_pci::FunctionHandle(SourceId)>& handle_of);

  /// The main loop's thread, for QueueService::ioeventfd: runs on `core`, for ever.
  void run_io_thread(Processor& core);
  /// Tears every container down, as the VMM's exit does. No time passes.
  void close();

  void stored(Processor& vcpu, Gpa address) override;

  std::uint64_t pins() const { return pins_.pins(); }

 private:
  /// The host's boot: the physical IOMMU is enabled and the devices bound to their containers. Without a vIOMMU, and
  /// without functions of s390, all of guest memory is mapped for each. No time passes.
  void start_of_simulation() override;
  void on_trapped(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void handle_kick(Processor& vcpu);
  void handle_register(Processor& vcpu, tlm::tlm_generic_payload& payload);
  void serve_commands(Processor& core);
  void serve_requests(Processor& core);
  void write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override;
  std::uint64_t read_entry(Gpa address) override;
  void look_up() override;
  void protect(Gpa page, bool on) override;
  void write_guest(Gpa address, std::uint64_t value, unsigned bytes) override;

  const hypervisor::HypervisorConfig config_;
  const hypervisor::HypervisorCosts costs_;
  HypervisorParts parts_;
  Lock& big_lock_;
  std::unique_ptr<hypervisor::HostIommu> host_iommu_;
  hypervisor::PinCounts pins_;
  std::vector<std::unique_ptr<AssignedDevice>> devices_;
  std::unique_ptr<hypervisor::VirtioIommuDevice> viommu_;
  std::unique_ptr<hypervisor::VirtqueueDevice> requests_;
  Hpa used_index_{};
  std::unique_ptr<hypervisor::EmulatedIommu> emulated_;
  std::unique_ptr<S390PciHypervisor> s390_;
  Processor* serving_ = nullptr;     // the thread inside the emulation
  std::unordered_set<std::uint64_t> protected_;  // guest pages whose stores exit
  std::uint64_t entries_read_ = 0;  // by the command in service
  Processor* io_thread_ = nullptr;
  bool io_thread_idle_ = false;
  bool signalled_ = false;
  Time signalled_at_;
  Transaction access_;
};

}  // namespace gnomon
