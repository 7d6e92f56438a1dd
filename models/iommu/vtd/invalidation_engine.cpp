// SPDX-License-Identifier: Apache-2.0
// VtdUnit's invalidation queue. VT-d specification rev 4.1, section 6.5.2.
#include <algorithm>

#include "models/iommu/vtd/answer.hpp"
#include "models/iommu/vtd/unit.hpp"

namespace gnomon::iommu {
namespace {

constexpr std::uint32_t stopping = vtd::fsts::iqe | vtd::fsts::ice | vtd::fsts::ite;

Granularity selected(vtd::Granularity g, Granularity finest) {
  switch (g) {
    case vtd::Granularity::global: return Granularity::global;
    case vtd::Granularity::domain: return Granularity::domain;
    case vtd::Granularity::device_or_page: return finest;
  }
  return Granularity::global;
}

}  // namespace

bool VtdUnit::queue_pending() const {
  return (status_ & vtd::gcmd::qie) != 0 && (faults_.status() & stopping) == 0 && head_ != tail_;
}

std::uint64_t VtdUnit::queued() const {
  if (!queue_pending()) return 0;
  const std::uint64_t ring = vtd::queue_bytes(queue_);
  return std::max<std::uint64_t>(1, ((tail_ + ring - head_) % ring) / descriptor_width());
}

std::uint64_t VtdUnit::descriptor_width() const {
  return (queue_ & vtd::iqa_dw) != 0 ? vtd::wide_descriptor_bytes : vtd::descriptor_bytes;
}

InvalidationStep VtdUnit::step() {
  if ((status_ & vtd::gcmd::qie) == 0) return QueueIdle{};
  if ((faults_.status() & stopping) != 0) return QueueStopped{};
  if (head_ == tail_) return QueueIdle{};
  const bool wide = (queue_ & vtd::iqa_dw) != 0;
  if (wide && !config_.scalable_mode) return queue_error(vtd::QueueErrorInfo::invalid_descriptor_width);
  if (wide && (tail_ & vtd::iqt_misaligned) != 0) return queue_error(vtd::QueueErrorInfo::tail_not_aligned);
  const std::uint64_t bytes = vtd::queue_bytes(queue_);
  if (tail_ >= bytes) return queue_error(vtd::QueueErrorInfo::invalid_tail);

  const InvalidationStep outcome = run_descriptor(Hpa{(queue_ & vtd::mask(63, 12)) + head_});
  // On an error the head stays: software finds the descriptor there, replaces it, and clears IQE.
  if (!std::holds_alternative<QueueError>(outcome)) head_ = (head_ + descriptor_width()) & (bytes - 1);
  return outcome;
}

InvalidationStep VtdUnit::run_descriptor(Hpa address) {
  const auto run = [this](const vtd::InvalidationDescriptor& descriptor) {
    return std::visit([this](const auto& d) { return execute(d); }, descriptor);
  };
  if (descriptor_width() == vtd::descriptor_bytes) {
    const auto raw = read_table<vtd::Bits128>(memory_, address);
    if (!raw) return queue_error(vtd::QueueErrorInfo::fetch_error);
    return run(vtd::decode_invalidation_descriptor(*raw));
  }
  const auto raw = read_table<vtd::Bits256>(memory_, address);
  if (!raw) return queue_error(vtd::QueueErrorInfo::fetch_error);
  return run(vtd::decode_wide_invalidation_descriptor(*raw));
}

QueueError VtdUnit::queue_error(vtd::QueueErrorInfo info) {
  queue_error_ = (queue_error_ & ~vtd::mask(3, 0)) | static_cast<std::uint64_t>(info);
  return QueueError{info, faults_.raise(vtd::fsts::iqe)};
}

bool VtdUnit::device_tlb_timed_out(SourceId sid) {
  if ((faults_.status() & vtd::fsts::ite) == 0) {  // the first one stays recorded
    queue_error_ = (queue_error_ & ~vtd::mask(47, 32)) | std::uint64_t{sid.value} << 32;
  }
  return faults_.raise(vtd::fsts::ite);
}

InvalidationStep VtdUnit::execute(const vtd::ContextCacheInvalidate& d) {
  ContextCacheInvalidated done{selected(d.g, Granularity::device), d.did, d.sid, d.fm, 0};
  switch (d.g) {
    case vtd::Granularity::global: done.dropped = context_cache_.invalidate_global(); break;
    case vtd::Granularity::domain: done.dropped = context_cache_.invalidate_domain(d.did); break;
    case vtd::Granularity::device_or_page:
      done.dropped = context_cache_.invalidate_device(d.did, d.sid, d.fm);
      break;
  }
  done.dropped += d.g == vtd::Granularity::device_or_page
                      ? scalable_.invalidate_contexts(d.sid, ContextCache::compared_bits(d.fm))
                      : scalable_.invalidate_contexts();
  return done;
}

InvalidationStep VtdUnit::execute(const vtd::IotlbInvalidate& d) {
  const bool walk_cache_too = !config_.faults.keep_walk_cache;
  IotlbInvalidated done;
  done.granularity = selected(d.g, Granularity::pages);
  done.domain = d.did;
  done.bytes = std::uint64_t{1} << config_.address_width;
  done.drain_reads = d.dr;
  done.drain_writes = d.dw;
  switch (d.g) {
    case vtd::Granularity::global:
      done.iotlb_dropped = iotlb_.invalidate_global();
      if (!walk_cache_too) break;
      done.walk_cache_dropped = walk_cache_.invalidate_global() + scalable_.first_stage_cache().invalidate_global();
      break;
    case vtd::Granularity::domain:
      if (config_.faults.ignore_domain_invalidation) break;
      done.iotlb_dropped = iotlb_.invalidate_domain(d.did);
      if (!walk_cache_too) break;
      done.walk_cache_dropped =
          walk_cache_.invalidate_domain(d.did) + scalable_.first_stage_cache().invalidate_domain(d.did);
      break;
    case vtd::Granularity::device_or_page:
      if (d.am > config_.max_address_mask) return queue_error(vtd::QueueErrorInfo::reserved_field);
      invalidate_pages(d, done);
      break;
  }
  return done;
}

void VtdUnit::invalidate_pages(const vtd::IotlbInvalidate& d, IotlbInvalidated& done) {
  const vtd::PageBlock block = vtd::page_block(d.addr, d.am);
  const std::uint64_t effective = config_.faults.ignore_psi_mask ? page_size : block.bytes;
  done.iova = block.base;
  done.bytes = block.bytes;
  done.invalidation_hint = d.ih;
  done.iotlb_dropped = iotlb_.invalidate_pages(d.did, block.base, effective);
  if (!config_.faults.keep_walk_cache && !d.ih) {
    done.walk_cache_dropped = walk_cache_.invalidate_pages(d.did, block.base, effective);
  }
  if (!config_.nested || config_.faults.keep_nested_entries) return;
  // The block is of the second stage's input. What the first stage made of it is cached under other addresses: all
  // nested entries of the domain go, and with them the places of first-stage tables, whatever the hint says of the
  // second stage's own.
  done.iotlb_dropped += iotlb_.invalidate_pasids(d.did);
  if (!config_.faults.keep_walk_cache) {
    done.walk_cache_dropped += scalable_.first_stage_cache().invalidate_domain(d.did);
  }
}

InvalidationStep VtdUnit::execute(const vtd::DeviceTlbInvalidate& d) {
  if (!config_.device_tlb) return queue_error(vtd::QueueErrorInfo::invalid_descriptor_type);
  const vtd::PageBlock block = vtd::page_block(d);
  return DeviceTlbInvalidation{d.sid, d.mip, block.base, block.bytes, no_pasid, false};
}

InvalidationStep VtdUnit::execute(const vtd::InterruptEntryCacheInvalidate& d) {
  if (!d.g) return InterruptEntriesInvalidated{};
  if (d.im > max_index_mask) return queue_error(vtd::QueueErrorInfo::reserved_field);
  // As the address mask: the low IM bits of the index are ignored.
  const std::uint64_t count = std::uint64_t{1} << d.im;
  return InterruptEntriesInvalidated{false, static_cast<std::uint16_t>(d.iidx & ~(count - 1)),
                                     static_cast<std::uint32_t>(count)};
}

InvalidationStep VtdUnit::execute(const vtd::InvalidationWait& d) {
  WaitReached done{d.sw, d.status_address, d.status_data, d.fn, d.pd, false};
  if (d.if_ && !wait_complete_) {  // one event until software has cleared IWC
    wait_complete_ = true;
    if ((completion_control_ & vtd::event_control::im) != 0) {
      completion_control_ |= vtd::event_control::ip;
    } else {
      done.completion_event = true;
    }
  }
  return done;
}

// Section 6.5.2.4: first-stage and nested entries. The second stage's own paging structures stay.
InvalidationStep VtdUnit::execute(const vtd::PasidIotlbInvalidate& d) {
  const CacheTag tag{d.did, Pasid{d.pasid}};
  const bool walk_cache_too = !config_.faults.keep_walk_cache && !config_.faults.keep_nested_walk_cache;
  IotlbInvalidated done;
  done.domain = d.did;
  done.pasid = tag.pasid;
  done.drain_reads = done.drain_writes = true;
  if (d.g == vtd::PasidGranularity::pasid) {
    done.granularity = Granularity::pasid;
    done.bytes = std::uint64_t{1} << config_.address_width;
    if (config_.faults.ignore_pasid_invalidation) return done;
    done.iotlb_dropped = iotlb_.invalidate_pasid(tag);
    if (walk_cache_too) done.walk_cache_dropped = scalable_.first_stage_cache().invalidate_pasid(tag);
    return done;
  }
  if (d.am > config_.max_address_mask) return queue_error(vtd::QueueErrorInfo::reserved_field);
  const vtd::PageBlock block = vtd::page_block(d.addr, d.am);
  const std::uint64_t effective = config_.faults.ignore_psi_mask ? page_size : block.bytes;
  done.granularity = Granularity::pages;
  done.iova = block.base;
  done.bytes = block.bytes;
  done.invalidation_hint = d.ih;
  done.iotlb_dropped = iotlb_.invalidate_pasid_pages(tag, block.base, effective);
  if (walk_cache_too && !d.ih) {
    done.walk_cache_dropped = scalable_.first_stage_cache().invalidate_pasid_pages(tag, block.base, effective);
  }
  return done;
}

// Section 6.5.2.2. The translations that were made with an entry are the business of the IOTLB descriptors.
InvalidationStep VtdUnit::execute(const vtd::PasidCacheInvalidate& d) {
  PasidCacheInvalidated done{Granularity::global, d.did, Pasid{d.pasid}, 0};
  if (d.g == vtd::PasidCacheGranularity::domain) done.granularity = Granularity::domain;
  if (d.g == vtd::PasidCacheGranularity::pasid) done.granularity = Granularity::pasid;
  if (!config_.faults.keep_pasid_cache) done.dropped = scalable_.invalidate(d);
  return done;
}

InvalidationStep VtdUnit::execute(const vtd::PasidDeviceTlbInvalidate& d) {
  if (!config_.device_tlb) return queue_error(vtd::QueueErrorInfo::invalid_descriptor_type);
  const vtd::PageBlock block = vtd::page_block(d);
  return DeviceTlbInvalidation{d.sid, d.mip, block.base, block.bytes, Pasid{d.pasid}, d.g};
}

InvalidationStep VtdUnit::execute(const vtd::IllegalDescriptor& d) {
  return queue_error(d.reason);
}

}  // namespace gnomon::iommu
