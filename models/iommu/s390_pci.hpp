// SPDX-License-Identifier: Apache-2.0
// The PCI instructions of a logical partition: no hypervisor in between, the unit's caches are purged and that is
// all.
#pragma once

#include "models/cpu/core/pci_instruction_port.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/iommu/core/config.hpp"
#include "models/iommu/s390/unit.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

class S390PciHardware final : public PciInstructionPort {
 public:
  /// An RPCIT takes IommuTiming::descriptor_fetch to reach the unit and descriptor_execute in it, whatever its
  /// range.
  S390PciHardware(iommu::S390PciUnit& unit, const iommu::IommuTiming& timing, trace::Tracer& tracer)
      : unit_(unit), timing_(timing), tracer_(tracer) {}

  Result rpcit(Processor& processor, std::uint64_t function, Iova address, std::uint64_t bytes) override {
    processor.spend(timing_.descriptor_fetch + timing_.descriptor_execute);
    processor.sync();
    const auto done = unit_.refresh(function, address, bytes);
    if (done.outcome.code == s390_pci::ConditionCode::done) {
      tracer_.emit(processor.now(), trace::IotlbInvalidated{address.value, bytes, done.tag.value,
                                                            trace::Granularity::range, done.dropped, 0});
    }
    return result_of(done.outcome);
  }
  Result register_translation(Processor& processor, std::uint64_t function, Iova first, Iova last,
                              std::uint64_t iota) override {
    processor.sync();
    return result_of(unit_.register_translation(function, first, last, iota));
  }
  Result deregister_translation(Processor& processor, std::uint64_t function) override {
    processor.sync();
    return result_of(unit_.deregister_translation(function));
  }

 private:
  static Result result_of(s390_pci::Outcome outcome) {
    return {static_cast<std::uint8_t>(outcome.code), outcome.status};
  }

  iommu::S390PciUnit& unit_;
  const iommu::IommuTiming timing_;
  trace::Tracer& tracer_;
};

}  // namespace gnomon
