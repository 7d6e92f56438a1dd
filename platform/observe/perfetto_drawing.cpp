// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_drawing.hpp"

#include <algorithm>
#include <utility>

namespace gnomon::observe {

using perfetto::HeldCall;
using perfetto::name;
using perfetto::number;
using perfetto::pointer;
using perfetto::Row;
using perfetto::truth;

namespace {

template <class Enum, std::size_t n>
std::uint64_t pick(const std::array<std::uint64_t, n>& names, Enum value) {
  return names[std::min(static_cast<std::size_t>(value), n - 1)];
}

constexpr std::array submit_names = {name("submit read"), name("submit write")};
constexpr std::array reap_names = {name("reap read"), name("reap write")};
constexpr std::array drain_names = {name("flush queue drain (full)"), name("flush queue drain (timer)")};
constexpr std::array sync_names = {name("sync after unmap"), name("sync after map"), name("early sync"),
                                   name("flush all")};
constexpr std::array request_names = {name("request attach"), name("request detach"),   name("request map"),
                                      name("request unmap"),  name("request probe"),    name("request invalidate"),
                                      name("request wait"),   name("request configure")};
constexpr std::array activity_names = {name("task"), name("interrupt"), name("softirq"), name("idle"),
                                       name("host")};
constexpr std::array invalidation_names = {name("invalidate page"), name("invalidate range"),
                                           name("invalidate domain"), name("invalidate global")};

constexpr std::array dma_names = {name("DMA read"), name("DMA write")};
constexpr std::array walk_names = {name("DMA read, page walk"), name("DMA write, page walk")};

constexpr std::uint64_t lookups_a_sample = 1000;

}  // namespace

// ---- workload
// ------------------------------------------------------------------------------------------------------

void PerfettoTimeline::Drawing::operator()(const trace::WindowOpened& e) {
  instant(Row::workload, 0, 0, name("window opened"), {number("jobs", e.jobs)});
}

void PerfettoTimeline::Drawing::operator()(const trace::WindowClosed& e) {
  instant(Row::workload, 0, 0, name("window closed"), {number("jobs", e.jobs)});
}

void PerfettoTimeline::Drawing::operator()(const trace::IoSubmitted& e) {
  if (drawn({now_, now_}) && !ended_) flows_.begin(e.io, now_, e.cpu);
  instant(Row::io, e.cpu, 0, pick(submit_names, e.direction),
          {number("io", e.io), number("job", e.job), number("device", e.device), number("offset", e.offset),
           number("bytes", e.bytes)},
          flow_of(e.io));
  counter(Row::in_flight, 0, ++in_flight_);
}

void PerfettoTimeline::Drawing::operator()(const trace::IoDispatched& e) {
  const IoFlows::Io* io = flows_.find(e.io);
  write_held(e.cpu, io);
  if (io != nullptr) {
    flows_.link_command(e.device, e.queue, e.command, e.io);
    flows_.link_command(e.device, e.queue, IoFlows::doorbell, e.io);
  }
  instant(Row::io, e.cpu, 0, name("dispatch"),
          {number("io", e.io), number("device", e.device), number("queue", e.queue), number("command", e.command)},
          flow_of(e.io));
}

void PerfettoTimeline::Drawing::operator()(const trace::IoCompleted& e) {
  write_interrupt(e.cpu, e.io);
  instant(Row::io, e.cpu, 0, name("complete"),
          last_unless_0(e.status, {number("io", e.io), number("status", e.status)}), flow_of(e.io));
}

void PerfettoTimeline::Drawing::operator()(const trace::IoReaped& e) {
  IoFlows::Io* io = flows_.find(e.io);
  perfetto::Flow flow = flow_of(e.io);
  flow.ends = io != nullptr && io->owed == 0;
  instant(Row::io, e.cpu, 0, pick(reap_names, e.direction),
          last_unless_0(e.status, {number("io", e.io), number("latency (ns)", e.latency_ps / 1000),
                                   number("status", e.status)}),
          flow);
  if (flow.ends) {
    flows_.end(e.io);
  } else if (io != nullptr) {
    io->reaped = true;
  }
  if (in_flight_ != 0) --in_flight_;
  counter(Row::in_flight, 0, in_flight_);
}

void PerfettoTimeline::Drawing::operator()(const trace::IoRequeued& e) {
  write_held(e.cpu, nullptr);
  instant(Row::io, e.cpu, 0, name("requeue"), {number("io", e.io), number("status", e.status)}, flow_of(e.io));
}

// ---- guest: DMA API and IOMMU API
// ----------------------------------------------------------------------------------

void PerfettoTimeline::Drawing::operator()(const trace::MapReturned& e) {
  HeldCall& call = next_to_hold(e.cpu);
  call.start(
      e.status == 0 ? name("map") : name("map (failed)"),
      {pointer("iova", e.iova), number("bytes", e.bytes), number("domain", e.domain), number("runs", e.runs)},
      e.status == 0 ? HeldCall::Whose::next_dispatch : HeldCall::Whose::known);
  call.domain = e.domain;
  call.iova = e.iova;
  call.maps = e.status == 0;
  hold(Row::dma_api, e.cpu, lasting(e.took_ps), call);
}

void PerfettoTimeline::Drawing::operator()(const trace::UnmapReturned& e) {
  const std::uint64_t io = flows_.take_mapping(e.domain, e.iova);
  HeldCall& call = next_to_hold(e.cpu);
  call.start(e.deferred != 0 ? name("unmap (deferred)") : name("unmap"),
             {pointer("iova", e.iova), number("bytes", e.bytes), number("domain", e.domain)},
             HeldCall::Whose::known);
  call.flow = flow_of(io);
  hold(Row::dma_api, e.cpu, lasting(e.took_ps), call);
  if (e.deferred == 0) return;
  FlushQueue& queue = pending_[e.domain];
  defer(queue, io);
  counter(Row::flush_queue, e.domain, queue.pending);
}

void PerfettoTimeline::Drawing::operator()(const trace::FlushQueueFlushed& e) {
  slice(Row::syncs, e.cpu, 0, until_now(e.began_ps), pick(drain_names, e.cause), {number("domain", e.domain)});
  FlushQueue& queue = pending_[e.domain];
  flushed(queue, e.began_ps, e.cpu);
  counter(Row::flush_queue, e.domain, queue.pending);
}

void PerfettoTimeline::Drawing::operator()(const trace::SyncDone& e) {
  slice(Row::syncs, e.cpu, 0, until_now(e.began_ps), pick(sync_names, e.kind), {number("domain", e.domain)});
}

void PerfettoTimeline::Drawing::operator()(const trace::GuestRequest& e) {
  instant(Row::viommu_driver, e.cpu, 0, pick(request_names, e.type),
          {pointer("iova", e.iova), pointer("gpa", e.gpa), number("bytes", e.bytes), number("domain", e.domain)});
}

/// A kick is its exit.
void PerfettoTimeline::Drawing::operator()(const trace::GuestKick& e) {
  if (e.suppressed == 0) {
    vcpu(e.cpu).kicked_requests = e.requests;
  } else {
    instant(Row::viommu_driver, e.cpu, 0, name("kick (suppressed)"), {number("requests", e.requests)});
  }
}

// ---- processors and locks
// ------------------------------------------------------------------------------------------

void PerfettoTimeline::Drawing::operator()(const trace::VmExit& e) {
  const bool of_the_code =
      e.reason == trace::ExitReason::ept_misconfig || e.reason == trace::ExitReason::ept_violation ||
      e.reason == trace::ExitReason::instruction;  // others come from outside, whatever the code does
  HeldCall& call = next_to_hold(e.cpu);
  call.start(pick(exit_names_, e.reason), {}, of_the_code ? HeldCall::Whose::next_return : HeldCall::Whose::known);
  if (const auto requests = of_the_code ? std::exchange(vcpu(e.cpu).kicked_requests, 0) : 0; requests != 0)
    call.annotations[call.annotation_count++] = number("requests", requests);
  hold(Row::exits, e.cpu, until_now(e.began_ps), call);
}

void PerfettoTimeline::Drawing::operator()(const trace::CpuSpan& e) {
  if (e.activity == trace::Activity::interrupt) write_interrupt(e.cpu, 0);
  slice(Row::activity, e.cpu, 0, until_now(e.began_ps), pick(activity_names, e.activity), {});
}

void PerfettoTimeline::Drawing::operator()(const trace::LockAcquired& e) {
  if (e.waited_ps == 0) return;
  if (e.lock >= spin_names_.size()) spin_names_.resize(std::size_t{e.lock} + 1);
  std::uint64_t& spin = spin_names_[e.lock];
  if (spin == 0) {
    spin = next_name_++;
    writer_.intern_event_name(spin, "spin on " + tracks_.name_of(Row::lock, e.lock));
  }
  slice(Row::spinning, e.cpu, 0, lasting(e.waited_ps), spin, {});
}

void PerfettoTimeline::Drawing::operator()(const trace::LockReleased& e) {
  slice(Row::lock, e.lock, 0, lasting(e.held_ps), name("held"), {number("cpu", e.cpu)});
}

void PerfettoTimeline::Drawing::operator()(const trace::InterruptTaken& e) {
  write_interrupt(e.cpu, 0);
  Vcpu& on = vcpu(e.cpu);
  on.interrupt.start(name("pending interrupt"), {number("vector", e.vector)}, HeldCall::Whose::known);
  on.in_interrupt = settle(Row::pending_interrupts, e.cpu, until_now(e.raised_ps), on.interrupt);
}

// ---- hypervisor
// ----------------------------------------------------------------------------------------------------

void PerfettoTimeline::Drawing::operator()(const trace::RequestServed& e) {
  instant(Row::viommu_device, e.thread, 0, pick(request_names, e.type),
          last_unless_0(e.status, {pointer("iova", e.iova), number("bytes", e.bytes), number("domain", e.domain),
                                   number("request status", e.status)}));
}

void PerfettoTimeline::Drawing::operator()(const trace::ShadowMapped& e) {
  slice(Row::container, e.container, 0, lasting(e.took_ps), name("VFIO_IOMMU_MAP_DMA"),
        last_unless_0(e.status, {pointer("iova", e.iova), pointer("gpa", e.gpa), number("bytes", e.bytes),
                                 number("ioctl status", e.status)}));
}

void PerfettoTimeline::Drawing::operator()(const trace::ShadowUnmapped& e) {
  slice(Row::container, e.container, 0, lasting(e.took_ps), name("VFIO_IOMMU_UNMAP_DMA"),
        last_unless_0(e.status,
                      {pointer("iova", e.iova), number("bytes", e.bytes), number("ioctl status", e.status)}));
}

void PerfettoTimeline::Drawing::operator()(const trace::PagesPinned& e) {
  pinned(e.pinned_now);
}

void PerfettoTimeline::Drawing::operator()(const trace::PagesUnpinned& e) {
  pinned(e.pinned_now);
}

void PerfettoTimeline::Drawing::operator()(const trace::IoThreadWoken& e) {
  slice(Row::wake_ups, e.thread, 0, until_now(e.signalled_ps), name("eventfd wake-up"), {});
}

// ---- physical IOMMU
// ------------------------------------------------------------------------------------------------

std::uint64_t PerfettoTimeline::Drawing::mapped_for(const trace::DmaBurst& e) {
  if (!options_.guest_domain_of || ended_ || now_ < from_) return 0;
  if (e.source != dma_source_) {
    dma_source_ = e.source;
    dma_domain_ = options_.guest_domain_of(SourceId{static_cast<std::uint16_t>(e.source)});
  }
  return flows_.io_of_mapping(dma_domain_, e.iova);
}

void PerfettoTimeline::Drawing::operator()(const trace::DmaBurst& e) {
  const bool walked = e.iotlb_hit == 0;
  const std::size_t idle = e.evicted != 0 ? 0 : walked ? 1 : 2;
  slice(Row::dma, 0, 0, {now_, std::max(now_, e.ends_ps / 1000)},
        (walked ? walk_names : dma_names)[e.write != 0 ? 1 : 0],
        Annotations{pointer("iova", e.iova), pointer("hpa", e.hpa), number("bytes", e.bytes),
                    pointer("source id", e.source), number("page-walk reads", e.walk_reads),
                    number("entries evicted", e.evicted)}
            .without_last(idle),
        flow_of(mapped_for(e)));
  hits_ += e.iotlb_hit != 0 ? 1 : 0;
  if (++lookups_ % lookups_a_sample == 0) {
    counter(Row::iotlb_hits, 0, hits_);
    hits_ = 0;
  }
}

void PerfettoTimeline::Drawing::operator()(const trace::DmaFault& e) {
  instant(Row::faults, 0, 0, name("DMA fault"),
          {pointer("iova", e.iova), pointer("source id", e.source), number("reason", e.reason)});
}

void PerfettoTimeline::Drawing::operator()(const trace::IotlbInvalidated& e) {
  instant(Row::invalidations, 0, 0, pick(invalidation_names, e.granularity),
          last_unless_0(e.hint_leaf_only,
                        {pointer("iova", e.iova), number("bytes", e.bytes), number("domain", e.domain),
                         number("entries dropped", e.dropped), truth("leaf only", e.hint_leaf_only)}));
}

void PerfettoTimeline::Drawing::operator()(const trace::InvalidationWaitDone& e) {
  slice(Row::invalidation_waits, 0, 0, until_now(e.submitted_ps), name("wait descriptor"), {});
}

// ---- devices
// -------------------------------------------------------------------------------------------------------

void PerfettoTimeline::Drawing::operator()(const trace::Doorbell& e) {
  instant(Row::queue, e.device, e.queue,
          e.completion != 0 ? name("completion doorbell") : name("submission doorbell"), {number("value", e.value)},
          e.completion != 0 ? perfetto::Flow{} : flow_of_command(e.device, e.queue, IoFlows::doorbell));
  if (e.completion == 0) flows_.unlink_command(e.device, e.queue, IoFlows::doorbell);
}

void PerfettoTimeline::Drawing::operator()(const trace::CommandFetched& e) {
  instant(Row::queue, e.device, e.queue, name("fetch"), {number("command", e.command)},
          flow_of_command(e.device, e.queue, e.command));
}

void PerfettoTimeline::Drawing::operator()(const trace::MediaBusy& e) {
  slice(Row::media, e.device, e.queue, {e.began_ps / 1000, std::max(e.began_ps, e.ends_ps) / 1000},
        name("media busy"), {number("command", e.command), number("channel", e.channel)},
        flow_of_command(e.device, e.queue, e.command));
}

void PerfettoTimeline::Drawing::operator()(const trace::CommandCompleted& e) {
  instant(Row::queue, e.device, e.queue, name("post completion"),
          last_unless_0(e.status, {number("command", e.command), number("NVMe status", e.status)}),
          flow_of_command(e.device, e.queue, e.command));
  flows_.unlink_command(e.device, e.queue, e.command);
}

// ---- the sanitizer
// -------------------------------------------------------------------------------------------------

void PerfettoTimeline::Drawing::operator()(const trace::VerdictRaised& e) {
  const auto kind =
      std::min<std::uint64_t>(static_cast<std::uint64_t>(e.verdict), perfetto::verdict_words.size() - 1);
  instant(Row::verdicts, 0, 0, perfetto::first_verdict_name + kind,
          {pointer("iova", e.iova), number("bytes", e.bytes), number("domain", e.domain)});
}

}  // namespace gnomon::observe
