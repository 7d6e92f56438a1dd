// SPDX-License-Identifier: Apache-2.0
#include "guest/arm_smmu_v3/domain.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>

#include "models/spec/smmuv3/tlbi_split.hpp"

namespace gnomon::guest {

namespace {

using pgtable::LpaeMapStatus;
using pgtable::LpaeUnmapped;

constexpr std::uint8_t write_back_allocate = 1;  // IRGN, ORGN, S1CIR, S1COR
constexpr std::uint8_t inner_shareable = 3;
constexpr std::uint8_t address_size_48 = 5;  // IPS, S2PS
constexpr std::uint64_t mair = 0xf404ff44;   // non-cacheable, write-back, device, mixed: io-pgtable-arm's

int error_of(LpaeMapStatus status) {
  switch (status) {
    case LpaeMapStatus::done:
    case LpaeMapStatus::table_in_the_way: return 0;
    case LpaeMapStatus::already_mapped: return EEXIST;
    case LpaeMapStatus::out_of_range: return ERANGE;
    case LpaeMapStatus::unsupported_size:
    case LpaeMapStatus::misaligned:
    case LpaeMapStatus::no_permission: break;
  }
  return EINVAL;
}

}  // namespace

SmmuDomain::SmmuDomain(const SmmuUnit& unit, std::uint32_t id)
    : unit_(unit), id_(id), table_(unit.memory, unit.options.stage, input_bits) {
  if (!stage1()) return;
  context_table_ = unit_.memory.allocate();
  unit_.memory.ram().write(context_table_, encode(context_descriptor()));
}

smmuv3::ContextDescriptor SmmuDomain::context_descriptor() const {
  smmuv3::ContextDescriptor c;
  c.t0sz = 64 - input_bits;
  c.ir0 = c.or0 = write_back_allocate;
  c.sh0 = inner_shareable;
  c.epd1 = true;
  c.v = true;
  c.ips = address_size_48;
  c.aa64 = c.r = c.a = c.aset = true;
  c.asid = tag();
  c.ttb0 = table_.root().value;
  c.mair = mair;
  return c;
}

smmuv3::StreamTableEntry SmmuDomain::stream_entry() const {
  smmuv3::StreamTableEntry e;
  e.v = true;
  e.eats = unit_.options.device_tlbs ? 1 : 0;
  e.shcfg = 1;  // as it comes in
  if (stage1()) {
    e.config = smmuv3::StreamConfig::stage1;
    e.s1_context_ptr = context_table_.value;
    e.s1dss = 2;
    e.s1cir = e.s1cor = write_back_allocate;
    e.s1csh = inner_shareable;
    return e;
  }
  e.config = smmuv3::StreamConfig::stage2;
  e.s2vmid = tag();
  e.s2t0sz = 64 - input_bits;
  e.s2sl0 = 2;
  e.s2ir0 = e.s2or0 = write_back_allocate;
  e.s2sh0 = inner_shareable;
  e.s2ps = address_size_48;
  e.s2aa64 = e.s2ptw = e.s2r = true;
  e.s2ttb = table_.root().value;
  return e;
}

// The unit may read an entry in any order while it is written: the rest first, then the word that turns it on.
void SmmuDomain::attach(Cpu& cpu, smmuv3::StreamId sid) {
  cpu.processor().sync();
  streams_.push_back(sid);
  const smmuv3::StreamTableEntry entry = stream_entry();
  unit_.streams->write_rest(sid, entry);
  unit_.commands.run(cpu, smmuv3::CfgiSte{sid, true}, id_);
  unit_.streams->write_first(sid, entry);
  unit_.commands.run(cpu, smmuv3::CfgiSte{sid, true}, id_);
}

void SmmuDomain::detach(Cpu& cpu, smmuv3::StreamId sid) {
  cpu.processor().sync();
  smmuv3::StreamTableEntry blocked;
  blocked.v = true;
  unit_.streams->write_first(sid, blocked);
  unit_.commands.run(cpu, smmuv3::CfgiSte{sid, true}, id_);
  std::erase(streams_, sid);
}

IommuDriver::MapOutcome SmmuDomain::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  const GuestCosts& costs = cpu.costs();
  cpu.work(costs.table_call);
  cpu.processor().sync();
  MapOutcome outcome;
  pgtable::LpaeMapOutcome done;
  do {
    const std::uint64_t count =
        std::min(pages.count, table_.entries_to_edge(iova, pages.page_size)) - outcome.mapped / pages.page_size;
    const Iova at = iova + outcome.mapped;
    try {
      done = table_.map(at, gpa + outcome.mapped, pages.page_size, count, {access.read, access.write});
    } catch (const std::bad_alloc&) {
      outcome.error = ENOMEM;
      return outcome;
    }
    cpu.work(costs.table_level * done.levels_walked + costs.table_entry * (done.leaves + done.tables_allocated) +
             costs.table_page * done.tables_allocated);
    if (done.bytes != 0) {
      cpu.emit(trace::MappingAdded{at.value, (gpa + outcome.mapped).value, done.bytes, id_, cpu.id(), access.read,
                                   access.write});
    }
    outcome.mapped += done.bytes;
    outcome.error = error_of(done.status);
    if (done.status ==
        LpaeMapStatus::table_in_the_way) {  // an empty one as a rule: its block was unmapped bit by bit
      std::vector<Gpa> tables;
      table_.unmap(iova + outcome.mapped, pages.page_size, 1, false, tables);
      drop_tables(cpu, iova + outcome.mapped, pages.page_size, tables);
    }
  } while (done.status == LpaeMapStatus::table_in_the_way);
  return outcome;
}

// One table's worth, as the core's next call goes on from there.
std::uint64_t SmmuDomain::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  const GuestCosts& costs = cpu.costs();
  cpu.work(costs.table_call);
  cpu.processor().sync();
  const std::uint64_t count = std::min(pages.count, table_.entries_to_edge(iova, pages.page_size));
  std::uint64_t entries = 0;
  std::vector<Gpa> tables;
  while (entries < count) {
    const Iova at = iova + entries * pages.page_size;
    pgtable::LpaeUnmapOutcome done;
    try {
      done = table_.unmap(at, pages.page_size, count - entries, unit_.options.kernel.split_blocks, tables);
    } catch (const std::bad_alloc&) {
      break;
    }
    if (done.bytes == 0) break;
    if (entries == 0) cpu.work(costs.table_level * done.levels_walked);  // walked down to once a call
    cpu.work(costs.table_entry * done.entries_written + costs.table_page * done.tables_allocated);
    cpu.emit(trace::MappingRemoved{at.value, done.bytes, id_, cpu.id()});
    entries += done.entries;
    if (done.kind == LpaeUnmapped::table) {
      drop_tables(cpu, at, pages.page_size, tables);
    } else {
      unmapped_leaves(cpu, at, {pages.page_size, done.entries}, gather);
    }
    if (done.kind == LpaeUnmapped::split) break;
  }
  return entries * pages.page_size;
}

// Leaf by leaf, as io-pgtable does; a sync comes early at a gap or another size.
void SmmuDomain::unmapped_leaves(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  if (gather.queued) return;
  if (unit_.options.kernel.sync_every_call) {
    if (!unit_.options.faults.skip_unmap_flush) flush_range(cpu, iova, pages.bytes(), pages.page_size, true);
    return;
  }
  cpu.work(cpu.costs().table_unmap * pages.count);
  for (std::uint64_t i = 0; i != pages.count; ++i) {
    const Iova at = iova + i * pages.page_size;
    if (unit_.options.kernel.flush_policy->sync_before_add({}, gather, at, pages.page_size)) {
      flush_gather(cpu, gather, trace::Sync::early);
      gather.reset();
    }
    gather.add_page(at, pages.page_size);
  }
}

// Cached walks through the tables go first, at once and whatever the gather says; then their pages can.
void SmmuDomain::drop_tables(Cpu& cpu, Iova iova, std::uint64_t bytes, std::vector<Gpa>& tables) {
  if (!unit_.options.faults.skip_walk_flush) flush_range(cpu, iova, bytes, page_size, false);
  for (const Gpa table : tables) {
    cpu.work(cpu.costs().table_page);
    unit_.memory.free(table);
  }
  tables.clear();
}

void SmmuDomain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  flush_gather(cpu, gather, trace::Sync::unmap);
}

void SmmuDomain::flush_gather(Cpu& cpu, const IotlbGather& gather, trace::Sync kind) {
  if (gather.page_size == 0 || unit_.options.faults.skip_unmap_flush) return;
  cpu.processor().sync();
  const Time began = cpu.now();
  flush_range(cpu, Iova{gather.start}, gather.bytes(), gather.page_size, true);
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), kind, 0});
}

void SmmuDomain::flush_iotlb_all(Cpu& cpu) {
  cpu.processor().sync();
  const Time began = cpu.now();
  unit_.for_invalidation(cpu.id()).run(cpu, by_domain(), id_);
  flush_device_tlbs(cpu, Iova{0}, 0);
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), trace::Sync::all, 0});
}

std::optional<Gpa> SmmuDomain::iova_to_phys(Iova iova) const {
  const auto leaf = table_.lookup(iova);
  return leaf ? std::optional(leaf->gpa) : std::nullopt;
}

smmuv3::Command SmmuDomain::by_address(const smmuv3::TlbiRange& range) const {
  if (stage1()) return smmuv3::TlbiNhVa{0, tag(), range};
  return smmuv3::TlbiS2Ipa{tag(), range};
}
smmuv3::Command SmmuDomain::by_domain() const {
  if (stage1()) return smmuv3::TlbiNhAsid{0, tag()};
  return smmuv3::TlbiS12Vmall{tag()};
}

void SmmuDomain::flush_range(Cpu& cpu, Iova iova, std::uint64_t bytes, std::uint64_t granule, bool leaf) {
  SmmuCommandQueue& queue = unit_.for_invalidation(cpu.id());
  SmmuBatch batch;
  invalidate(cpu, queue, batch, iova, bytes, granule, leaf);
  queue.submit(cpu, batch);
  flush_device_tlbs(cpu, iova, bytes);
}

// __arm_smmu_tlb_inv_range.
void SmmuDomain::invalidate(Cpu& cpu, SmmuCommandQueue& queue, SmmuBatch& batch, Iova iova, std::uint64_t bytes,
                            std::uint64_t granule, bool leaf) {
  const auto add = [&](const smmuv3::TlbiRange& range) { queue.add(cpu, batch, by_address(range), id_); };
  if (unit_.range_commands) {
    bool first = true;
    smmuv3::split_by_range(iova.value, bytes, leaf, leaf ? smmuv3::level_hint(granule) : 0, [&](const auto& range) {
      if (first || !unit_.options.faults.first_range_only) add(range);
      first = false;
    });
  } else if (unit_.options.kernel.full_above_limit && bytes / granule >= granule / sizeof(std::uint64_t)) {
    queue.add(cpu, batch, by_domain(), id_);
  } else {
    smmuv3::split_by_leaf(iova.value, bytes, granule, leaf, add);
  }
}

// After the SMMU's own: what a device asks for meanwhile must not bring the old translation back. One naturally
// aligned block encloses the range (arm_smmu_atc_inv_to_cmd); `bytes` of 0 is everything.
void SmmuDomain::flush_device_tlbs(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (!unit_.options.device_tlbs || streams_.empty()) return;
  SmmuCommandQueue& queue = unit_.for_invalidation(cpu.id());
  SmmuBatch batch;
  smmuv3::AtcInv command;
  command.size = smmuv3::atc_inv_all;
  if (bytes != 0) {
    const std::uint64_t first = iova.page();
    const std::uint64_t last = (iova + (bytes - 1)).page();
    const auto span = static_cast<unsigned>(std::bit_width(first ^ last));
    command.size = static_cast<std::uint8_t>(span);
    command.address = (first >> span << span) << page_shift;
  }
  for (const smmuv3::StreamId sid : streams_) {
    command.sid = sid;
    queue.add(cpu, batch, command, id_);
  }
  queue.submit(cpu, batch);
}

}  // namespace gnomon::guest
