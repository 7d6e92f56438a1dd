// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/s390_pci.hpp"

#include <stdexcept>

#include "guest/s390_pci/own_dma.hpp"
#include "platform/wiring/guest_system.hpp"

namespace gnomon::wiring {

guest::S390FunctionInfo s390_function_info(const scenario::Configuration& configuration, SourceId source) {
  guest::S390FunctionInfo info;
  info.source = source;
  info.handle = function_handle(source);
  const bool shadowed = configuration.hypervisor != scenario::HypervisorKind::none;
  info.group_flags = shadowed ? s390_pci::group_refresh : std::uint8_t{0};
  return info;
}

guest::S390IommuOptions s390_options(const scenario::Configuration& configuration) {
  guest::S390IommuOptions options;
  options.memory_bytes = configuration.guest.memory;
  options.aperture = configuration.guest.s390_aperture;
  options.faults = configuration.faults.s390_driver;
  return options;
}

std::unique_ptr<guest::IommuInstance> make_s390_iommu(const scenario::Configuration& configuration,
                                                      guest::KernelMemory& memory,
                                                      PciInstructionPort& instructions) {
  std::vector<guest::S390FunctionInfo> functions;
  for (unsigned i = 0; i < configuration.devices.size(); ++i) {
    functions.push_back(s390_function_info(configuration, configuration.source_of(i)));
  }
  return std::make_unique<guest::S390IommuInstance>(memory, instructions, s390_options(configuration), functions);
}

std::unique_ptr<guest::DmaDevice> make_s390_own_dma(const scenario::Configuration& configuration, guest::Cpu& cpu,
                                                    guest::KernelMemory& memory, PciInstructionPort& instructions,
                                                    unsigned device, LockTable& names, std::vector<Lock>& locks) {
  const scenario::GuestConfiguration& g = configuration.guest;
  locks.reserve(2);
  locks.push_back(names.make(s390_bitmap_lock, g.spinlock, configuration.machine.lock));
  locks.push_back(names.make(s390_table_lock, g.spinlock, configuration.machine.lock));
  const guest::S390FunctionInfo info = s390_function_info(configuration, configuration.source_of(device));
  guest::S390OwnDmaOptions options;
  options.strict = !g.deferred;
  options.domain = device + 1;
  options.faults = configuration.faults.s390_own_dma;
  auto dma = std::make_unique<guest::S390OwnDma>(memory, instructions,
                                                 guest::s390_function(info, s390_options(configuration)),
                                                 guest::S390OwnDma::Locks{locks[0], locks[1]}, options);
  if (dma->enable(cpu) != 0) throw std::runtime_error("zpci: the function's translation cannot be registered");
  return dma;
}

}  // namespace gnomon::wiring
