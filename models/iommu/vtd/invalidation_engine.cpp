// SPDX-License-Identifier: Apache-2.0
// VtdUnit's invalidation queue. VT-d specification rev 4.1, section 6.5.2.
#include <algorithm>

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
  return std::max<std::uint64_t>(1, ((tail_ + ring - head_) % ring) / vtd::descriptor_bytes);
}

InvalidationStep VtdUnit::step() {
  if ((status_ & vtd::gcmd::qie) == 0) return QueueIdle{};
  if ((faults_.status() & stopping) != 0) return QueueStopped{};
  if (head_ == tail_) return QueueIdle{};
  if ((queue_ & vtd::iqa_dw) != 0) return queue_error(vtd::QueueErrorInfo::invalid_descriptor_width);
  const std::uint64_t bytes = vtd::queue_bytes(queue_);
  if (tail_ >= bytes) return queue_error(vtd::QueueErrorInfo::invalid_tail);

  const auto raw = read_entry_128(Hpa{(queue_ & vtd::mask(63, 12)) + head_});
  if (!raw) return queue_error(vtd::QueueErrorInfo::fetch_error);
  const InvalidationStep outcome =
      std::visit([this](const auto& d) { return execute(d); }, vtd::decode_invalidation_descriptor(*raw));
  // On an error the head stays: software finds the descriptor there, replaces it, and clears IQE.
  if (!std::holds_alternative<QueueError>(outcome)) head_ = (head_ + vtd::descriptor_bytes) & (bytes - 1);
  return outcome;
}

InvalidationStep VtdUnit::queue_error(vtd::QueueErrorInfo info) {
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
  return done;
}

InvalidationStep VtdUnit::execute(const vtd::IotlbInvalidate& d) {
  const bool walk_cache_too = !config_.faults.keep_walk_cache;
  IotlbInvalidated done{selected(d.g, Granularity::pages),
                        d.did,
                        Iova{0},
                        std::uint64_t{1} << config_.address_width,
                        false,
                        d.dr,
                        d.dw,
                        0,
                        0};
  switch (d.g) {
    case vtd::Granularity::global:
      done.iotlb_dropped = iotlb_.invalidate_global();
      if (walk_cache_too) done.walk_cache_dropped = walk_cache_.invalidate_global();
      break;
    case vtd::Granularity::domain:
      if (config_.faults.ignore_domain_invalidation) break;
      done.iotlb_dropped = iotlb_.invalidate_domain(d.did);
      if (walk_cache_too) done.walk_cache_dropped = walk_cache_.invalidate_domain(d.did);
      break;
    case vtd::Granularity::device_or_page: {
      if (d.am > config_.max_address_mask) return queue_error(vtd::QueueErrorInfo::reserved_field);
      const vtd::PageBlock block = vtd::page_block(d.addr, d.am);
      const std::uint64_t effective = config_.faults.ignore_psi_mask ? page_size : block.bytes;
      done.iova = block.base;
      done.bytes = block.bytes;
      done.invalidation_hint = d.ih;
      done.iotlb_dropped = iotlb_.invalidate_pages(d.did, block.base, effective);
      if (walk_cache_too && !d.ih) {
        done.walk_cache_dropped = walk_cache_.invalidate_pages(d.did, block.base, effective);
      }
      break;
    }
  }
  return done;
}

InvalidationStep VtdUnit::execute(const vtd::DeviceTlbInvalidate& d) {
  if (!config_.device_tlb) return queue_error(vtd::QueueErrorInfo::invalid_descriptor_type);
  const vtd::PageBlock block = vtd::page_block(d);
  return DeviceTlbInvalidation{d.sid, d.mip, block.base, block.bytes};
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

InvalidationStep VtdUnit::execute(const vtd::IllegalDescriptor& d) {
  return queue_error(d.reason);
}

}  // namespace gnomon::iommu
