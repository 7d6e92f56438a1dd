// SPDX-License-Identifier: Apache-2.0
// What each event of the stream looks like on the timeline. One overload an event: a new event does not compile
// until it is decided here how it is drawn.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
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

  void at(Time now);  ///< what is told from here on happens at `now`
  std::error_code close();
  std::uint64_t cut() const { return tracks_.cut(); }

  void operator()(const trace::WindowOpened&);
  void operator()(const trace::WindowClosed&);
  void operator()(const trace::IoSubmitted&);
  void operator()(const trace::IoDispatched&);
  void operator()(const trace::IoCompleted&);
  void operator()(const trace::IoReaped&);
  void operator()(const trace::IoRequeued&);
  void operator()(const trace::MappingAdded&) {}    // as many as there are pages, and the call is drawn
  void operator()(const trace::MappingRemoved&) {}  // likewise
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
  void operator()(const trace::InterruptRaised&) {}  // drawn when taken, from when it was raised
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
  void operator()(const trace::InvalidationSubmitted&);
  void operator()(const trace::InvalidationWaitDone&);
  void operator()(const trace::Doorbell&);
  void operator()(const trace::CommandFetched&);
  void operator()(const trace::MediaBusy&);
  void operator()(const trace::CommandCompleted&);
  void operator()(const trace::VerdictRaised&);
  // Counts and sums: nothing to draw.
  void operator()(const trace::GuestTableRead&) {}
  void operator()(const trace::CommandTimes&) {}
  void operator()(const trace::TranslationsRefreshed&) {}  // its exit is drawn
  void operator()(const trace::PacketsDropped&) {}
  void operator()(const trace::StrayAccess&) {}
  void operator()(const trace::Retransmitted&) {}
  void operator()(const trace::PollReturned&) {}  // its softirq is drawn
  void operator()(const trace::StreamMoved&) {}
  void operator()(const trace::DmaApiRound&) {}
  void operator()(const trace::VfioTornDown&) {}
  void operator()(const trace::DriverCallsMade&) {}
  void operator()(const trace::SmmuMaintained&) {}  // its SyncDone is drawn
  void operator()(const trace::StreamUnderrun&) {}

 private:
  using Annotations = std::initializer_list<perfetto::Annotation>;

  struct Span {
    std::uint64_t began;  // ns
    std::uint64_t ended;
  };

  struct Vcpu {
    perfetto::HeldCalls held;
    /// The interrupt taken last, until an I/O completes in it.
    perfetto::HeldCall interrupt;
    bool in_interrupt = false;
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

  bool drawn(Span span) const { return span.ended >= from_ && span.began <= to_; }
  Span until_now(std::uint64_t began_ps) const;  ///< from then until now
  Span lasting(std::uint64_t took_ps) const;     ///< that long, until now
  Span clipped(Span span) const;
  void slice(perfetto::Row row, std::uint32_t a, std::uint32_t b, Span span, std::uint64_t name,
             Annotations annotations, perfetto::Flow flow = {});
  void instant(perfetto::Row row, std::uint32_t a, std::uint32_t b, std::uint64_t name, Annotations annotations,
               perfetto::Flow flow = {});
  void counter(perfetto::Row row, std::uint32_t a, std::uint64_t value);
  /// Gives it its place. False: it cannot be drawn.
  bool settle(perfetto::Row row, std::uint32_t cpu, Span span, perfetto::HeldCall& call);
  void hold(perfetto::Row row, std::uint32_t cpu, Span span, perfetto::HeldCall call);
  void write(perfetto::HeldCall& call);
  void write_held(std::uint32_t cpu, const IoFlows::Io* io);
  void write_interrupt(std::uint32_t cpu, std::uint64_t io);
  void write_all_held();
  Vcpu& vcpu(std::uint32_t cpu);
  void unfinished(const IoFlows::Io& io, std::uint64_t at_ns);
  void defer(FlushQueue& queue, std::uint64_t io);
  void flushed(FlushQueue& queue, std::uint64_t began_ps, std::uint32_t cpu);
  bool settle_debt(std::uint64_t io, perfetto::Flow& flow);
  void end_flows(std::uint64_t at_ns);
  perfetto::Flow flow_of(std::uint64_t io) const { return {flows_.find(io) != nullptr ? io : 0}; }
  std::uint64_t mapped_for(const trace::DmaBurst& burst) const;  ///< the I/O whose mapping starts there; 0: none
  perfetto::Flow flow_of_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) const {
    return flow_of(flows_.io_of_command(device, queue, command));
  }

  TimelineOptions options_;
  perfetto::Writer writer_;
  perfetto::Tracks tracks_;
  IoFlows flows_;
  std::uint64_t from_;  // ns
  std::uint64_t to_;
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
  std::uint64_t lookups_ = 0;
  std::uint64_t hits_ = 0;
};

}  // namespace gnomon::observe
