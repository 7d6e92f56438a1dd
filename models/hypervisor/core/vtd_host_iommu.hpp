// SPDX-License-Identifier: Apache-2.0
// The host kernel's driver of a VT-d unit: tables at boot, queued invalidation afterwards.
// Behaviour of Linux's drivers/iommu/intel/dmar.c on a legacy-mode VT-d unit (6.1, 6.12).
#pragma once

#include <cstdint>
#include <initializer_list>

#include "models/base/address.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/hypervisor/core/host_iommu.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::hypervisor {

struct VtdHostOptions {
  unsigned max_address_mask = 18;  ///< CAP.MAMV
  bool scalable = false;           ///< ECAP.SMTS: PASID tables, 256-bit descriptors, nested translation
};

class VtdHostIommu final : public HostIommu {
 public:
  VtdHostIommu(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor, RegisterPort& registers,
               const HostIommuCosts& costs, const VtdHostOptions& options, trace::Tracer& tracer);

  void enable() override;
  std::unique_ptr<HostTable> make_table(DomainId domain) override;
  void attach(SourceId device, DomainId domain, HostTable& table) override;
  /// One page-selective descriptor of the smallest aligned block around the range, domain-selective beyond the
  /// unit's mask, then a wait descriptor. `leaf_only` is its IH.
  void invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) override;
  /// Scalable mode only: the PASID table entry of requests without PASID, then its caches.
  void nest(Processor& processor, SourceId device, DomainId domain, HostTable& table, const Nesting& nesting) override;
  /// One PASID-based IOTLB descriptor, page-selective or of the whole PASID.
  void invalidate_nested(Processor& processor, DomainId domain, Iova iova, std::uint64_t bytes, bool leaf_only) override;

 private:
  void attach_legacy(SourceId device, DomainId domain, Hpa root);
  Hpa pasid_entry(SourceId device);
  std::uint64_t descriptor_bytes() const;
  void push(const vtd::InvalidationDescriptor& descriptor);
  void submit(Processor& processor, std::initializer_list<vtd::InvalidationDescriptor> commands);
  void wait(Processor& processor, std::uint32_t expected);

  PhysicalMemory& memory_;
  PageAllocator& pages_;
  LineMonitor& monitor_;
  RegisterPort& registers_;
  const HostIommuCosts costs_;
  const VtdHostOptions options_;
  trace::Tracer& tracer_;
  Hpa root_table_{};
  Hpa queue_{};
  Hpa status_{};
  std::uint32_t tail_ = 0;      // descriptors
  std::uint32_t sequence_ = 0;  // what the next wait writes
};

}  // namespace gnomon::hypervisor
