// SPDX-License-Identifier: Apache-2.0
// The other side of the unit: host software that builds root and context tables, fills the queue and rings it.
#pragma once

#include <vector>

#include "models/iommu/vtd/unit.hpp"
#include "models/pgtable/second_stage_table.hpp"

namespace gnomon::iommu::test {

struct Host {
  static constexpr std::uint64_t memory_bytes = std::uint64_t{1} << 32;
  static constexpr SourceId device{0x0310};  // 03:02.0
  static constexpr DomainId domain{7};

  explicit Host(const IommuConfig& config = {}) : core(config, memory) {
    root = allocator.allocate();
    context = allocator.allocate();
    queue = allocator.allocate();
    memory.write(root + (device.value >> 8) * 16u, vtd::encode(vtd::RootEntry{true, context}));
    attach(device,
           {true, false, vtd::TranslationType::untranslated_only, table.root(), vtd::aw_of_levels(4), domain});
    core.write64(vtd::reg::rtaddr, root.value);
    core.write32(vtd::reg::gcmd, vtd::gcmd::srtp);
    core.write64(vtd::reg::iqa, queue.value);
    core.write32(vtd::reg::gcmd, vtd::gcmd::te | vtd::gcmd::qie);
  }

  /// Writes the context entry of a device on the same bus.
  void attach(SourceId sid, const vtd::ContextEntry& entry) {
    memory.write(context + (sid.value & 0xffu) * 16u, vtd::encode(entry));
  }
  pgtable::MapOutcome map(std::uint64_t iova, std::uint64_t hpa, std::uint64_t bytes,
                          pgtable::Permissions permissions = pgtable::read_write,
                          pgtable::PageSizes sizes = pgtable::size_4k) {
    return table.map(Iova{iova}, Hpa{hpa}, bytes, permissions, sizes, unlinked);
  }
  pgtable::UnmapOutcome unmap(std::uint64_t iova, std::uint64_t bytes) {
    return table.unmap(Iova{iova}, bytes, unlinked);
  }
  Translation read(std::uint64_t iova) { return core.translate(device, Iova{iova}, Access::read); }
  Translation write(std::uint64_t iova) { return core.translate(device, Iova{iova}, Access::write); }

  /// Puts a descriptor into the next slot of the one-page queue and moves the tail.
  RegisterWrite submit_raw(vtd::Bits128 raw) {
    memory.write(queue + tail, raw);
    tail = (tail + 16) & 0xfffu;
    return core.write64(vtd::reg::iqt, tail);
  }
  RegisterWrite submit(const vtd::InvalidationDescriptor& d) { return submit_raw(vtd::encode(d)); }
  /// Submits and executes one descriptor.
  template <class Outcome>
  Outcome run(const vtd::InvalidationDescriptor& d) {
    submit(d);
    return std::get<Outcome>(core.step());
  }
  IotlbInvalidated invalidate_pages(std::uint64_t iova, std::uint8_t am, bool ih = false, DomainId did = domain) {
    return run<IotlbInvalidated>(
        vtd::IotlbInvalidate{vtd::Granularity::device_or_page, true, true, did, am, ih, Iova{iova}});
  }

  PhysicalMemory memory{memory_bytes};
  PageAllocator allocator{memory, Hpa{0x10'0000}, Hpa{0x1000'0000}};
  pgtable::SecondStageTable table{memory, allocator, 4};
  VtdUnit core;
  Hpa root{}, context{}, queue{};
  std::uint64_t tail = 0;
  std::vector<Hpa> unlinked;
};

}  // namespace gnomon::iommu::test
