// SPDX-License-Identifier: Apache-2.0
// The timeline's machinery: window, lanes, held calls, arrows. What events look like is in perfetto_drawing.cpp.
#include "platform/observe/perfetto_timeline.hpp"

#include <algorithm>
#include <utility>

#include "platform/observe/perfetto_drawing.hpp"

namespace gnomon::observe {

using perfetto::Row;

PerfettoTimeline::PerfettoTimeline(TimelineOptions options) : drawing_(new Drawing(std::move(options))) {}
PerfettoTimeline::~PerfettoTimeline() = default;

void PerfettoTimeline::on_event(Time at, const trace::Event& event) {
  drawing_->at(at);
  std::visit(*drawing_, event);
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

void PerfettoTimeline::Drawing::at(Time now) {
  now_ps_ = now.ps();
  now_ = now.ns();
  if (!began_ && now_ >= from_) {
    began_ = true;
    // Counters keep their value from before the window; one that never moved has nothing to show.
    if (in_flight_ != 0) counter(Row::in_flight, 0, in_flight_);
    if (pinned_ != 0) counter(Row::pinned, 0, pinned_);
  }
  if (!ended_ && now_ > to_) end_flows(to_);
}

std::error_code PerfettoTimeline::Drawing::close() {
  if (!ended_) end_flows(std::min(to_, std::max(now_, drawn_until_)));
  write_all_held();
  return writer_.close();
}

/// An arrow needs two ends: I/Os still on their way get the second one here.
void PerfettoTimeline::Drawing::end_flows(std::uint64_t at_ns) {
  ended_ = true;
  write_all_held();
  flows_.for_each([&](const IoFlows::Io& io) {
    const perfetto::Annotation what = perfetto::number("io", io.number);
    writer_.instant(tracks_.track(Row::io, io.cpu), at_ns,
                    {perfetto::name("unfinished"), {&what, 1}, {io.number, true}});
  });
  flows_ = {};
}

PerfettoTimeline::Drawing::Span PerfettoTimeline::Drawing::until_now(std::uint64_t began_ps) const {
  return {std::min(began_ps, now_ps_) / 1000, now_};
}

PerfettoTimeline::Drawing::Span PerfettoTimeline::Drawing::lasting(std::uint64_t took_ps) const {
  return until_now(now_ps_ - std::min(took_ps, now_ps_));
}

PerfettoTimeline::Drawing::Span PerfettoTimeline::Drawing::clipped(Span span) const {
  return {std::max(span.began, from_), std::min(span.ended, to_)};
}

void PerfettoTimeline::Drawing::slice(Row row, std::uint32_t a, std::uint32_t b, Span span, std::uint64_t name,
                                      Annotations annotations, perfetto::Flow flow) {
  if (!drawn(span)) return;
  span = clipped(span);
  const auto place = tracks_.place(row, a, b, span.began, span.ended);
  if (!place) return;
  drawn_until_ = std::max(drawn_until_, span.ended);
  writer_.slice(place->track, place->began, span.ended, {name, {annotations.begin(), annotations.size()}, flow});
}

void PerfettoTimeline::Drawing::instant(Row row, std::uint32_t a, std::uint32_t b, std::uint64_t name,
                                        Annotations annotations, perfetto::Flow flow) {
  if (!drawn({now_, now_})) return;
  writer_.instant(tracks_.track(row, a, b), now_, {name, {annotations.begin(), annotations.size()}, flow});
}

void PerfettoTimeline::Drawing::counter(Row row, std::uint32_t a, std::uint64_t value) {
  if (!drawn({now_, now_})) return;
  writer_.counter(tracks_.track(row, a), now_, static_cast<std::int64_t>(value));
}

void PerfettoTimeline::Drawing::hold(std::uint32_t cpu, HeldCall call) {
  if (!drawn(call.span)) return;
  call.span = clipped(call.span);
  const auto place = tracks_.place(Row::dma_api, cpu, 0, call.span.began, call.span.ended);
  if (!place) return;
  call.track = place->track;
  call.span.began = place->began;
  HeldCalls& held = held_[cpu];
  if (held.count == 0 && !call.may_belong) {
    write(call);
    return;
  }
  if (held.count == held.calls.size()) {
    write(held.calls.front());
    std::move(held.calls.begin() + 1, held.calls.end(), held.calls.begin());
    --held.count;
  }
  held.calls[held.count++] = call;
}

void PerfettoTimeline::Drawing::write(HeldCall& call) {
  // Held for longer than its I/O lasted: the arrow has its end by now and may not go on.
  if (flows_.find(call.flow.id) == nullptr) call.flow = {};
  writer_.slice(call.track, call.span.began, call.span.ended, {call.name, call.annotations, call.flow});
}

/// `io`: whose dispatch they waited for; null if that is not known.
void PerfettoTimeline::Drawing::write_held(HeldCalls& held, const IoFlows::Io* io) {
  for (std::size_t i = 0; i < held.count; ++i) {
    HeldCall& call = held.calls[i];
    if (io != nullptr && call.may_belong && call.called_ns >= io->submitted_ns) {
      call.flow = {io->number};
      flows_.link_mapping(call.domain, call.iova, io->number);
    }
    write(call);
  }
  held.count = 0;
}

void PerfettoTimeline::Drawing::write_all_held() {
  // In the order of the vCPUs' numbers, so that the file does not depend on the table's.
  std::vector<std::uint32_t> cpus;
  for (const auto& entry : held_) cpus.push_back(entry.first);
  std::sort(cpus.begin(), cpus.end());
  for (const std::uint32_t cpu : cpus) write_held(held_[cpu], nullptr);
}

}  // namespace gnomon::observe
