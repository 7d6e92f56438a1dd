// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/iommu.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

namespace gnomon {

using iommu::Access;
using iommu::Translation;

Iommu::Iommu(const sc_core::sc_module_name& name, std::unique_ptr<iommu::RemappingUnit> unit,
             const iommu::IommuTiming& timing, trace::Tracer& tracer, std::uint64_t& activations)
    : sc_module(name), unit_(std::move(unit)), timing_(timing), tracer_(tracer), activations_(activations) {
  using SC_CURRENT_USER_MODULE = Iommu;
  dma.register_b_transport(this, &Iommu::on_dma);
  registers.register_b_transport(this, &Iommu::on_register);
  SC_METHOD(drain_invalidation_queue);
  sensitive << queue_due_;
  dont_initialize();
}

Time Iommu::lookup_time(const Translation& t) const {
  Time time = timing_.context_hit + timing_.memory_read * t.context_reads;
  if (t.kind == Translation::Kind::translated) {
    time += timing_.iotlb_hit;
    if (!t.iotlb_hit) time += timing_.walk_cache_hit + timing_.memory_read * (t.walk_reads + t.walk_writes);
  }
  return time;
}

void Iommu::on_dma(int /*port*/, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const Iova iova{payload.get_address()};
  const bool write = payload.is_write();
  const SourceId source = requester_of(payload).source;
  const Translation t = unit_->translate(source, iova, write ? Access::write : Access::read);
  const Time lookup = lookup_time(t);
  add_delay(delay, lookup);
  requester_of(payload).translation = lookup;
  switch (t.kind) {
    case Translation::Kind::translated:
    case Translation::Kind::pass_through: translated(t, payload, delay); return;
    case Translation::Kind::interrupt_request: messages->b_transport(payload, delay); return;
    case Translation::Kind::unsupported_request: break;
    case Translation::Kind::fault:
      tracer_.emit(global_time(), trace::DmaFault{iova.value, source.value, write, t.reason.value, 0});
      break;
  }
  payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
}

void Iommu::translated(const Translation& t, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const std::uint64_t iova = payload.get_address();
  const Requester& requester = requester_of(payload);
  payload.set_address(t.hpa.value);
  memory->b_transport(payload, delay);
  payload.set_address(iova);
  const Time ends = global_time() + from_sc(delay) + requester.streams;
  note_under_way(t, iova, ends);
  tracer_.emit(global_time(), trace::DmaBurst{iova, t.hpa.value, payload.get_data_length(), ends.ps(),
                                              requester.source.value, t.domain.value, payload.is_write(),
                                              t.iotlb_hit || t.kind == Translation::Kind::pass_through,
                                              t.walk_reads, t.iotlb_evicted});
}

void Iommu::on_register(int /*port*/, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const auto offset = static_cast<std::uint32_t>(payload.get_address());
  const unsigned bytes = payload.get_data_length();
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
  if (payload.is_read()) {
    const std::uint64_t value = unit_->read(offset, bytes);
    std::memcpy(payload.get_data_ptr(), &value, bytes);
    return;
  }
  std::uint64_t value = 0;
  std::memcpy(&value, payload.get_data_ptr(), bytes);
  const auto effect = unit_->write(offset, value, bytes);
  carry_out(effect.executed);
  if (effect.queue_pending && batch_ == 0 && !held_) schedule_queue(global_time() + from_sc(delay));
}

void Iommu::schedule_queue(Time from) {
  batch_ = unit_->queued();
  submitted_at_ = from;
  // All that is queued now is executed in one activation, when the last of it would be done; what comes meanwhile
  // then.
  const Time done = from + (timing_.descriptor_fetch + timing_.descriptor_execute) * batch_;
  notify_at(queue_due_, done);
}

void Iommu::drain_invalidation_queue() {
  process_resumed();
  ++activations_;
  if (held_) carry_out(*std::exchange(held_, std::nullopt));
  for (; batch_ > 0 && unit_->queued() > 0; --batch_) {
    const iommu::InvalidationStep step = unit_->step();
    if (drained_at_ > global_time() && std::holds_alternative<iommu::WaitReached>(step)) {
      held_ = step;
      --batch_;
      return notify_at(queue_due_, drained_at_);
    }
    carry_out(step);
  }
  batch_ = 0;  // an error may have stopped the queue
  if (unit_->queued() > 0) schedule_queue(global_time());
}

void Iommu::note_under_way(const Translation& t, std::uint64_t iova, Time ends) {
  under_way_[next_under_way_] = {iova, ends, t.domain};
  next_under_way_ = (next_under_way_ + 1) % under_way_.size();
}

/// A descriptor's time has the draining of what is usually under way in it. A burst to the very range, which only a
/// device that misbehaves has at that moment, is waited for (VT-d 6.5.2.3, Drain Read and Drain Write).
void Iommu::drain_range(const iommu::IotlbInvalidated& done) {
  if (done.granularity != iommu::Granularity::pages) return;
  for (const UnderWay& burst : under_way_) {
    if (burst.ends <= global_time() || burst.domain != done.domain) continue;
    if (burst.iova < done.iova.value || burst.iova - done.iova.value >= done.bytes) continue;
    drained_at_ = std::max(drained_at_, burst.ends);
  }
}

void Iommu::carry_out(const iommu::InvalidationStep& step) {
  const Time now = global_time();
  if (const auto* done = std::get_if<iommu::IotlbInvalidated>(&step)) {
    drain_range(*done);
    auto granularity = trace::Granularity::page;
    if (done->granularity == iommu::Granularity::global) granularity = trace::Granularity::global;
    // One PASID is all of a domain where requests carry none.
    if (done->granularity == iommu::Granularity::domain || done->granularity == iommu::Granularity::pasid) {
      granularity = trace::Granularity::domain;
    }
    if (granularity == trace::Granularity::page && done->bytes > page_size) granularity = trace::Granularity::range;
    tracer_.emit(now, trace::IotlbInvalidated{done->iova.value, done->bytes, done->domain.value, granularity,
                                              done->iotlb_dropped, done->invalidation_hint});
  } else if (const auto* wait = std::get_if<iommu::WaitReached>(&step)) {
    if (wait->status_write) {
      std::uint64_t data = wait->status_data;
      sc_core::sc_time delay = to_sc(timing_.status_write);
      memory->b_transport(
          status_.prepare(tlm::TLM_WRITE_COMMAND, wait->status_address.value, &data, wait->status_bytes), delay);
    }
    tracer_.emit(now, trace::InvalidationWaitDone{submitted_at_.ps()});
  }
}

}  // namespace gnomon
