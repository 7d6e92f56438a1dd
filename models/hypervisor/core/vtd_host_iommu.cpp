// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/vtd_host_iommu.hpp"

#include <bit>
#include <vector>

#include "models/pgtable/second_stage_table.hpp"
#include "models/spec/vtd/registers.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::hypervisor {

namespace {

constexpr std::uint32_t queue_descriptors = 256;  // one page of 128-bit descriptors
constexpr unsigned table_levels = 4;

/// VT-d second stage.
class VtdTable final : public HostTable {
 public:
  VtdTable(PhysicalMemory& memory, PageAllocator& pages) : pages_(pages), table_(memory, pages, table_levels) {}

  Hpa root() const { return table_.root(); }
  bool tables_unlinked() const override { return !unlinked_.empty(); }
  void free_unlinked() override {
    for (const Hpa page : unlinked_) pages_.free(page);
    unlinked_.clear();
  }
  MapOutcome map(Iova iova, Hpa hpa, std::uint64_t bytes, std::uint64_t leaf_bytes, DmaAccess access) override {
    const pgtable::Permissions permissions{permits(access, DmaAccess::read), permits(access, DmaAccess::write)};
    const auto done = table_.map(iova, hpa, bytes, permissions, leaf_bytes, unlinked_);
    return {done.status == pgtable::MapStatus::done, done.bytes, static_cast<std::uint32_t>(done.entries_written),
            static_cast<std::uint32_t>(done.tables_allocated)};
  }
  UnmapOutcome unmap(Iova iova, std::uint64_t bytes) override {
    const auto done = table_.unmap(iova, bytes, unlinked_);
    return {done.bytes, static_cast<std::uint32_t>(done.entries_written),
            static_cast<std::uint32_t>(done.tables_unlinked)};
  }
  std::optional<Hpa> iova_to_phys(Iova iova) override {
    const auto mapping = table_.lookup(iova);
    return mapping ? std::optional(mapping->hpa) : std::nullopt;
  }
  std::uint64_t page_sizes() const override { return pgtable::all_sizes; }

 private:
  PageAllocator& pages_;
  pgtable::SecondStageTable table_;
  std::vector<Hpa> unlinked_;
};

}  // namespace

VtdHostIommu::VtdHostIommu(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor,
                                 RegisterPort& registers, const HostIommuCosts& costs, unsigned max_address_mask,
                                 trace::Tracer& tracer)
    : memory_(memory),
      pages_(pages),
      monitor_(monitor),
      registers_(registers),
      costs_(costs),
      max_address_mask_(max_address_mask),
      tracer_(tracer) {}

void VtdHostIommu::enable() {
  root_table_ = pages_.allocate();
  queue_ = pages_.allocate();
  status_ = pages_.allocate();
  registers_.write(vtd::reg::rtaddr, root_table_.value, 8);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::srtp, 4);
  registers_.write(vtd::reg::iqt, 0, 8);
  registers_.write(vtd::reg::iqa, queue_.value, 8);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::qie, 4);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::qie | vtd::gcmd::te, 4);
}

std::unique_ptr<HostTable> VtdHostIommu::make_table(DomainId /*domain*/) {
  return std::make_unique<VtdTable>(memory_, pages_);
}

void VtdHostIommu::attach(SourceId device, DomainId domain, HostTable& table) {
  const unsigned bus = device.value >> 8;
  const unsigned device_function = device.value & 0xff;
  const Hpa root_slot = root_table_ + bus * sizeof(vtd::Bits128);
  auto root_entry = vtd::decode_root_entry(memory_.read<vtd::Bits128>(root_slot));
  if (!root_entry.p) {
    root_entry = {true, pages_.allocate()};
    memory_.write(root_slot, vtd::encode(root_entry));
  }
  vtd::ContextEntry context;
  context.p = true;
  context.ssptptr = static_cast<const VtdTable&>(table).root();
  context.aw = vtd::aw_of_levels(table_levels);
  context.did = domain;
  memory_.write(root_entry.ctp + device_function * sizeof(vtd::Bits128), vtd::encode(context));
}

void VtdHostIommu::push(const vtd::InvalidationDescriptor& descriptor) {
  memory_.write(queue_ + tail_ * sizeof(vtd::Bits128), vtd::encode(descriptor));
  tail_ = (tail_ + 1) % queue_descriptors;
}

void VtdHostIommu::invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) {
  vtd::IotlbInvalidate flush;
  flush.did = domain;
  flush.dr = true;
  flush.dw = true;
  const auto mask = static_cast<unsigned>(std::bit_width(first.page() ^ last.page()));
  if (mask <= max_address_mask_) {
    flush.g = vtd::Granularity::device_or_page;
    flush.am = static_cast<std::uint8_t>(mask);
    flush.addr = Iova{first.value & ~((std::uint64_t{1} << (page_shift + mask)) - 1)};
    flush.ih = leaf_only;
  } else {
    flush.g = vtd::Granularity::domain;
  }
  vtd::InvalidationWait done;
  done.sw = true;
  done.status_address = status_;
  done.status_data = ++sequence_;

  processor.spend(costs_.submit);
  processor.sync();
  push(flush);
  push(done);
  tracer_.emit(processor.now(), trace::InvalidationSubmitted{processor.id(), 2});
  registers_.write(vtd::reg::iqt, tail_ * sizeof(vtd::Bits128), 8);
  wait(processor, sequence_);
}

void VtdHostIommu::wait(Processor& processor, std::uint32_t expected) {
  const Time began = processor.now();
  // The queue is served in order: a later wait's number stands for ours too.
  while (static_cast<std::int32_t>(memory_.read<std::uint32_t>(status_) - expected) < 0) {
    monitor_.watch(status_, processor);
    processor.park();
  }
  if (costs_.poll_interval == Time{}) return;
  const Time waited = processor.now() - began;  // seen at the next look, not when it happened
  const Time rest = waited % costs_.poll_interval;
  if (rest != Time{}) processor.spend(costs_.poll_interval - rest);
}

}  // namespace gnomon::hypervisor
