// SPDX-License-Identifier: Apache-2.0
#include "guest/s390_pci/instance.hpp"

#include <cerrno>

namespace gnomon::guest {

S390Function s390_function(const S390FunctionInfo& info, const S390IommuOptions& options) {
  return {info.source, info.handle, s390_pci::tlb_refresh(info.group_flags),
          s390_aperture(options.memory_bytes, options.aperture, info.window)};
}

S390IommuInstance::S390IommuInstance(KernelMemory& memory, PciInstructionPort& instructions,
                                     const S390IommuOptions& options,
                                     const std::vector<S390FunctionInfo>& functions)
    : memory_(memory), instructions_(instructions), options_(options) {
  for (const S390FunctionInfo& info : functions) functions_.push_back({s390_function(info, options), nullptr});
}

std::unique_ptr<IommuDriver> S390IommuInstance::make_domain(Cpu& cpu, std::uint32_t id) {
  cpu.work(cpu.costs().table_page);
  return std::make_unique<S390Domain>(memory_, instructions_, id, options_.faults);
}

int S390IommuInstance::attach(Cpu& cpu, IommuDriver& domain, SourceId device) {
  auto& joined = static_cast<S390Domain&>(domain);
  for (Attached& attached : functions_) {
    if (attached.function.source != device) continue;
    if (attached.domain == &joined) return 0;
    if (attached.domain != nullptr) attached.domain->detach(cpu, device);
    attached.domain = nullptr;
    const int error = joined.attach(cpu, attached.function);
    if (error == 0) attached.domain = &joined;
    return error;
  }
  return ENODEV;
}

const S390Function* S390IommuInstance::function(SourceId device) const {
  for (const Attached& attached : functions_) {
    if (attached.function.source == device) return &attached.function;
  }
  return nullptr;
}

}  // namespace gnomon::guest
