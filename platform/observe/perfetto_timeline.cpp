// SPDX-License-Identifier: Apache-2.0
// The timeline's machinery: window, lanes, held calls, arrows. What events look like is in perfetto_drawing.cpp.
#include "platform/observe/perfetto_timeline.hpp"

#include <algorithm>
#include <utility>

#include "platform/observe/perfetto_drawing.hpp"

namespace gnomon::observe {

using perfetto::HeldCall;
using perfetto::HeldCalls;
using perfetto::Row;

namespace {
constexpr std::uint64_t sample_every = 100'000;  // ns
}

PerfettoTimeline::PerfettoTimeline(TimelineOptions options) : drawing_(new Drawing(std::move(options))) {}
PerfettoTimeline::~PerfettoTimeline() = default;

template <std::size_t kind>
void PerfettoTimeline::draw(trace::Sink& self, Time at, const trace::Event& event) {
  Drawing& drawing = *static_cast<PerfettoTimeline&>(self).drawing_;
  drawing.at(at);
  drawing(*std::get_if<kind>(&event));
}

trace::Sink::Handler PerfettoTimeline::handler(std::size_t kind) const {
  static constexpr auto by_kind = []<std::size_t... kinds>(std::index_sequence<kinds...>) {
    return std::array<Handler, sizeof...(kinds)>{&draw<kinds>...};
  }(std::make_index_sequence<trace::event_kinds>());
  return by_kind[kind];
}

void PerfettoTimeline::on_event(Time at, const trace::Event& event) {
  handler(event.index())(*this, at, event);
}

trace::KindSet PerfettoTimeline::wants() const {
  return ~Drawing::undrawn();
}

std::error_code PerfettoTimeline::close() {
  return drawing_->close();
}
std::uint64_t PerfettoTimeline::cut() const {
  return drawing_->cut();
}

PerfettoTimeline::Drawing::Drawing(TimelineOptions options)
    : options_(std::move(options)),
      writer_(options_.path),
      tracks_(writer_, options_.names),
      from_(options_.from.ns()),
      to_(options_.to.ns()) {
  std::uint64_t iid = 0;
  for (const std::string_view word : perfetto::event_words) writer_.intern_event_name(++iid, word);
  for (const std::string_view word : perfetto::verdict_words) writer_.intern_event_name(++iid, word);
  iid = 0;
  for (const std::string_view word : perfetto::annotation_words) writer_.intern_annotation_name(++iid, word);
  for (const trace::ExitReason reason : exit_reasons) {
    writer_.intern_event_name(next_name_, exit_reason_name(options_.exits, reason));
    exit_names_[static_cast<std::size_t>(reason)] = next_name_++;
  }
}

/// The window's two ends, and the next sample of what changes too often to draw each change.
void PerfettoTimeline::Drawing::look() {
  next_look_ = from_;
  if (now_ < from_) return;
  // Counters keep their value from before the window; one that never moved has nothing to show.
  if (!std::exchange(began_, true) && in_flight_ != 0) counter(Row::in_flight, 0, in_flight_);
  if (now_ >= next_sample_) sample_pinned();
  next_look_ = std::max(next_sample_, now_ + 1);
  if (now_ <= to_) {
    next_look_ = std::min(next_look_, to_ + 1);
  } else if (!ended_) {
    end_flows(to_);
  }
}

void PerfettoTimeline::Drawing::sample_pinned() {
  if (pinned_ == pinned_drawn_ || !drawn({now_, now_})) return;
  counter(Row::pinned, 0, pinned_drawn_ = pinned_);
  next_sample_ = now_ + sample_every;
}

std::error_code PerfettoTimeline::Drawing::close() {
  sample_pinned();
  if (!ended_) end_flows(std::min(to_, std::max(now_, drawn_until_)));
  write_all_held();
  return writer_.close();
}

/// An arrow needs two ends: I/Os still on their way get the second one here.
void PerfettoTimeline::Drawing::end_flows(std::uint64_t at_ns) {
  ended_ = true;
  write_all_held();
  flows_.for_each([&](const IoFlows::Io& io) { unfinished(io, at_ns); });
  flows_ = {};
}

void PerfettoTimeline::Drawing::unfinished(const IoFlows::Io& io, std::uint64_t at_ns) {
  const perfetto::Annotation what = perfetto::number("io", io.number);
  writer_.instant(tracks_.track(Row::io, io.cpu), at_ns, perfetto::name("unfinished"), {&what, 1},
                  {io.number, true});
}

void PerfettoTimeline::Drawing::slice(Row row, std::uint32_t a, std::uint32_t b, Span span, std::uint64_t name,
                                      Annotations annotations, perfetto::Flow flow) {
  if (!drawn(span)) return;
  span = clipped(span);
  const auto place = tracks_.place(row, a, b, span.began, span.ended);
  if (!place) return;
  drawn_until_ = std::max(drawn_until_, span.ended);
  writer_.slice(place->track, place->began, span.ended, name, annotations, flow);
}

void PerfettoTimeline::Drawing::instant(Row row, std::uint32_t a, std::uint32_t b, std::uint64_t name,
                                        Annotations annotations, perfetto::Flow flow) {
  if (!drawn({now_, now_})) return;
  writer_.instant(tracks_.track(row, a, b), now_, name, annotations, flow);
}

void PerfettoTimeline::Drawing::counter(Row row, std::uint32_t a, std::uint64_t value) {
  if (!drawn({now_, now_})) return;
  writer_.counter(tracks_.track(row, a), now_, static_cast<std::int64_t>(value));
}

bool PerfettoTimeline::Drawing::settle(Row row, std::uint32_t cpu, Span span, HeldCall& call) {
  if (!drawn(span)) return false;
  call.called_ns = span.began;
  span = clipped(span);
  const auto place = tracks_.place(row, cpu, 0, span.began, span.ended);
  if (!place) return false;
  drawn_until_ = std::max(drawn_until_, span.ended);
  call.track = place->track;
  call.began = place->began;
  call.ended = span.ended;
  return true;
}

/// To be filled, then held or forgotten.
HeldCall& PerfettoTimeline::Drawing::next_to_hold(std::uint32_t cpu) {
  HeldCalls& held = vcpu(cpu).held;
  if (held.full()) {
    write(held.oldest());
    held.drop_oldest();
  }
  return held.next();
}

void PerfettoTimeline::Drawing::hold(Row row, std::uint32_t cpu, Span span, HeldCall& call) {
  HeldCalls& held = vcpu(cpu).held;
  if (row == Row::dma_api) {
    call.called_ns = span.began;
    held.claim_exits(call);
  }
  if (!settle(row, cpu, span, call)) return;
  if (held.empty() && call.whose == HeldCall::Whose::known) return write(call);
  held.keep_next();
  if (!held.waits()) write_held(cpu, nullptr);
}

void PerfettoTimeline::Drawing::write(HeldCall& call) {
  // Held for longer than its I/O lasted: the arrow has its end by now and may not go on.
  if (flows_.find(call.flow.id) == nullptr) call.flow = {};
  writer_.slice(call.track, call.began, call.ended, call.name, {call.annotations.data(), call.annotation_count},
                call.flow);
}

/// `io`: whose dispatch they waited for; null if that is not known.
void PerfettoTimeline::Drawing::write_held(std::uint32_t cpu, const IoFlows::Io* io) {
  HeldCalls& held = vcpu(cpu).held;
  held.for_each([&](HeldCall& call) {
    if (io != nullptr && call.whose == HeldCall::Whose::next_dispatch && call.called_ns >= io->submitted_ns) {
      call.flow = {io->number};
      if (call.maps) flows_.link_mapping(call.domain, call.iova, io->number);
    }
    write(call);
  });
  held.clear();
}

/// `io`: what completed in it first; 0 if nothing did.
void PerfettoTimeline::Drawing::write_interrupt(std::uint32_t cpu, std::uint64_t io) {
  Vcpu& on = vcpu(cpu);
  if (!std::exchange(on.in_interrupt, false)) return;
  on.interrupt.flow = {io};
  write(on.interrupt);
}

void PerfettoTimeline::Drawing::write_all_held() {
  for (std::uint32_t cpu = 0; cpu < vcpus_.size(); ++cpu) {
    write_held(cpu, nullptr);
    write_interrupt(cpu, 0);
  }
}

void PerfettoTimeline::Drawing::defer(FlushQueue& queue, std::uint64_t io) {
  FlushQueue::Deferred& slot = queue.number(queue.deferred++);
  if (queue.pending++ >= queue.latest.size()) {
    const IoFlows::Io* known = flows_.find(slot.io);
    const IoFlows::Io lost = known != nullptr ? *known : IoFlows::Io{};
    perfetto::Flow flow;
    if (settle_debt(slot.io, flow) && flow.ends) unfinished(lost, now_);
  }
  IoFlows::Io* owner = flows_.find(io);
  slot = {now_ps_, owner != nullptr ? io : 0};
  if (owner != nullptr) ++owner->owed;
}

/// One unmap less is owed to the I/O. True if it was the last; its arrow ends there if the I/O was reaped before.
bool PerfettoTimeline::Drawing::settle_debt(std::uint64_t io, perfetto::Flow& flow) {
  IoFlows::Io* owner = flows_.find(io);
  if (owner == nullptr || owner->owed == 0 || --owner->owed != 0) return false;
  flow = {io, owner->reaped};
  if (owner->reaped) flows_.end(io);
  return true;
}

void PerfettoTimeline::Drawing::flushed(FlushQueue& queue, std::uint64_t began_ps, std::uint32_t cpu) {
  std::array<perfetto::Flow, perfetto::most_flows> flows;
  std::size_t count = 0;
  const auto say = [&] {
    if (count == 0) return;
    writer_.instant(tracks_.track(Row::syncs, cpu), now_, perfetto::name("flushed"),
                    std::span<const perfetto::Flow>(flows.data(), count));
    count = 0;
  };
  const std::uint64_t first = queue.deferred - std::min<std::uint64_t>(queue.pending, queue.latest.size());
  std::uint64_t next = first;
  for (; next < queue.deferred && queue.number(next).at_ps <= began_ps; ++next) {
    if (settle_debt(queue.number(next).io, flows[count]) && ++count == flows.size()) say();
  }
  say();
  queue.pending = queue.deferred - next;
}

}  // namespace gnomon::observe
