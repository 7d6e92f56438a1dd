// SPDX-License-Identifier: Apache-2.0
// What each event of the stream looks like on the timeline. One overload an event: a new event does not compile
// until it is decided here how it is drawn.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "platform/observe/io_flows.hpp"
#include "platform/observe/perfetto_held_calls.hpp"
#include "platform/observe/perfetto_timeline.hpp"
#include "platform/observe/perfetto_vocabulary.hpp"

namespace gnomon::observe {

class PerfettoTimeline::Drawing {
 public:
  explicit Drawing(TimelineOptions options);

  /// What is told from here on happens at `now`.
  void at(Time now) {
    now_ps_ = now.ps();
    now_ = now.ns();
    if (now_ >= next_look_) look();
  }
  std::error_code close();
  std::uint64_t cut() const { return tracks_.cut(); }

  void operator()(const trace::WindowOpened&);
  void operator()(const trace::WindowClosed&);
  void operator()(const trace::IoSubmitted&);
  void operator()(const trace::IoDispatched&);
  void operator()(const trace::IoCompleted&);
  void operator()(const trace::IoReaped&);
  void operator()(const trace::IoRequeued&);
  void operator()(const trace::MapReturned&);
  void operator()(const trace::UnmapReturned&);
  void operator()(const trace::FlushQueueFlushed&);
  void operator()(const trace::SyncDone&);
  void operator()(const trace::GuestRequest&);
  void operator()(const trace::GuestKick&);
  void operator()(const trace::VmExit&);
  void operator()(const trace::CpuSpan&);
  void operator()(const trace::LockAcquired&);
  void operator()(const trace::LockReleased&);
  void operator()(const trace::InterruptTaken&);
  void operator()(const trace::RequestServed&);
  void operator()(const trace::ShadowMapped&);
  void operator()(const trace::ShadowUnmapped&);
  void operator()(const trace::PagesPinned&);
  void operator()(const trace::PagesUnpinned&);
  void operator()(const trace::IoThreadWoken&);
  void operator()(const trace::DmaBurst&);
  void operator()(const trace::DmaFault&);
  void operator()(const trace::IotlbInvalidated&);
  void operator()(const trace::InvalidationWaitDone&);
  void operator()(const trace::Doorbell&);
  void operator()(const trace::CommandFetched&);
  void operator()(const trace::MediaBusy&);
  void operator()(const trace::CommandCompleted&);
  void operator()(const trace::VerdictRaised&);
  template <class E>
  void operator()(const E&) {
    static_assert(is_undrawn<E>, "decide how it is drawn");
  }
  static trace::KindSet undrawn() {
    trace::KindSet kinds;
    mark_undrawn(kinds, std::make_index_sequence<trace::event_kinds>());
    return kinds;
  }

 private:
  template <class E, class... Es>
  static constexpr bool is_one_of = (std::is_same_v<E, Es> || ...);
  /// Mappings are as many as there are pages, and the call is drawn; an interrupt is drawn when taken; where
  /// descriptors are submitted the slice of their wait begins; others are counts and sums, or told by what is drawn
  /// beside them.
  template <class E>
  static constexpr bool is_undrawn =
      is_one_of<E, trace::MappingAdded, trace::MappingRemoved, trace::InterruptRaised, trace::InvalidationSubmitted,
                trace::GuestTableRead,
                trace::CommandTimes, trace::TranslationsRefreshed, trace::PacketsDropped, trace::StrayAccess,
                trace::Retransmitted, trace::PollReturned, trace::StreamMoved, trace::DmaApiRound,
                trace::VfioTornDown, trace::DriverCallsMade, trace::SmmuMaintained, trace::StreamUnderrun>;

  template <std::size_t... kind>
  static void mark_undrawn(trace::KindSet& kinds, std::index_sequence<kind...>) {
    (kinds.set(kind, is_undrawn<std::variant_alternative_t<kind, trace::Event>>), ...);
  }

  struct Annotations : std::span<const perfetto::Annotation> {
    Annotations(std::initializer_list<perfetto::Annotation> all) : span(all.begin(), all.size()) {}  // until the ;
    Annotations without_last(std::size_t count) const { return Annotations(first(size() - count)); }

   private:
    explicit Annotations(std::span<const perfetto::Annotation> some) : span(some) {}
  };
  /// What is 0 nearly always, and of interest where it is not, comes last.
  static Annotations last_unless_0(std::uint64_t last, Annotations all) { return all.without_last(last == 0); }

  struct Span {
    std::uint64_t began;  // ns
    std::uint64_t ended;
  };

  struct Vcpu {
    perfetto::HeldCalls held;
    /// The interrupt taken last, until an I/O completes in it.
    perfetto::HeldCall interrupt;
    bool in_interrupt = false;
    std::uint64_t kicked_requests = 0;  // by the exit that comes
  };

  /// Deferred invalidations of one domain. Those that came while a flush ran are not covered by it; to tell them
  /// apart, and to end their I/Os' arrows, the latest are kept.
  struct FlushQueue {
    struct Deferred {
      std::uint64_t at_ps = 0;
      std::uint64_t io = 0;  // 0: no arrow
    };
    std::array<Deferred, 4096> latest{};
    std::uint64_t deferred = 0;  // ever
    std::uint64_t pending = 0;
    Deferred& number(std::uint64_t n) { return latest[n % latest.size()]; }
  };

  void look();
  void pinned(std::uint64_t pages) {
    pinned_ = pages;
    if (now_ >= next_sample_) sample_pinned();
  }
  void sample_pinned();
  bool drawn(Span span) const { return span.ended >= from_ && span.began <= to_; }
  /// From then until now.
  Span until_now(std::uint64_t began_ps) const { return {std::min(began_ps, now_ps_) / 1000, now_}; }
  /// That long, until now.
  Span lasting(std::uint64_t took_ps) const { return until_now(now_ps_ - std::min(took_ps, now_ps_)); }
  Span clipped(Span span) const { return {std::max(span.began, from_), std::min(span.ended, to_)}; }
  void slice(perfetto::Row row, std::uint32_t a, std::uint32_t b, Span span, std::uint64_t name,
             Annotations annotations, perfetto::Flow flow = {});
  void instant(perfetto::Row row, std::uint32_t a, std::uint32_t b, std::uint64_t name, Annotations annotations,
               perfetto::Flow flow = {});
  void counter(perfetto::Row row, std::uint32_t a, std::uint64_t value);
  /// Gives it its place. False: it cannot be drawn.
  bool settle(perfetto::Row row, std::uint32_t cpu, Span span, perfetto::HeldCall& call);
  perfetto::HeldCall& next_to_hold(std::uint32_t cpu);
  void hold(perfetto::Row row, std::uint32_t cpu, Span span, perfetto::HeldCall& call);
  void write(perfetto::HeldCall& call);
  void write_held(std::uint32_t cpu, const IoFlows::Io* io);
  void write_interrupt(std::uint32_t cpu, std::uint64_t io);
  void write_all_held();
  Vcpu& vcpu(std::uint32_t cpu) {
    if (cpu >= vcpus_.size()) vcpus_.resize(std::size_t{cpu} + 1);
    return vcpus_[cpu];
  }
  void unfinished(const IoFlows::Io& io, std::uint64_t at_ns);
  void defer(FlushQueue& queue, std::uint64_t io);
  void flushed(FlushQueue& queue, std::uint64_t began_ps, std::uint32_t cpu);
  bool settle_debt(std::uint64_t io, perfetto::Flow& flow);
  void end_flows(std::uint64_t at_ns);
  perfetto::Flow flow_of(std::uint64_t io) const { return {flows_.find(io) != nullptr ? io : 0}; }
  std::uint64_t mapped_for(const trace::DmaBurst& burst);  ///< the I/O whose mapping starts there; 0: none
  perfetto::Flow flow_of_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) const {
    return flow_of(flows_.io_of_command(device, queue, command));
  }

  TimelineOptions options_;
  perfetto::Writer writer_;
  perfetto::Tracks tracks_;
  IoFlows flows_;
  std::uint64_t from_;  // ns
  std::uint64_t to_;
  std::uint64_t next_look_ = 0;  // when at() has more to do than to note the time
  std::uint64_t now_ = 0;
  std::uint64_t now_ps_ = 0;
  std::uint64_t drawn_until_ = 0;
  bool began_ = false;
  bool ended_ = false;
  std::uint64_t next_name_ = perfetto::first_free_name;
  std::array<std::uint64_t, std::size(exit_reasons)> exit_names_{};
  std::vector<std::uint64_t> spin_names_;                  // by lock; 0: not interned
  std::vector<Vcpu> vcpus_;                                // by number
  std::unordered_map<std::uint32_t, FlushQueue> pending_;  // by domain; looked up only
  std::uint64_t in_flight_ = 0;
  std::uint64_t pinned_ = 0;
  std::uint64_t pinned_drawn_ = 0;
  std::uint64_t next_sample_ = 0;
  std::uint64_t lookups_ = 0;
  std::uint64_t hits_ = 0;
  std::uint32_t dma_source_ = ~std::uint32_t{0};  // of the last DMA, and its guest domain
  std::uint32_t dma_domain_ = 0;
};

}  // namespace gnomon::observe
