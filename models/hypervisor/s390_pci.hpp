// SPDX-License-Identifier: Apache-2.0
// The PCI instructions of an s390 guest as its hypervisor carries them out: an exit each, refreshes one at a time.
// Time is spent here; what an instruction does is S390PciDevice's.
#pragma once

#include <vector>

#include "models/cpu/core/lock.hpp"
#include "models/cpu/core/pci_instruction_port.hpp"
#include "models/hypervisor/assigned_device.hpp"
#include "models/hypervisor/core/config.hpp"
#include "models/hypervisor/core/s390_pci_device.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

class S390PciHypervisor final : public PciInstructionPort, private hypervisor::RefreshPort {
 public:
  /// `lock`: under which instructions are served (QEMU's big lock; z/VM serialises refreshes likewise). What is
  /// given must outlive the object.
  S390PciHypervisor(GuestRam& ram, const hypervisor::S390PciDeviceConfig& config,
                    const hypervisor::HypervisorCosts& costs, Lock& lock, trace::Tracer& tracer)
      : device_(ram, config), costs_(costs), lock_(lock), tracer_(tracer) {}

  /// Before the guest runs. `slots`: VfioConfig::dma_entry_limit of the device's container.
  void add_function(s390_pci::FunctionHandle handle, AssignedDevice& device, std::optional<std::uint32_t> slots) {
    device_.add_function(handle, device, slots);
    functions_.push_back({handle, &device});
  }

  Result rpcit(Processor& processor, std::uint64_t function, Iova address, std::uint64_t bytes) override;
  Result register_translation(Processor& processor, std::uint64_t function, Iova first, Iova last,
                              std::uint64_t iota) override;
  Result deregister_translation(Processor& processor, std::uint64_t function) override;

  const hypervisor::S390PciDevice& device() const { return device_; }

 private:
  struct Function {
    s390_pci::FunctionHandle handle;
    AssignedDevice* device;
  };

  template <class Serve>
  Result intercepted(Processor& vcpu, Serve serve);
  std::uint32_t domain_of(std::uint64_t function) const;
  void walked(std::uint64_t reads, std::uint64_t look_ups) override;

  hypervisor::S390PciDevice device_;
  const hypervisor::HypervisorCosts costs_;
  Lock& lock_;
  trace::Tracer& tracer_;
  std::vector<Function> functions_;
  Processor* serving_ = nullptr;  // the thread inside the emulation
};

}  // namespace gnomon
