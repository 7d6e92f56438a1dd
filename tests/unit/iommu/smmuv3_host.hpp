// SPDX-License-Identifier: Apache-2.0
// The other side of an SMMUv3: software with a stream table, context descriptors, tables of both stages and queues.
#pragma once

#include <vector>

#include "models/iommu/smmuv3/unit.hpp"
#include "models/pgtable/arm_lpae_table.hpp"

namespace gnomon::iommu::test {

struct SmmuHost {
  static constexpr std::uint64_t memory_bytes = std::uint64_t{1} << 32;
  static constexpr SourceId device{0x0310};
  static constexpr std::uint16_t asid = 5;
  static constexpr std::uint16_t vmid = 3;
  static constexpr std::uint64_t stream_table = 0x40'0000;  // linear, 2^16 entries: 4 MiB
  static constexpr std::uint64_t commands = 0x80'0000;
  static constexpr std::uint64_t events = 0x80'8000;
  static constexpr std::uint64_t contexts = 0x81'0000;
  static constexpr unsigned command_log2 = 6;
  static constexpr unsigned event_log2 = 3;

  explicit SmmuHost(smmuv3::StreamConfig config = smmuv3::StreamConfig::stage1, const IommuConfig& iommu = {},
                    const Smmuv3Config& smmu = {})
      : unit(iommu, memory, smmu) {
    namespace reg = smmuv3::reg;
    set(reg::strtab_base, stream_table, 8);
    set(reg::strtab_base_cfg, smmuv3::encode(smmuv3::StreamTableConfig{16, 8, false}));
    set(reg::cmdq_base, smmuv3::queue_register(commands, command_log2), 8);
    set(reg::eventq_base, smmuv3::queue_register(events, event_log2), 8);
    set(reg::cr0, smmuv3::cr0::cmdqen | smmuv3::cr0::eventqen | smmuv3::cr0::smmuen);
    write_stream(stream(config));
    write_context(context());
  }

  std::uint64_t get(std::uint32_t offset, unsigned bytes = 4) const { return unit.read(offset, bytes); }
  RegisterWrite set(std::uint32_t offset, std::uint64_t value, unsigned bytes = 4) {
    return unit.write(offset, value, bytes);
  }

  smmuv3::StreamTableEntry stream(smmuv3::StreamConfig config) const {
    smmuv3::StreamTableEntry e;
    e.v = true;
    e.config = config;
    e.s1_context_ptr = contexts;
    if (smmuv3::has_stage2(config)) {
      e.s2vmid = vmid;
      e.s2t0sz = 16;
      e.s2sl0 = 2;
      e.s2ps = 5;
      e.s2aa64 = e.s2r = true;
      e.s2ttb = second.root().value;
    }
    return e;
  }
  void write_stream(const smmuv3::StreamTableEntry& e, SourceId source = device) {
    memory.write(Hpa{stream_table + source.value * 64u}, smmuv3::encode(e));
  }
  smmuv3::ContextDescriptor context() const {
    smmuv3::ContextDescriptor c;
    c.t0sz = 16;
    c.v = c.aa64 = c.r = c.epd1 = true;
    c.ips = 5;
    c.asid = asid;
    c.ttb0 = first.root().value;
    return c;
  }
  void write_context(const smmuv3::ContextDescriptor& c) { memory.write(Hpa{contexts}, smmuv3::encode(c)); }

  pgtable::LpaeMapOutcome map(std::uint64_t iova, std::uint64_t to, std::uint64_t size = page_size,
                              std::uint64_t count = 1, pgtable::Permissions p = pgtable::read_write) {
    return first.map(Iova{iova}, Hpa{to}, size, count, p);
  }
  pgtable::LpaeMapOutcome map2(std::uint64_t ipa, std::uint64_t hpa, std::uint64_t size = page_size,
                               std::uint64_t count = 1, pgtable::Permissions p = pgtable::read_write) {
    return second.map(Iova{ipa}, Hpa{hpa}, size, count, p);
  }
  Translation read(std::uint64_t iova) { return unit.translate(device, Iova{iova}, Access::read); }
  Translation write(std::uint64_t iova) { return unit.translate(device, Iova{iova}, Access::write); }

  RegisterWrite submit_raw(const smmuv3::Bits128& raw) {
    const auto prod = static_cast<std::uint32_t>(get(smmuv3::reg::cmdq_prod));
    memory.write(Hpa{commands + smmuv3::queue::index(prod, command_log2) * 16}, raw);
    return set(smmuv3::reg::cmdq_prod, smmuv3::queue::advance(prod, 1, command_log2));
  }
  RegisterWrite submit(const smmuv3::Command& c) { return submit_raw(smmuv3::encode(c)); }
  template <class Outcome>
  Outcome run(const smmuv3::Command& c) {
    submit(c);
    return std::get<Outcome>(unit.step());
  }
  IotlbInvalidated invalidate(std::uint64_t iova, bool leaf = true) {
    return run<IotlbInvalidated>(smmuv3::TlbiNhVa{0, asid, {iova, leaf, 0, 0, 0, 0}});
  }
  std::optional<smmuv3::Event> take_event() {
    namespace reg = smmuv3::reg;
    const auto prod = static_cast<std::uint32_t>(get(reg::eventq_prod)) & ~smmuv3::queue_overflow;
    const auto cons = static_cast<std::uint32_t>(get(reg::eventq_cons));
    const std::uint32_t pointer = cons & ~smmuv3::queue_overflow;
    if (prod == pointer) return std::nullopt;
    const auto raw = memory.read<smmuv3::Bits256>(Hpa{events + smmuv3::queue::index(pointer, event_log2) * 32});
    set(reg::eventq_cons, (cons & smmuv3::queue_overflow) | smmuv3::queue::advance(pointer, 1, event_log2));
    return smmuv3::decode_event(raw);
  }

  PhysicalMemory memory{memory_bytes};
  PageAllocator allocator{memory, Hpa{0x100'0000}, Hpa{0x1000'0000}};
  pgtable::HostTableMemory pages{memory, allocator};
  pgtable::ArmLpaeTable<HpaSpace> first{pages, smmuv3::Stage::one, 48};
  pgtable::ArmLpaeTable<HpaSpace> second{pages, smmuv3::Stage::two, 48};
  Smmuv3Unit unit;
};

}  // namespace gnomon::iommu::test
