// SPDX-License-Identifier: Apache-2.0
// Counts and times of the measured window, as flat dotted metrics with the unit last.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/fio/latency.hpp"
#include "models/base/time.hpp"
#include "models/trace/tracer.hpp"
#include "platform/observe/exit_reason_name.hpp"
#include "platform/observe/invalidation_ledger.hpp"
#include "platform/observe/maintenance_account.hpp"
#include "platform/observe/stream_account.hpp"

namespace gnomon::observe {

/// In a fixed order.
using MetricValues = std::vector<std::pair<std::string, double>>;

/// What a metric means. `name` may hold <reason>, <lock> or <job>, filled in per run.
struct MetricMeaning {
  std::string_view name;
  std::string_view unit;
  std::string_view meaning;
};
/// Every metric a run can report, in the order of its pages.
const std::vector<MetricMeaning>& metric_meanings();

class Metrics final : public trace::Sink {
 public:
  struct Names {
    std::vector<std::string> locks;  ///< by lock id
    std::vector<std::string> jobs;   ///< by fio thread: the name of its job
    unsigned cpus = 1;               ///< of the guest; higher numbers are host threads
    ExitSpelling exit_spelling = ExitSpelling::vmx;
    bool streams = false;  ///< a dma-master is the workload
  };

  explicit Metrics(Names names);
  void on_event(Time at, const trace::Event& event) override;

  /// All metrics of the window so far. Those of the sanitizer and the simulator itself are added by the caller.
  MetricValues values() const;
  Time window() const;
  std::uint64_t completed() const { return lat_.moments().count(); }
  /// Grows with every I/O, mapping call and DMA of the whole run: what stands still in a machine that hangs.
  std::uint64_t work_done() const { return reaped_total_ + work_total_; }
  const fio::Latency& latency() const { return lat_; }  ///< of the window's I/Os, with its histogram

 private:
  struct Sum {
    std::uint64_t count = 0;
    std::uint64_t ps = 0;
    std::uint64_t max_ps = 0;
    void add(std::uint64_t p) {
      ++count;
      ps += p;
      if (p > max_ps) max_ps = p;
    }
    double mean_ns() const { return count == 0 ? 0 : static_cast<double>(ps) * 1e-3 / static_cast<double>(count); }
  };
  struct LockUse {
    std::uint64_t wait_ps = 0, hold_ps = 0, acquisitions = 0;
  };
  struct JobUse {
    std::uint64_t ios = 0, bytes = 0, latency_ps = 0;
  };

  void count(Time at, const trace::IoReaped& e);
  void count(Time at, const trace::MapReturned& e);
  void count(Time at, const trace::UnmapReturned& e);
  void count(Time at, const trace::SyncDone& e);
  void count(Time at, const trace::FlushQueueFlushed& e);
  void count(Time at, const trace::GuestRequest& e);
  void count(Time at, const trace::GuestKick& e);
  void count(Time at, const trace::VmExit& e);
  void count(Time at, const trace::CpuSpan& e);
  void count(Time at, const trace::LockAcquired& e);
  void count(Time at, const trace::LockReleased& e);
  void count(Time at, const trace::ShadowMapped& e);
  void count(Time at, const trace::ShadowUnmapped& e);
  void count(Time at, const trace::GuestTableRead& e);
  void count(Time at, const trace::DmaApiRound& e);
  void count(Time, const trace::StreamMoved& e) { stream_bytes_ += e.bytes; }
  void count(Time, const trace::PacketsDropped& e) { packets_dropped_ += e.packets; }
  void count(Time, const trace::StrayAccess& e) {
    ++strays_;
    strays_refused_ += e.landed == 0;
  }
  void count(Time, const trace::Retransmitted& e) { retransmitted_ += e.packets; }
  void count(Time, const trace::PollReturned& e) {
    ++polls_;
    poll_packets_ += e.packets;
    frames_ += e.frames;
  }
  void count(Time, const trace::DriverCallsMade& e) { driver_calls_ = e; }
  void count(Time, const trace::SmmuMaintained& e) { maintenance_.add(e); }
  void count(Time, const trace::StreamUnderrun& e) { stream_.add(e); }
  void count(Time at, const trace::VfioTornDown& e) { vfio_ = e; static_cast<void>(at); }
  void count(Time at, const trace::DmaBurst& e);
  void count(Time at, const trace::DmaFault& e);
  void count(Time at, const trace::IotlbInvalidated& e);
  void count(Time at, const trace::Doorbell& e);
  void count(Time at, const trace::InterruptTaken& e);
  void count(Time at, const trace::IoRequeued& e);
  void count(Time at, const trace::TranslationsRefreshed& e);
  template <class E>
  void count(Time, const E&) {}
  template <class E>
  void count_always(const E& e);

  void add_io(MetricValues& out) const;
  void add_guest(MetricValues& out) const;
  void add_refreshes(MetricValues& out) const;
  void add_exits(MetricValues& out) const;
  void add_hardware(MetricValues& out) const;
  void add_locks(MetricValues& out) const;

  Names names_;
  bool open_ = false;
  Time opened_at_;
  Time closed_at_;
  Time last_at_;

  fio::Latency lat_{true};
  std::uint64_t bytes_ = 0, io_errors_ = 0, requeues_ = 0;
  std::vector<JobUse> jobs_;
  Sum map_, unmap_, dma_map_, dma_unmap_;
  std::uint64_t stream_bytes_ = 0, packets_dropped_ = 0, retransmitted_ = 0, strays_ = 0, strays_refused_ = 0, polls_ = 0, poll_packets_ = 0, frames_ = 0;
  trace::VfioTornDown vfio_{};
  trace::DriverCallsMade driver_calls_{};
  MaintenanceAccount maintenance_;
  StreamAccount stream_;
  std::uint64_t map_pages_ = 0, unmap_pages_ = 0, map_failures_ = 0;
  std::array<Sum, 4> syncs_{};
  std::array<std::uint64_t, 2> flushes_{};
  Sum flush_;
  std::array<std::uint64_t, 8> requests_{};
  std::uint64_t domain_invalidations_ = 0;
  struct Refreshes {
    Sum done;
    std::uint64_t exhausted = 0;  ///< ended with the hypervisor out of resources
  };
  std::array<Refreshes, 4> refreshes_{};  ///< by RefreshCause
  std::uint64_t kicks_ = 0, kicks_suppressed_ = 0;
  std::array<Sum, std::size(exit_reasons)> exits_{};
  Sum map_ioctls_, unmap_ioctls_;
  std::uint64_t ptes_read_ = 0;
  InvalidationLedger ledger_;
  std::uint64_t pages_modified_ = 0, pages_covered_ = 0;
  std::uint64_t hits_ = 0, misses_ = 0, evictions_ = 0, walk_reads_ = 0, dma_bytes_ = 0, faults_ = 0;
  std::array<std::uint64_t, 4> invalidations_{};
  std::uint64_t sq_doorbells_ = 0, cq_doorbells_ = 0, interrupts_ = 0;
  std::uint64_t busy_ps_ = 0;
  std::vector<LockUse> locks_;
  // Of the whole run: what went in must come out.
  std::uint64_t submitted_total_ = 0, reaped_total_ = 0, work_total_ = 0;
  std::uint64_t pinned_total_ = 0, unpinned_total_ = 0, shadow_entries_ = 0;
};

}  // namespace gnomon::observe
