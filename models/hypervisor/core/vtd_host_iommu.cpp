// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/vtd_host_iommu.hpp"

#include <bit>
#include <vector>

#include "models/pgtable/second_stage_table.hpp"
#include "models/spec/vtd/registers.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"
#include "models/spec/vtd/scalable_tables.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::hypervisor {

namespace {

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

VtdHostIommu::VtdHostIommu(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor, RegisterPort& registers,
                           const HostIommuCosts& costs, const VtdHostOptions& options, trace::Tracer& tracer)
    : memory_(memory), pages_(pages), monitor_(monitor), registers_(registers), costs_(costs), options_(options),
      tracer_(tracer) {}

void VtdHostIommu::enable() {
  const auto mode = options_.scalable ? vtd::TranslationTableMode::scalable : vtd::TranslationTableMode::legacy;
  root_table_ = pages_.allocate();
  queue_ = pages_.allocate();
  status_ = pages_.allocate();
  registers_.write(vtd::reg::rtaddr, root_table_.value | static_cast<std::uint64_t>(mode) << 10, 8);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::srtp, 4);
  registers_.write(vtd::reg::iqt, 0, 8);
  registers_.write(vtd::reg::iqa, queue_.value | (options_.scalable ? vtd::iqa_dw : 0), 8);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::qie, 4);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::qie | vtd::gcmd::te, 4);
}

std::unique_ptr<HostTable> VtdHostIommu::make_table(DomainId /*domain*/) {
  return std::make_unique<VtdTable>(memory_, pages_);
}

void VtdHostIommu::attach(SourceId device, DomainId domain, HostTable& table) {
  const Hpa root = static_cast<const VtdTable&>(table).root();
  if (!options_.scalable) return attach_legacy(device, domain, root);
  vtd::PasidTableEntry entry;
  entry.p = true;
  entry.pgtt = vtd::TranslationGranularity::second_stage;
  entry.ssptptr = root;
  entry.aw = vtd::aw_of_levels(table_levels);
  entry.did = domain;
  memory_.write(pasid_entry(device), vtd::encode(entry));
}

void VtdHostIommu::attach_legacy(SourceId device, DomainId domain, Hpa root) {
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
  context.ssptptr = root;
  context.aw = vtd::aw_of_levels(table_levels);
  context.did = domain;
  memory_.write(root_entry.ctp + device_function * sizeof(vtd::Bits128), vtd::encode(context));
}

/// The entry of a device's requests without PASID, which carry RID_PASID 0; the tables on the way are made.
Hpa VtdHostIommu::pasid_entry(SourceId device) {
  const unsigned function = device.value & 0x7f;
  const bool upper = (device.value & 0x80) != 0;
  const Hpa root_slot = root_table_ + (device.value >> 8) * sizeof(vtd::Bits128);
  auto root = vtd::decode_scalable_root_entry(memory_.read<vtd::Bits128>(root_slot));
  bool& present = upper ? root.up : root.lp;
  Hpa& contexts = upper ? root.uctp : root.lctp;
  if (!present) {
    present = true;
    contexts = pages_.allocate();
    memory_.write(root_slot, vtd::encode(root));
  }
  const Hpa context_slot = contexts + function * sizeof(vtd::Bits256);
  auto context = vtd::decode_scalable_context_entry(memory_.read<vtd::Bits256>(context_slot));
  if (!context.p) {
    context = {};
    context.p = true;
    context.pasiddirptr = pages_.allocate();
    const vtd::PasidDirectoryEntry directory{true, false, pages_.allocate()};
    memory_.write(context.pasiddirptr, vtd::encode(directory));
    memory_.write(context_slot, vtd::encode(context));
  }
  return vtd::decode_pasid_directory_entry(memory_.read<std::uint64_t>(context.pasiddirptr)).smptblptr;
}

void VtdHostIommu::nest(Processor& processor, SourceId device, DomainId domain, HostTable& table,
                        const Nesting& nesting) {
  vtd::PasidTableEntry entry;
  entry.p = !nesting.blocked;
  entry.pgtt = nesting.levels == 0 ? vtd::TranslationGranularity::second_stage : vtd::TranslationGranularity::nested;
  entry.ssptptr = static_cast<const VtdTable&>(table).root();
  entry.aw = vtd::aw_of_levels(table_levels);
  entry.did = domain;
  if (nesting.levels != 0) {
    entry.fspm = vtd::fspm_of_levels(nesting.levels);
    entry.fsptptr = nesting.root.value;
  }
  memory_.write(pasid_entry(device), vtd::encode(entry));
  vtd::PasidCacheInvalidate cache;
  cache.g = vtd::PasidCacheGranularity::domain;
  cache.did = domain;
  vtd::PasidIotlbInvalidate translations;
  translations.did = domain;
  submit(processor, {cache, translations});
}

void VtdHostIommu::invalidate_nested(Processor& processor, DomainId domain, Iova iova, std::uint64_t bytes,
                                     bool leaf_only) {
  vtd::PasidIotlbInvalidate flush;
  flush.did = domain;
  if (bytes != ~std::uint64_t{0}) {
    const auto mask = static_cast<unsigned>(std::bit_width(iova.page() ^ (iova + (bytes - 1)).page()));
    if (mask <= options_.max_address_mask) {
      flush.g = vtd::PasidGranularity::pages;
      flush.am = static_cast<std::uint8_t>(mask);
      flush.addr = Iova{iova.value & ~((std::uint64_t{1} << (page_shift + mask)) - 1)};
      flush.ih = leaf_only;
    }
  }
  submit(processor, {flush});
}

void VtdHostIommu::invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) {
  vtd::IotlbInvalidate flush;
  flush.did = domain;
  flush.dr = true;
  flush.dw = true;
  const auto mask = static_cast<unsigned>(std::bit_width(first.page() ^ last.page()));
  if (mask <= options_.max_address_mask) {
    flush.g = vtd::Granularity::device_or_page;
    flush.am = static_cast<std::uint8_t>(mask);
    flush.addr = Iova{first.value & ~((std::uint64_t{1} << (page_shift + mask)) - 1)};
    flush.ih = leaf_only;
  } else {
    flush.g = vtd::Granularity::domain;
  }
  submit(processor, {flush});
}

std::uint64_t VtdHostIommu::descriptor_bytes() const {
  return options_.scalable ? vtd::wide_descriptor_bytes : vtd::descriptor_bytes;
}

void VtdHostIommu::push(const vtd::InvalidationDescriptor& descriptor) {
  const Hpa slot = queue_ + tail_ * descriptor_bytes();
  if (options_.scalable) {
    memory_.write(slot, vtd::encode_wide(descriptor));
  } else {
    memory_.write(slot, vtd::encode(descriptor));
  }
  tail_ = static_cast<std::uint32_t>((tail_ + 1) % (page_size / descriptor_bytes()));
}

/// The commands and one wait descriptor behind them, with one doorbell; returns when the unit has done them.
void VtdHostIommu::submit(Processor& processor, std::initializer_list<vtd::InvalidationDescriptor> commands) {
  vtd::InvalidationWait done;
  done.sw = true;
  done.status_address = status_;
  done.status_data = ++sequence_;
  const std::uint32_t sequence = sequence_;

  processor.spend(costs_.submit);
  processor.sync();
  for (const vtd::InvalidationDescriptor& command : commands) push(command);
  push(done);
  tracer_.emit(processor.now(),
               trace::InvalidationSubmitted{processor.id(), static_cast<std::uint32_t>(commands.size() + 1)});
  registers_.write(vtd::reg::iqt, tail_ * descriptor_bytes(), 8);
  wait(processor, sequence);
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
