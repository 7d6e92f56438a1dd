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
    : sc_module(name), unit_(std::move(unit)), timing_(timing), tracer_(tracer), activations_(activations),
      queues_(unit_->queues()) {
  dma.register_b_transport(this, &Iommu::on_dma);
  registers.register_b_transport(this, &Iommu::on_register);
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
  carry_out(effect.executed, {});
  if (!effect.queue_pending) return;
  const Time seen = global_time() + from_sc(delay) + timing_.doorbell;
  for (unsigned i = 0; i != queues_.size(); ++i) {
    if (!queues_[i].busy()) schedule(i, seen);
  }
  wake_for_next();
}

// All that is queued now, up to the next wait of a unit that has them, is executed in one activation when the last of
// it would be done; what comes meanwhile then.
void Iommu::schedule(unsigned number, Time from) {
  Queue& queue = queues_[number];
  const iommu::RemappingUnit::Pending pending = unit_->pending(number);
  if (pending.commands == 0) return;
  const Time each = timing_.descriptor_fetch + timing_.descriptor_execute;
  queue.batch = pending.commands;
  queue.submitted_at = from;
  queue.due = from + each * pending.commands;
  const std::uint64_t waited_for = pending.commands - (pending.waits ? 1 : 0);
  if (waited_for > 0) queue.complete_at = from + each * waited_for + timing_.completion;
  if (pending.waits) queue.due = std::max(queue.due, queue.complete_at);
}

void Iommu::wake_for_next() {
  Time next = Time::max();
  for (const Queue& queue : queues_) {
    if (queue.busy()) next = std::min(next, queue.due);
  }
  queue_step_.at(next);
}

void Iommu::drain_invalidation_queues() {
  ++activations_;
  for (unsigned i = 0; i != queues_.size(); ++i) {
    if (queues_[i].busy() && queues_[i].due <= global_time() && run(i)) schedule(i, global_time());
  }
  wake_for_next();
}

/// What a queue has taken up. False where a wait of it waits for bursts under way: it goes on when they have landed. Where
/// software polls how far the queue is, it is not to see the wait consumed before.
bool Iommu::run(unsigned number) {
  Queue& queue = queues_[number];
  if (queue.held) carry_out(*std::exchange(queue.held, std::nullopt), queue.submitted_at);
  for (bool goes_on = true; goes_on && queue.batch > 0; --queue.batch) {
    const bool lands_later = drained_at_ > global_time();
    if (lands_later) queue.due = drained_at_;
    if (lands_later) {
      const iommu::RemappingUnit::Pending next = unit_->pending(number);
      if (next.waits && next.commands == 1) return false;
    }
    const iommu::InvalidationStep step = unit_->step_queue(number);
    if (lands_later && std::holds_alternative<iommu::WaitReached>(step)) {
      queue.held = step;
      --queue.batch;
      return false;
    }
    carry_out(step, queue.submitted_at);
    goes_on = !std::holds_alternative<iommu::QueueIdle>(step) && !std::holds_alternative<iommu::QueueStopped>(step) &&
              !std::holds_alternative<iommu::QueueError>(step);
  }
  queue.batch = 0;  // an error may have stopped the queue
  return true;
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

void Iommu::carry_out(const iommu::InvalidationStep& step, Time submitted_at) {
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
    tracer_.emit(now, trace::InvalidationWaitDone{submitted_at.ps()});
  }
}

}  // namespace gnomon
