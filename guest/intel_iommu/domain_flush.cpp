// SPDX-License-Identifier: Apache-2.0
// IntelDomain's flushes, and the devices it is bound to.
#include <algorithm>

#include "guest/intel_iommu/domain.hpp"

namespace gnomon::guest {

namespace {

// Of the event stream: what belongs to domain id 0, which tags entries that are not present.
constexpr std::uint32_t no_domain = 0;

}  // namespace

/// Descriptors on their way to the queue: up to descriptors_per_submit of them a submission.
class IntelDomain::Batch {
 public:
  Batch(IntelDomain& domain, Cpu& cpu)
      : domain_(domain),
        cpu_(cpu),
        most_(std::clamp(domain.unit_.driver.kernel.descriptors_per_submit, 1u, most_batched)) {}

  void add(const vtd::InvalidationDescriptor& descriptor) {
    descriptors_[count_++] = descriptor;
    if (count_ == most_) submit();
  }
  void submit() {
    if (count_ != 0) domain_.unit_.queue.submit(cpu_, {descriptors_.data(), count_}, domain_.id_);
    count_ = 0;
  }

 private:
  IntelDomain& domain_;
  Cpu& cpu_;
  const unsigned most_;
  unsigned count_ = 0;
  std::array<vtd::InvalidationDescriptor, most_batched> descriptors_;
};

template <class Fill>
void IntelDomain::flush(Cpu& cpu, trace::Sync kind, Fill fill) {
  if (devices_.empty()) return;  // of no unit's concern
  cpu.processor().sync();
  const Time began = cpu.now();
  {
    Batch batch(*this, cpu);
    if (unit_.driver.cache_tags) {
      InterruptsOff off(cpu);
      LockGuard guard(lock_, cpu.processor());
      fill(batch);
      batch.submit();
    } else {
      fill(batch);
      batch.submit();
    }
  }
  cpu.processor().sync();
  cpu.emit(trace::SyncDone{began.ps(), id_, cpu.id(), kind, 0});
}

void IntelDomain::flush_range(Cpu& cpu, Iova first, Iova last, const Flush& wanted) {
  flush(cpu, wanted.kind, [&](Batch& batch) {
    const bool hint = wanted.hint || unit_.driver.faults.always_hint;
    for_each_block(*unit_.driver.kernel.flush_policy, unit_.flush, first, last, [&](const FlushBlock& enclosing) {
      FlushBlock block = enclosing;
      if (unit_.driver.faults.no_rounding && !block.whole_domain()) {
        block.order = std::max(static_cast<unsigned>(std::bit_width(last - first)), 12u);
        block.base = first.value >> block.order << block.order;
      }
      batch.add(invalidation(block, hint));
      if (!unit_.device_tlb || !wanted.device_tlbs) return;
      for (const SourceId device : devices_) batch.add(device_invalidation(device, block));
    });
  });
}

void IntelDomain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  if (gather.empty() || unit_.driver.faults.skip_unmap_flush) return;
  flush_range(cpu, Iova{gather.start}, Iova{gather.end}, {trace::Sync::unmap, gather.freelist.empty(), true});
}

int IntelDomain::iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (bytes == 0 || unit_.driver.faults.skip_map_flush) return 0;
  if (!unit_.cap.cm || table_.first_level()) {
    flush_write_buffer(cpu);
  } else {  // what was not present is in no device's TLB
    flush_range(cpu, iova, iova + (bytes - 1), {trace::Sync::map, false, false});
  }
  return 0;
}

void IntelDomain::flush_iotlb_all(Cpu& cpu) {
  flush(cpu, trace::Sync::all, [&](Batch& batch) {
    batch.add(invalidation(flush_whole_domain, false));
    if (!unit_.device_tlb || (unit_.cap.cm && !unit_.driver.cache_tags)) return;
    for (const SourceId device : devices_) batch.add(device_invalidation(device, flush_whole_domain));
  });
}

// Of hardware that has one (RWBF).
void IntelDomain::flush_write_buffer(Cpu& cpu) {
  if (unit_.cap.rwbf) unit_.command.flush_write_buffer(cpu);
}

vtd::InvalidationDescriptor IntelDomain::invalidation(const FlushBlock& block, bool hint) const {
  const auto am = static_cast<std::uint8_t>(block.whole_domain() ? 0 : block.order - page_shift);
  const Iova addr{block.whole_domain() ? 0 : block.base};
  if (table_.first_level()) {
    if (block.whole_domain())
      return vtd::PasidIotlbInvalidate{vtd::PasidGranularity::pasid, tag(), rid_pasid, 0, false, {}};
    return vtd::PasidIotlbInvalidate{vtd::PasidGranularity::pages, tag(), rid_pasid, am, hint, addr};
  }
  const bool leaf_only = hint && unit_.driver.second_level_hint && !block.whole_domain();
  return vtd::IotlbInvalidate{block.whole_domain() ? vtd::Granularity::domain : vtd::Granularity::device_or_page,
                              unit_.cap.dwd,
                              unit_.cap.drd,
                              tag(),
                              am,
                              leaf_only,
                              addr};
}

// The size lies in the address: ones from bit 12 up to below the block's top, then a zero.
vtd::InvalidationDescriptor IntelDomain::device_invalidation(SourceId device, const FlushBlock& block) const {
  vtd::DeviceTlbInvalidate d;
  d.sid = d.pfsid = device;
  d.addr = Iova{block.whole_domain() ? 0 : block.base};
  d.s = block.order > page_shift;
  if (d.s) d.addr.value |= (std::uint64_t{1} << (block.order - 1)) - 1;
  d.addr.value &= ~(page_size - 1);
  return d;
}

void IntelDomain::submit(Cpu& cpu, const vtd::InvalidationDescriptor& descriptor, std::uint32_t domain) {
  unit_.queue.submit(cpu, {&descriptor, 1}, domain);
}

void IntelDomain::attach(Cpu& cpu, SourceId device) {
  cpu.processor().sync();
  devices_.push_back(device);
  unit_.scalable ? attach_scalable(cpu, device) : attach_legacy(cpu, device);
}

void IntelDomain::attach_legacy(Cpu& cpu, SourceId device) {
  vtd::ContextEntry entry;
  entry.p = true;
  entry.tt = unit_.device_tlb ? vtd::TranslationType::with_device_tlb : vtd::TranslationType::untranslated_only;
  entry.ssptptr = Hpa{table_.root().value};
  entry.aw = vtd::aw_of_levels(table_.levels());
  entry.did = tag();
  unit_.tables.set_context(device, entry);
  if (!unit_.cap.cm) {
    flush_write_buffer(cpu);
    return;
  }
  submit(cpu, vtd::ContextCacheInvalidate{vtd::Granularity::device_or_page, {}, device, 0}, no_domain);
  submit(cpu, invalidation(flush_whole_domain, false), id_);
}

void IntelDomain::attach_scalable(Cpu& cpu, SourceId device) {
  if (unit_.tables.set_scalable_context(device, unit_.device_tlb) && unit_.cap.cm) {
    submit(cpu, vtd::ContextCacheInvalidate{vtd::Granularity::device_or_page, {}, device, 0}, no_domain);
    submit(cpu, vtd::IotlbInvalidate{vtd::Granularity::domain, unit_.cap.dwd, unit_.cap.drd, {}, 0, false, {}},
           no_domain);
  }
  vtd::PasidTableEntry entry;
  entry.p = true;
  entry.did = tag();
  entry.pwsnp = unit_.ecap.smpwcs;
  if (table_.first_level()) {
    entry.pgtt = vtd::TranslationGranularity::first_stage;
    entry.fspm = vtd::fspm_of_levels(table_.levels());
    entry.fsptptr = table_.root().value;
  } else {
    entry.pgtt = vtd::TranslationGranularity::second_stage;
    entry.aw = vtd::aw_of_levels(table_.levels());
    entry.ssptptr = Hpa{table_.root().value};
  }
  unit_.tables.set_pasid(device, entry);
  if (!unit_.cap.cm) {
    flush_write_buffer(cpu);
    return;
  }
  submit(cpu, vtd::PasidCacheInvalidate{vtd::PasidCacheGranularity::pasid, tag(), rid_pasid}, id_);
  submit(cpu, vtd::PasidIotlbInvalidate{vtd::PasidGranularity::pasid, tag(), rid_pasid, 0, false, {}}, id_);
}

void IntelDomain::detach(Cpu& cpu, SourceId device) {
  cpu.processor().sync();
  if (unit_.scalable) {
    unit_.tables.clear_pasid(device);
    submit(cpu, vtd::PasidCacheInvalidate{vtd::PasidCacheGranularity::pasid, tag(), rid_pasid}, id_);
  } else {
    unit_.tables.clear_context(device);
    submit(cpu, vtd::ContextCacheInvalidate{vtd::Granularity::device_or_page, tag(), device, 0}, id_);
  }
  submit(cpu, invalidation(flush_whole_domain, false), id_);
  if (unit_.device_tlb) submit(cpu, device_invalidation(device, flush_whole_domain), id_);
  std::erase(devices_, device);
}

}  // namespace gnomon::guest
