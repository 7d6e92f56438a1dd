// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/amd_host_iommu.hpp"

#include "models/pgtable/amd_v1_table.hpp"
#include "models/spec/amdvi/device_table.hpp"
#include "models/spec/amdvi/registers.hpp"

namespace gnomon::hypervisor {

namespace {

constexpr unsigned log2_commands = 9;  // 512 commands, as Linux has it
constexpr std::uint64_t ring_bytes = amdvi::command_bytes << log2_commands;
constexpr std::uint64_t device_table_pages = 512;  // 2 MiB: every requester id

}  // namespace

/// A v1 table. What a mapping replaces, and the root that growth makes, wait for the next flush.
class AmdHostIommu::Table final : public HostTable {
 public:
  explicit Table(pgtable::HostTableMemory& memory) : memory_(memory), table_(memory) {}

  Hpa root() const { return table_.root(); }
  unsigned levels() const { return table_.levels(); }
  bool grown() const { return grown_; }
  void published() { grown_ = false; }

  bool tables_unlinked() const override { return !unlinked_.empty(); }
  void free_unlinked() override {
    for (const Hpa page : unlinked_) memory_.free(page);
    unlinked_.clear();
  }
  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t leaf_bytes, DmaAccess access) override {
    const pgtable::Permissions permissions{permits(access, DmaAccess::read), permits(access, DmaAccess::write)};
    const auto done = table_.map(iova, hpa, leaf_bytes, bytes / leaf_bytes, permissions, unlinked_);
    grown_ = grown_ || done.root_changed;
    return {done.status == pgtable::AmdMapStatus::done, done.bytes, static_cast<std::uint32_t>(done.entries_written),
            static_cast<std::uint32_t>(done.tables_allocated)};
  }
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    const auto done = table_.unmap(iova, bytes);
    return {done.bytes, static_cast<std::uint32_t>(done.entries_written), 0};
  }
  std::optional<Hpa> iova_to_phys(Iova iova) override {
    const auto mapping = table_.lookup(iova);
    return mapping ? std::optional(mapping->hpa) : std::nullopt;
  }
  std::uint64_t page_sizes() const override { return pgtable::amd_v1_sizes; }

 private:
  pgtable::HostTableMemory& memory_;
  pgtable::AmdV1Table<HpaSpace> table_;
  std::vector<Hpa> unlinked_;
  bool grown_ = false;
};

AmdHostIommu::AmdHostIommu(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor, RegisterPort& registers,
                           const HostIommuCosts& costs, trace::Tracer& tracer)
    : memory_(memory), pages_(pages), tables_(memory, pages), monitor_(monitor), registers_(registers), costs_(costs),
      tracer_(tracer) {}

AmdHostIommu::~AmdHostIommu() = default;

void AmdHostIommu::enable() {
  using namespace amdvi;
  device_table_ = pages_.allocate_contiguous(device_table_pages);
  ring_ = pages_.allocate_contiguous(ring_bytes / page_size);
  semaphore_ = pages_.allocate();
  registers_.write(reg::device_table, device_table_register(device_table_, device_table_pages * page_size), 8);
  registers_.write(reg::command_buffer, ring_register(ring_, log2_commands), 8);
  registers_.write(reg::command_head, 0, 8);
  registers_.write(reg::command_tail, 0, 8);
  registers_.write(reg::control, control::iommu_en | control::cmd_buf_en, 8);
}

std::unique_ptr<HostTable> AmdHostIommu::make_table(DomainId /*domain*/) { return std::make_unique<Table>(tables_); }

void AmdHostIommu::attach(SourceId device, DomainId domain, HostTable& table) {
  attachments_.push_back({device, domain, &static_cast<Table&>(table)});
  write_entry(attachments_.back());
}

void AmdHostIommu::write_entry(const Attachment& a) {
  amdvi::DeviceTableEntry entry;
  entry.v = entry.tv = true;
  entry.mode = static_cast<std::uint8_t>(a.table->levels());
  entry.root = a.table->root();
  entry.ir = entry.iw = true;
  entry.domain = a.domain;
  memory_.write(device_table_ + a.device.value * amdvi::device_table_entry_bytes, amdvi::encode(entry));
}

void AmdHostIommu::push(const amdvi::Command& command) {
  memory_.write(ring_ + tail_, amdvi::encode(command));
  tail_ = (tail_ + amdvi::command_bytes) % ring_bytes;
  registers_.write(amdvi::reg::command_tail, tail_, 8);
}

void AmdHostIommu::invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool /*leaf_only*/) {
  processor.spend(costs_.submit);
  processor.sync();
  std::uint32_t commands = 2;
  for (const Attachment& a : attachments_) {
    if (a.domain != domain || !a.table->grown()) continue;
    write_entry(a);
    push(amdvi::InvalidateDevtabEntry{a.device});
    ++commands;
  }
  for (const Attachment& a : attachments_) {
    if (a.domain == domain) a.table->published();
  }
  amdvi::InvalidateIommuPages flush;
  flush.domain = domain;
  flush.range = amdvi::encode_range(first, last - first + 1);
  flush.pde = true;  // to 6.12, whatever was freed
  amdvi::CompletionWait done;
  done.s = true;
  done.store_address = semaphore_;
  done.store_data = ++sequence_;
  tracer_.emit(processor.now(), trace::InvalidationSubmitted{processor.id(), commands});
  push(flush);
  push(done);
  wait(processor, sequence_);
}

void AmdHostIommu::wait(Processor& processor, std::uint64_t expected) {
  const Time began = processor.now();
  while (memory_.read<std::uint64_t>(semaphore_) < expected) {
    monitor_.watch(semaphore_, processor);
    processor.park();
  }
  if (costs_.poll_interval == Time{}) return;
  const Time waited = processor.now() - began;  // seen at the next look, not when it happened
  const Time rest = waited % costs_.poll_interval;
  if (rest != Time{}) processor.spend(costs_.poll_interval - rest);
}

}  // namespace gnomon::hypervisor
