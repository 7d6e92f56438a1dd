// SPDX-License-Identifier: Apache-2.0
// Software on both sides of a scalable-mode unit: a host that builds the PASID tables and the second stage, and a
// guest whose first stage lies in memory the second stage maps.
#pragma once

#include <map>
#include <vector>

#include "models/iommu/vtd/unit.hpp"
#include "models/pgtable/first_level_table.hpp"
#include "models/pgtable/second_stage_table.hpp"

namespace gnomon::iommu::test {

inline IommuConfig scalable_config() {
  IommuConfig config;
  config.scalable_mode = config.first_stage = config.nested = true;
  return config;
}

struct ScalableHost : public pgtable::TableMemory<GpaSpace> {
  using Pgtt = vtd::TranslationGranularity;
  static constexpr std::uint64_t memory_bytes = std::uint64_t{1} << 32;
  static constexpr SourceId device{0x0390};  // 03:12.0: the upper half of its root entry
  static constexpr DomainId domain{7};
  static constexpr Pasid pasid{0x1234};

  explicit ScalableHost(const IommuConfig& config = scalable_config(), std::uint64_t table_stride = page_size)
      : stride(table_stride), core(config, memory) {
    memory.write(root + (device.value >> 8) * 16u, vtd::encode(vtd::ScalableRootEntry{false, {}, true, contexts}));
    context.p = true;
    context.pdts = 0;
    context.pasiddirptr = directory;
    context.rid_pasid = pasid.value;
    attach(device, context);
    memory.write(directory + (pasid.value >> 6) * 8u, vtd::encode(vtd::PasidDirectoryEntry{true, false, pasids}));
    entry.p = true;
    entry.aw = vtd::aw_of_levels(4);
    entry.did = domain;
    entry.ssptptr = second.root();
    core.write64(vtd::reg::rtaddr, root.value | 1 << 10);
    core.write32(vtd::reg::gcmd, vtd::gcmd::srtp);
    core.write64(vtd::reg::iqa, queue.value | vtd::iqa_dw);
    core.write32(vtd::reg::gcmd, vtd::gcmd::te | vtd::gcmd::qie);
  }

  void attach(SourceId sid, const vtd::ScalableContextEntry& e) {
    memory.write(contexts + (sid.value & 0x7fu) * 32u, vtd::encode(e));
  }
  /// Writes the PASID table entry of `pasid`; nothing is invalidated.
  void use(Pgtt pgtt) {
    entry.pgtt = pgtt;
    entry.fsptptr = pgtt == Pgtt::nested ? guest.root().value : first.root().value;
    write_entry(entry);
  }
  void write_entry(const vtd::PasidTableEntry& e) {
    memory.write(pasids + (pasid.value & 0x3fu) * 64u, vtd::encode(e));
  }

  Translation read(std::uint64_t iova) { return core.translate(device, Iova{iova}, Access::read); }
  Translation write(std::uint64_t iova) { return core.translate(device, Iova{iova}, Access::write); }

  // The guest's page tables: every page is new memory of the host, mapped by the second stage.
  std::byte* page(Gpa address) const override { return memory.at(pages.at(address.value), page_size); }
  Gpa allocate() override {
    const Gpa gpa{next};
    next += stride;
    pages[gpa.value] = allocator.allocate();
    second.map(Iova{gpa.value}, pages[gpa.value], page_size, pgtable::read_write, pgtable::size_4k, unlinked);
    return gpa;
  }
  void free(Gpa page) override { freed.push_back(page); }

  void submit_raw(const vtd::Bits256& raw) {
    memory.write(queue + tail, raw);
    tail = (tail + 32) & 0xfffu;
    core.write64(vtd::reg::iqt, tail);
  }
  void submit(const vtd::InvalidationDescriptor& d) { submit_raw(vtd::encode_wide(d)); }
  template <class Outcome>
  Outcome run(const vtd::InvalidationDescriptor& d) {
    submit(d);
    return std::get<Outcome>(core.step());
  }
  IotlbInvalidated invalidate_pages(std::uint64_t iova, std::uint8_t am, bool ih = false, Pasid of = pasid) {
    return run<IotlbInvalidated>(
        vtd::PasidIotlbInvalidate{vtd::PasidGranularity::pages, domain, of.value, am, ih, Iova{iova}});
  }
  IotlbInvalidated invalidate_second_stage(std::uint64_t gpa, std::uint8_t am, bool ih = false) {
    return run<IotlbInvalidated>(
        vtd::IotlbInvalidate{vtd::Granularity::device_or_page, true, true, domain, am, ih, Iova{gpa}});
  }

  std::uint64_t stride;  ///< between the guest's table pages
  std::uint64_t next = std::uint64_t{16} << 30;
  std::map<std::uint64_t, Hpa> pages;
  std::vector<Gpa> freed;
  std::vector<Hpa> unlinked;
  std::vector<Gpa> guest_unlinked;
  PhysicalMemory memory{memory_bytes};
  PageAllocator allocator{memory, Hpa{0x10'0000}, Hpa{0x1000'0000}};
  Hpa root = allocator.allocate(), contexts = allocator.allocate(), directory = allocator.allocate(),
      pasids = allocator.allocate(), queue = allocator.allocate();
  pgtable::SecondStageTable second{memory, allocator, 4};
  pgtable::FirstLevelTable first{memory, allocator, 4};
  pgtable::GuestFirstLevelTable guest{*this, 4};
  vtd::ScalableContextEntry context;
  vtd::PasidTableEntry entry;
  VtdUnit core;
  std::uint64_t tail = 0;
};

}  // namespace gnomon::iommu::test
