// SPDX-License-Identifier: Apache-2.0
// The other side of an AMD-Vi unit: host software with a device table, a v1 table, a command buffer and an event
// log.
#pragma once

#include <vector>

#include "models/iommu/amdvi/unit.hpp"
#include "models/pgtable/amd_v1_table.hpp"

namespace gnomon::iommu::test {

struct AmdviHost {
  static constexpr std::uint64_t memory_bytes = std::uint64_t{1} << 32;
  static constexpr SourceId device{0x0310};  // 03:02.0
  static constexpr DomainId domain{7};
  static constexpr Hpa device_table{0x20'0000};  // 2 MiB, of all 65536 devices
  static constexpr Hpa commands{0x40'0000};      // 512, as Linux has them
  static constexpr Hpa events{0x40'2000};        // 256, the smallest log
  static constexpr std::uint64_t ring = 8192;
  static constexpr std::uint64_t running =
      amdvi::control::iommu_en | amdvi::control::event_log_en | amdvi::control::cmd_buf_en;

  explicit AmdviHost(const IommuConfig& config = {}, const AmdviConfig& amdvi = {}) : unit(config, memory, amdvi) {
    attach();
    set(amdvi::reg::device_table, amdvi::device_table_register(device_table, 0x20'0000));
    set(amdvi::reg::command_buffer, amdvi::ring_register(commands, 9));
    set(amdvi::reg::event_log, amdvi::ring_register(events, 8));
    set(amdvi::reg::control, running);
  }

  std::uint64_t get(std::uint32_t offset) const { return unit.read(offset, 8); }
  RegisterWrite set(std::uint32_t offset, std::uint64_t value) { return unit.write(offset, value, 8); }

  amdvi::DeviceTableEntry entry() const {
    amdvi::DeviceTableEntry e;
    e.v = e.tv = e.ir = e.iw = true;
    e.mode = static_cast<std::uint8_t>(table.levels());
    e.root = table.root();
    e.domain = domain;
    return e;
  }
  void attach(SourceId source, const amdvi::Bits256& raw) { memory.write(device_table + source.value * 32u, raw); }
  void attach(SourceId source, const amdvi::DeviceTableEntry& e) { attach(source, amdvi::encode(e)); }
  void attach() { attach(device, entry()); }

  pgtable::AmdMapOutcome map(std::uint64_t iova, std::uint64_t hpa, std::uint64_t page_bytes,
                             std::uint64_t count = 1, pgtable::Permissions permissions = pgtable::read_write) {
    return table.map(Iova{iova}, Hpa{hpa}, page_bytes, count, permissions, unlinked);
  }
  Translation read(std::uint64_t iova) { return unit.translate(device, Iova{iova}, Access::read); }
  Translation write(std::uint64_t iova) { return unit.translate(device, Iova{iova}, Access::write); }

  /// Puts a command into the next slot and moves the tail.
  RegisterWrite submit_raw(amdvi::Bits128 raw) {
    const std::uint64_t tail = get(amdvi::reg::command_tail);
    memory.write(commands + tail, raw);
    return set(amdvi::reg::command_tail, (tail + 16) % ring);
  }
  RegisterWrite submit(const amdvi::Command& c) { return submit_raw(amdvi::encode(c)); }
  /// Submits and executes one command.
  template <class Outcome>
  Outcome run(const amdvi::Command& c) {
    submit(c);
    return std::get<Outcome>(unit.step());
  }
  IotlbInvalidated invalidate(std::uint64_t iova, std::uint64_t bytes, bool pde = true, DomainId did = domain) {
    return run<IotlbInvalidated>(
        amdvi::InvalidateIommuPages{did, amdvi::encode_range(Iova{iova}, bytes), pde, false, 0});
  }
  IotlbInvalidated invalidate_domain(bool pde = true) {
    return run<IotlbInvalidated>(amdvi::InvalidateIommuPages{domain, amdvi::every_page, pde, false, 0});
  }
  void refetch() { run<ContextCacheInvalidated>(amdvi::InvalidateDevtabEntry{device}); }

  /// Reads the oldest event and moves the head.
  amdvi::Event take_event() {
    const std::uint64_t head = get(amdvi::reg::event_head);
    const auto raw = memory.read<amdvi::Bits128>(events + head);
    set(amdvi::reg::event_head, (head + 16) % 4096);
    return amdvi::decode_event(raw);
  }
  bool no_event() const { return get(amdvi::reg::event_head) == get(amdvi::reg::event_tail); }

  PhysicalMemory memory{memory_bytes};
  PageAllocator allocator{memory, Hpa{0x100'0000}, Hpa{0x1000'0000}};
  pgtable::HostTableMemory pages{memory, allocator};
  pgtable::AmdV1Table<HpaSpace> table{pages};
  AmdviUnit unit;
  std::vector<Hpa> unlinked;
};

}  // namespace gnomon::iommu::test
