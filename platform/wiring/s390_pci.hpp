// SPDX-License-Identifier: Apache-2.0
// The PCI functions of an s390 machine: what CLP says of the devices, and the guest's drivers over them.
#pragma once

#include <memory>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "guest/s390_pci/instance.hpp"
#include "models/cpu/core/pci_instruction_port.hpp"
#include "platform/scenario/configuration.hpp"
#include "platform/wiring/lock_table.hpp"

namespace gnomon::wiring {

/// The handle of a device's function, by its requester id.
constexpr s390_pci::FunctionHandle function_handle(SourceId source) {
  return {s390_pci::handle_enabled | (std::uint32_t{source.value} >> 8)};
}

/// Hands instructions on to whoever carries them out, known once the machine around the processors is there.
class LatePciInstructions final : public PciInstructionPort {
 public:
  PciInstructionPort* to = nullptr;

  Result rpcit(Processor& processor, std::uint64_t function, Iova address, std::uint64_t bytes) override {
    return to->rpcit(processor, function, address, bytes);
  }
  Result register_translation(Processor& processor, std::uint64_t function, Iova first, Iova last,
                              std::uint64_t iota) override {
    return to->register_translation(processor, function, first, last, iota);
  }
  Result deregister_translation(Processor& processor, std::uint64_t function) override {
    return to->deregister_translation(processor, function);
  }
};

/// What the guest's CLP says of a device's function. tlb_refresh is set where a hypervisor shadows its tables.
guest::S390FunctionInfo s390_function_info(const scenario::Configuration& configuration, SourceId source);
guest::S390IommuOptions s390_options(const scenario::Configuration& configuration);

/// The IOMMU driver since 6.7.
std::unique_ptr<guest::IommuInstance> make_s390_iommu(const scenario::Configuration& configuration,
                                                      guest::KernelMemory& memory,
                                                      PciInstructionPort& instructions);

inline constexpr const char* s390_bitmap_lock = "s390_iommu_bitmap";
inline constexpr const char* s390_table_lock = "s390_dma_table";

/// A function's DMA operations before 6.7, its table registered. `locks` gets the two it takes, and outlives it.
/// Throws std::runtime_error where the registration fails.
std::unique_ptr<guest::DmaDevice> make_s390_own_dma(const scenario::Configuration& configuration, guest::Cpu& cpu,
                                                    guest::KernelMemory& memory, PciInstructionPort& instructions,
                                                    unsigned device, LockTable& names, std::vector<Lock>& locks);

}  // namespace gnomon::wiring
