// SPDX-License-Identifier: Apache-2.0
// The host's SMMUv3 driver before a unit without time: what it queues is executed when PROD is written.
#pragma once

#include <vector>

#include "models/hypervisor/core/smmu_host_iommu.hpp"
#include "models/iommu/smmuv3/unit.hpp"
#include "models/pgtable/arm_lpae_table.hpp"
#include "models/spec/smmuv3/context_descriptor.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::test {

struct SmmuHostBench final : private hypervisor::RegisterPort {
  static constexpr std::uint64_t guest_base = std::uint64_t{64} << 20;
  static constexpr std::uint64_t guest_bytes = std::uint64_t{64} << 20;
  static constexpr SourceId device{0x0100};
  static constexpr DomainId vmid{1};

  explicit SmmuHostBench(bool ranges = true)
      : unit({}, memory, unit_config(ranges)), host({memory, pages, ram, monitor, *this, tracer}, {}, {ranges}) {
    host.enable();
    table = host.make_table(vmid);
    host.attach(device, vmid, *table);
  }

  static iommu::Smmuv3Config unit_config(bool ranges) {
    iommu::Smmuv3Config c;
    c.range_invalidation = ranges;
    c.virtual_queues = true;
    return c;
  }

  void write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override {
    stores.push_back(offset);
    unit.write(offset, value, bytes);
    while (unit.queued() != 0) {
      const Hpa head{smmuv3::queue_base(unit.read(smmuv3::reg::cmdq_base, 8)) +
                     smmuv3::queue::index(static_cast<std::uint32_t>(unit.read(smmuv3::reg::cmdq_cons, 4)),
                                          hypervisor::SmmuHostIommu::queue_log2) *
                         smmuv3::command_bytes};
      commands.push_back(smmuv3::decode_command(memory.read<smmuv3::Bits128>(head)));
      const iommu::InvalidationStep step = unit.step_queue(0);
      if (std::holds_alternative<iommu::QueueError>(step)) ++errors;
      const auto* wait = std::get_if<iommu::WaitReached>(&step);
      if (wait == nullptr || !wait->status_write) continue;
      memory.write(wait->status_address, static_cast<std::uint32_t>(wait->status_data));
      monitor.written(wait->status_address, processor.now());
    }
  }

  iommu::Translation translate(std::uint64_t iova) {
    return unit.translate(device, Iova{iova}, iommu::Access::read);
  }
  bool map(std::uint64_t iova, std::uint64_t hpa, std::uint64_t bytes, std::uint64_t leaf) {
    return table->map(Iova{iova}, Hpa{hpa}, bytes, leaf, hypervisor::DmaAccess::read_write).ok;
  }
  void invalidate(std::uint64_t iova, std::uint64_t bytes) {
    commands.clear();
    host.invalidate(processor, vmid, Iova{iova}, Iova{iova + bytes - 1}, !table->tables_unlinked());
    table->free_unlinked();
  }

  PhysicalMemory memory{std::uint64_t{256} << 20};
  PageAllocator pages{memory, Hpa{page_size}, Hpa{guest_base}};
  GuestRam ram{memory, Hpa{guest_base}, guest_bytes, Backing::thp_2m, 1};
  LineMonitor monitor;
  trace::Tracer tracer;
  SoloProcessor processor;
  iommu::Smmuv3Unit unit;
  hypervisor::SmmuHostIommu host;
  std::unique_ptr<hypervisor::HostTable> table;
  std::vector<smmuv3::Command> commands;  ///< executed
  std::vector<std::uint32_t> stores;
  unsigned errors = 0;
};

}  // namespace gnomon::test
