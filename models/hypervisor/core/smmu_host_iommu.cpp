// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/smmu_host_iommu.hpp"

#include <algorithm>
#include <stdexcept>

#include "models/pgtable/arm_lpae_table.hpp"
#include "models/spec/smmuv3/registers.hpp"
#include "models/spec/smmuv3/tlbi_split.hpp"
#include "models/spec/smmuv3/virtual_queue.hpp"

namespace gnomon::hypervisor {

namespace {

namespace reg = smmuv3::reg;
namespace vq = smmuv3::virtual_queue;

constexpr unsigned stream_bits = 16;  // every requester id, in one linear table
constexpr std::uint64_t stream_table_bytes = smmuv3::stream_table_entry_bytes << stream_bits;
constexpr unsigned event_log2 = 7;
constexpr unsigned input_bits = 48;
constexpr std::uint8_t write_back_allocate = 1;
constexpr std::uint8_t inner_shareable = 3;
constexpr std::uint8_t write_back = 0xf;
constexpr std::uint8_t address_size_48 = 5;
constexpr std::uint64_t whole = ~std::uint64_t{0};
/// Zeroed, at a multiple of its size, which the registers take for granted.
Hpa aligned(PageAllocator& pages, std::uint64_t bytes) {
  const Hpa start = pages.allocate_contiguous(2 * bytes / page_size);
  return Hpa{(start.value + bytes - 1) & ~(bytes - 1)};
}

constexpr std::uint64_t block_sizes[] = {std::uint64_t{1} << 30, std::uint64_t{2} << 20, page_size};

}  // namespace

/// Stage 2 of a container.
class SmmuHostIommu::Table final : public HostTable {
 public:
  explicit Table(pgtable::HostTableMemory& memory)
      : memory_(memory), table_(memory, smmuv3::Stage::two, input_bits) {}

  Hpa root() const { return table_.root(); }
  /// Of what was unmapped since the last invalidation: the smallest leaf, and whether there was no other.
  std::uint64_t leaf_bytes() const { return leaf_bytes_; }
  bool one_size() const { return one_size_; }
  void invalidated() {
    leaf_bytes_ = block_sizes[0];
    one_size_ = first_ = true;
  }

  bool tables_unlinked() const override { return !unlinked_.empty(); }
  void free_unlinked() override {
    for (const Hpa page : unlinked_) memory_.free(page);
    unlinked_.clear();
    in_the_way_ = false;
  }
  bool map_needs_flush() const override { return in_the_way_; }

  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t leaf_bytes, DmaAccess access) override {
    const pgtable::Permissions permissions{permits(access, DmaAccess::read), permits(access, DmaAccess::write)};
    MapOutcome outcome;
    while (outcome.bytes != bytes) {
      const std::uint64_t at = outcome.bytes;
      const auto done = table_.map(iova + at, hpa + at, leaf_bytes, (bytes - at) / leaf_bytes, permissions);
      outcome.bytes += done.bytes;
      outcome.ptes_written += static_cast<std::uint32_t>(done.leaves + done.tables_allocated);
      outcome.tables_allocated += static_cast<std::uint32_t>(done.tables_allocated);
      if (done.status == pgtable::LpaeMapStatus::table_in_the_way) {  // empty: its block was unmapped bit by bit
        table_.unmap(iova + outcome.bytes, leaf_bytes, 1, false, unlinked_);
        in_the_way_ = true;
      } else if (done.status != pgtable::LpaeMapStatus::done) {
        return outcome;
      }
    }
    outcome.ok = true;
    return outcome;
  }

  /// As the core asks a driver: the largest leaf that fits at each place, a table's worth a call.
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    UnmapOutcome outcome;
    while (outcome.bytes < bytes) {
      const Iova at = iova + outcome.bytes;
      const std::uint64_t left = bytes - outcome.bytes;
      const std::uint64_t size = *std::find_if(std::begin(block_sizes), std::end(block_sizes),
                                               [&](std::uint64_t s) { return at.value % s == 0 && s <= left; });
      const std::uint64_t count = std::min(left / size, table_.entries_to_edge(at, size));
      const auto done = table_.unmap(at, size, count, true, unlinked_);
      if (done.bytes == 0) break;
      const std::uint64_t leaf = done.kind == pgtable::LpaeUnmapped::table ? page_size : size;
      one_size_ = one_size_ && (first_ || leaf == leaf_bytes_);
      first_ = false;
      leaf_bytes_ = std::min(leaf_bytes_, leaf);
      outcome.bytes += done.bytes;
      outcome.ptes_cleared += static_cast<std::uint32_t>(done.entries_written);
      outcome.tables_freed += static_cast<std::uint32_t>(done.tables_unlinked);
    }
    return outcome;
  }
  std::optional<Hpa> iova_to_phys(Iova iova) override {
    const auto mapping = table_.lookup(iova);
    return mapping ? std::optional(mapping->hpa) : std::nullopt;
  }
  std::uint64_t page_sizes() const override { return block_sizes[0] | block_sizes[1] | block_sizes[2]; }

 private:
  pgtable::HostTableMemory& memory_;
  pgtable::ArmLpaeTable<HpaSpace> table_;
  std::vector<Hpa> unlinked_;
  std::uint64_t leaf_bytes_ = block_sizes[0];
  bool one_size_ = true;
  bool first_ = true;
  bool in_the_way_ = false;
};

SmmuHostIommu::SmmuHostIommu(const SmmuHostParts& parts, const HostIommuCosts& costs,
                             const SmmuHostOptions& options)
    : parts_(parts), tables_(parts.memory, parts.pages), costs_(costs), options_(options) {}

SmmuHostIommu::~SmmuHostIommu() = default;

void SmmuHostIommu::enable() {
  streams_ = aligned(parts_.pages, stream_table_bytes);  // zero: not valid, every stream faults
  queue_ = aligned(parts_.pages, smmuv3::command_bytes << queue_log2);
  events_ = parts_.pages.allocate();
  RegisterPort& r = parts_.registers;
  r.write(reg::strtab_base, streams_.value, 8);
  r.write(reg::strtab_base_cfg, smmuv3::encode(smmuv3::StreamTableConfig{stream_bits, 0, false}), 4);
  r.write(reg::cmdq_base, smmuv3::queue_register(queue_.value, queue_log2), 8);
  r.write(reg::cmdq_prod, 0, 4);
  r.write(reg::cmdq_cons, 0, 4);
  r.write(reg::eventq_base, smmuv3::queue_register(events_.value, event_log2), 8);
  r.write(reg::eventq_prod, 0, 4);
  r.write(reg::eventq_cons, 0, 4);
  r.write(reg::cr0, smmuv3::cr0::cmdqen | smmuv3::cr0::eventqen | smmuv3::cr0::smmuen, 4);
}

std::unique_ptr<HostTable> SmmuHostIommu::make_table(DomainId /*domain*/) {
  return std::make_unique<Table>(tables_);
}

Hpa SmmuHostIommu::stream(SourceId device) const {
  return streams_ + smmuv3::stream_of(device) * smmuv3::stream_table_entry_bytes;
}

smmuv3::StreamTableEntry SmmuHostIommu::stage2_entry(const Attachment& a) const {
  smmuv3::StreamTableEntry e;
  e.v = true;
  e.config = smmuv3::StreamConfig::stage2;
  e.shcfg = 1;  // as it comes in
  e.s2vmid = a.domain.value;
  e.s2t0sz = 64 - input_bits;
  e.s2sl0 = 2;
  e.s2ir0 = e.s2or0 = write_back_allocate;
  e.s2sh0 = inner_shareable;
  e.s2ps = address_size_48;
  e.s2aa64 = e.s2ptw = e.s2r = true;
  e.s2ttb = a.table->root().value;
  return e;
}

void SmmuHostIommu::attach(SourceId device, DomainId domain, HostTable& table) {
  attachments_.push_back({device, domain, &static_cast<Table&>(table)});
  parts_.memory.write(stream(device), smmuv3::encode(stage2_entry(attachments_.back())));
}

SmmuHostIommu::Attachment& SmmuHostIommu::find(SourceId device) {
  const auto same = [&](const Attachment& a) { return a.device == device; };
  const auto found = std::find_if(attachments_.begin(), attachments_.end(), same);
  if (found == attachments_.end()) throw std::logic_error("SMMUv3: a device that is not attached");
  return *found;
}

void SmmuHostIommu::nest(Processor& processor, SourceId device, DomainId domain, HostTable& /*table*/,
                         const Nesting& nesting) {
  Attachment& a = find(device);
  smmuv3::StreamTableEntry guest;
  guest.v = true;
  guest.config = nesting.blocked       ? smmuv3::StreamConfig::abort
                 : nesting.levels != 0 ? smmuv3::StreamConfig::stage1
                                       : smmuv3::StreamConfig::bypass;
  guest.s1_context_ptr = nesting.root.value;
  guest.s1dss = 2;
  guest.s1cir = guest.s1cor = write_back_allocate;
  guest.s1csh = inner_shareable;
  parts_.memory.write(stream(device), smmuv3::encode(smmuv3::nested_entry(guest, stage2_entry(a))));
  Commands commands{smmuv3::CfgiSte{smmuv3::stream_of(device), true}};
  if (a.nested) commands.push_back(smmuv3::TlbiNhAll{domain.value});
  a.nested = guest.config == smmuv3::StreamConfig::stage1;
  submit(processor, commands);
}

void SmmuHostIommu::invalidate_nested(Processor& processor, DomainId domain, Iova iova, std::uint64_t bytes,
                                      bool leaf_only) {
  Commands commands;
  const auto add = [&](const smmuv3::TlbiRange& r) { commands.push_back(smmuv3::TlbiNhVaa{domain.value, r}); };
  if (bytes == whole) {
    commands.push_back(smmuv3::TlbiNhAll{domain.value});
  } else if (options_.range_invalidation && bytes != page_size) {
    smmuv3::split_by_range(iova.value, bytes, leaf_only, 0, add);
  } else {
    smmuv3::split_by_leaf(iova.value, bytes, page_size, leaf_only, add);
  }
  submit(processor, commands);
}

void SmmuHostIommu::invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) {
  const std::uint64_t bytes = last - first + 1;
  std::uint64_t leaf_bytes = block_sizes[0];
  bool nested = false;
  bool level_known = leaf_only;
  for (const Attachment& a : attachments_) {
    if (a.domain != domain) continue;
    leaf_bytes = leaf_only ? std::min(leaf_bytes, a.table->leaf_bytes()) : page_size;
    level_known = level_known && a.table->one_size();
    nested = nested || a.nested;
    a.table->invalidated();
  }
  Commands commands;
  const auto add = [&](const smmuv3::TlbiRange& r) { commands.push_back(smmuv3::TlbiS2Ipa{domain.value, r}); };
  if (options_.range_invalidation && bytes != page_size) {
    smmuv3::split_by_range(first.value, bytes, leaf_only, level_known ? smmuv3::level_hint(leaf_bytes) : 0, add);
  } else if (bytes / leaf_bytes >= limit) {
    commands.push_back(smmuv3::TlbiS12Vmall{domain.value});
  } else {
    smmuv3::split_by_leaf(first.value, bytes, leaf_bytes, leaf_only, add);
  }
  submit(processor, commands);
  if (nested) submit(processor, {smmuv3::TlbiNhAll{domain.value}});
}

void SmmuHostIommu::give_queue(unsigned queue, Gpa base, unsigned log2) {
  RegisterPort& r = parts_.registers;
  if (!interface_given_ && !attachments_.empty()) {
    interface_given_ = true;
    for (std::uint32_t i = 0; i != std::min<std::size_t>(attachments_.size(), vq::streams); ++i) {
      const smmuv3::StreamId sid = smmuv3::stream_of(attachments_[i].device);
      r.write(vq::interface_page + vq::sid_replace + 4 * i, sid, 4);
      r.write(vq::interface_page + vq::sid_match + 4 * i, sid << 1 | 1, 4);  // the guest sees the same number
    }
    r.write(vq::interface_page + vq::config, vq::interface_config(attachments_.front().domain.value, true), 4);
  }
  const Hpa at = parts_.ram.to_hpa(base);
  r.write(vq::page1 + queue * vq::stride + vq::base, smmuv3::queue_register(at.value, log2), 8);
}

Hpa SmmuHostIommu::slot(std::uint32_t pointer) const {
  return queue_ + smmuv3::queue::index(pointer, queue_log2) * smmuv3::command_bytes;
}

void SmmuHostIommu::push(const smmuv3::Command& command) {
  parts_.memory.write(slot(prod_), smmuv3::encode(command));
  prod_ = smmuv3::queue::advance(prod_, 1, queue_log2);
}

/// The commands, PROD written every `batch` of them, and one CMD_SYNC, whose message clears its own first word.
void SmmuHostIommu::submit(Processor& processor, const Commands& commands) {
  processor.spend(costs_.submit);
  processor.sync();
  parts_.tracer.emit(processor.now(),
                     trace::InvalidationSubmitted{processor.id(), static_cast<std::uint32_t>(commands.size() + 1)});
  for (std::size_t i = 0; i != commands.size(); ++i) {
    push(commands[i]);
    if ((i + 1) % batch == 0 && i + 1 != commands.size()) parts_.registers.write(reg::cmdq_prod, prod_, 4);
  }
  const Hpa sync = slot(prod_);
  smmuv3::CmdSync done;
  done.cs = smmuv3::SyncSignal::irq;
  done.msh = inner_shareable;
  done.msi_attr = write_back;
  done.msi_address = sync.value;
  push(done);
  parts_.registers.write(reg::cmdq_prod, prod_, 4);
  wait(processor, sync);
}

void SmmuHostIommu::wait(Processor& processor, Hpa sync) {
  const Time began = processor.now();
  while (parts_.memory.read<std::uint32_t>(sync) != 0) {
    parts_.monitor.watch(sync, processor);
    processor.park();
  }
  if (costs_.poll_interval == Time{}) return;
  const Time waited = processor.now() - began;  // seen at the next look, not when it happened
  const Time rest = waited % costs_.poll_interval;
  if (rest != Time{}) processor.spend(costs_.poll_interval - rest);
}

}  // namespace gnomon::hypervisor
