// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/metrics.hpp"

#include <algorithm>
#include <type_traits>

#include "models/base/address.hpp"
#include "platform/observe/exit_reason_name.hpp"

namespace gnomon::observe {

namespace {

template <class E>
constexpr std::size_t index_of(E e) {
  return static_cast<std::size_t>(e);
}
template <class E, class... Any>
constexpr bool is_one_of = (std::is_same_v<E, Any> || ...);
double number(std::uint64_t v) { return static_cast<double>(v); }

}  // namespace

Metrics::Metrics(Names names) : names_(std::move(names)), jobs_(names_.jobs.size()), locks_(names_.locks.size()) {}

void Metrics::on_event(Time at, const trace::Event& event) {
  last_at_ = at;
  std::visit(
      [&](const auto& e) {
        count_always(e);
        if (open_) count(at, e);
      },
      event);
}

/// In the window or not. What a kind of event has nothing to do with is compiled away.
template <class E>
void Metrics::count_always(const E& e) {
  using namespace trace;
  if constexpr (is_one_of<E, IoSubmitted>) ++submitted_total_;
  if constexpr (is_one_of<E, IoReaped>) ++reaped_total_;
  if constexpr (is_one_of<E, DmaBurst, UnmapReturned, DmaApiRound>) ++work_total_;
  if constexpr (is_one_of<E, MapReturned>) work_total_ += e.status == 0;
  if constexpr (is_one_of<E, PagesPinned>) pinned_total_ += e.pages;
  if constexpr (is_one_of<E, PagesUnpinned>) unpinned_total_ += e.pages;
  if constexpr (is_one_of<E, WindowOpened>) {
    open_ = true;
    opened_at_ = last_at_;
  }
  if constexpr (is_one_of<E, WindowClosed>) {
    open_ = false;
    closed_at_ = last_at_;
  }
  if constexpr (is_one_of<E, MappingAdded, MappingRemoved>) ledger_.on(e);
  if constexpr (is_one_of<E, GuestRequest>) {
    const InvalidationLedger::Covered covered = ledger_.on(e);
    if (open_) pages_covered_ += covered.pages;
    if (open_) pages_modified_ += covered.modified;
  }
  if constexpr (is_one_of<E, ShadowMapped>) shadow_entries_ += e.status == 0;
  if constexpr (is_one_of<E, ShadowUnmapped>) shadow_entries_ -= e.status == 0 && shadow_entries_ > 0;
}

Time Metrics::window() const { return open_ ? last_at_ - opened_at_ : closed_at_ - opened_at_; }

void Metrics::count(Time, const trace::IoReaped& e) {
  if (e.status != 0) {
    ++io_errors_;
    return;
  }
  lat_.record(e.latency_ps / 1000);
  bytes_ += e.bytes;
  JobUse& job = jobs_[e.job];
  ++job.ios;
  job.bytes += e.bytes;
  job.latency_ps += e.latency_ps;
}

void Metrics::count(Time, const trace::MapReturned& e) {
  map_.add(e.took_ps);
  map_pages_ += e.bytes >> page_shift;
  if (e.status != 0) ++map_failures_;
}

void Metrics::count(Time, const trace::UnmapReturned& e) {
  unmap_.add(e.took_ps);
  unmap_pages_ += e.bytes >> page_shift;
}

void Metrics::count(Time at, const trace::SyncDone& e) { syncs_[index_of(e.kind)].add(at.ps() - e.began_ps); }

void Metrics::count(Time at, const trace::FlushQueueFlushed& e) {
  ++flushes_[index_of(e.cause)];
  flush_.add(at.ps() - e.began_ps);
}

void Metrics::count(Time, const trace::GuestRequest& e) {
  ++requests_[index_of(e.type)];
  domain_invalidations_ += e.type == trace::RequestType::invalidate && e.bytes == trace::whole_domain;
}

void Metrics::count(Time, const trace::GuestKick& e) { ++(e.suppressed != 0 ? kicks_suppressed_ : kicks_); }
void Metrics::count(Time at, const trace::VmExit& e) { exits_[index_of(e.reason)].add(at.ps() - e.began_ps); }

void Metrics::count(Time at, const trace::CpuSpan& e) {
  if (e.cpu < names_.cpus && e.activity != trace::Activity::idle) {
    busy_ps_ += at.ps() - std::max(e.began_ps, opened_at_.ps());
  }
}

void Metrics::count(Time, const trace::LockAcquired& e) {
  ++locks_.at(e.lock).acquisitions;
  locks_[e.lock].wait_ps += e.waited_ps;
}
void Metrics::count(Time, const trace::LockReleased& e) { locks_[e.lock].hold_ps += e.held_ps; }

void Metrics::count(Time, const trace::ShadowMapped& e) { map_ioctls_.add(e.took_ps); }
void Metrics::count(Time, const trace::ShadowUnmapped& e) { unmap_ioctls_.add(e.took_ps); }

void Metrics::count(Time, const trace::GuestTableRead& e) { ptes_read_ += e.entries; }
void Metrics::count(Time, const trace::DmaApiRound& e) {
  dma_map_.add(e.map_ps);
  dma_unmap_.add(e.unmap_ps);
}

void Metrics::count(Time, const trace::DmaBurst& e) {
  ++(e.iotlb_hit != 0 ? hits_ : misses_);
  evictions_ += e.evicted;
  walk_reads_ += e.walk_reads;
  dma_bytes_ += e.bytes;
}
void Metrics::count(Time, const trace::DmaFault&) { ++faults_; }
void Metrics::count(Time, const trace::IotlbInvalidated& e) { ++invalidations_[index_of(e.granularity)]; }
void Metrics::count(Time, const trace::Doorbell& e) { ++(e.completion != 0 ? cq_doorbells_ : sq_doorbells_); }
void Metrics::count(Time, const trace::InterruptTaken& e) { interrupts_ += e.vector >= 0x30 && e.vector < 0xec; }
void Metrics::count(Time, const trace::IoRequeued&) { ++requeues_; }

void Metrics::count(Time at, const trace::TranslationsRefreshed& e) {
  Refreshes& r = refreshes_[index_of(e.cause)];
  r.done.add(at.ps() - e.began_ps);
  r.exhausted += e.status != 0;
}

void Metrics::add_io(MetricValues& out) const {
  const double seconds = window().seconds();
  const auto rate = [&](std::uint64_t n) { return seconds > 0 ? number(n) / seconds : 0; };
  const fio::Moments& m = lat_.moments();
  constexpr std::array wanted = {50.0, 99.0};
  const auto percentiles = lat_.percentiles(wanted);
  out.emplace_back("io.completed", number(m.count()));
  out.emplace_back("io.iops", rate(m.count()));
  out.emplace_back("io.bw_bytes_per_s", rate(bytes_));
  out.emplace_back("io.lat_ns.mean", m.mean());
  out.emplace_back("io.lat_ns.p50", percentiles.empty() ? 0 : number(percentiles[0]));
  out.emplace_back("io.lat_ns.p99", percentiles.empty() ? 0 : number(percentiles[1]));
  out.emplace_back("io.lat_ns.max", number(m.max()));
  out.emplace_back("io.errors", number(io_errors_));
  out.emplace_back("io.requeues", number(requeues_));
  out.emplace_back("io.submitted_total", number(submitted_total_));
  out.emplace_back("io.completed_total", number(reaped_total_));
  out.emplace_back("io.in_flight_at_end", number(submitted_total_ - reaped_total_));
  std::vector<std::string> seen;
  for (const std::string& name : names_.jobs) {
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    JobUse sum;
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      if (names_.jobs[i] != name) continue;
      sum.ios += jobs_[i].ios;
      sum.bytes += jobs_[i].bytes;
      sum.latency_ps += jobs_[i].latency_ps;
    }
    out.emplace_back("job." + name + ".iops", rate(sum.ios));
    out.emplace_back("job." + name + ".bw_bytes_per_s", rate(sum.bytes));
    out.emplace_back("job." + name + ".lat_ns.mean",
                     sum.ios == 0 ? 0 : number(sum.latency_ps) * 1e-3 / number(sum.ios));
  }
}

void Metrics::add_guest(MetricValues& out) const {
  using trace::RequestType;
  using trace::Sync;
  out.emplace_back("api.map_ns.mean", map_.mean_ns());
  out.emplace_back("api.unmap_ns.mean", unmap_.mean_ns());
  out.emplace_back("api.map_calls", number(map_.count));
  out.emplace_back("api.unmap_calls", number(unmap_.count));
  out.emplace_back("api.map_pages", number(map_pages_));
  out.emplace_back("api.unmap_pages", number(unmap_pages_));
  out.emplace_back("api.map_failures", number(map_failures_));
  if (dma_map_.count > 0) {
    out.emplace_back("dma_api.rounds", number(dma_map_.count));
    out.emplace_back("dma_api.map_ns.mean", dma_map_.mean_ns());
    out.emplace_back("dma_api.unmap_ns.mean", dma_unmap_.mean_ns());
  }
  if (polls_ > 0) {
    const double seconds = window().seconds();
    out.emplace_back("net.bits_per_s", seconds > 0 ? number(stream_bytes_) * 8 / seconds : 0);
    out.emplace_back("net.packets_received", number(poll_packets_));
    out.emplace_back("net.frames_sent", number(frames_));
    out.emplace_back("net.packets_dropped", number(packets_dropped_));
    out.emplace_back("net.packets_retransmitted", number(retransmitted_));
    out.emplace_back("net.polls", number(polls_));
  }
  if (driver_calls_.map + driver_calls_.unmap > 0) {
    out.emplace_back("api.driver_map_calls", number(driver_calls_.map));
    out.emplace_back("api.driver_unmap_calls", number(driver_calls_.unmap));
  }
  maintenance_.append(out, map_.count + unmap_.count, map_.ps + unmap_.ps + syncs_[index_of(trace::Sync::all)].ps);
  if (vfio_.map_ps > 0) {
    out.emplace_back("vfio.map_ns", number(vfio_.map_ps) * 1e-3);
    out.emplace_back("vfio.unmap_ns", number(vfio_.unmap_ps) * 1e-3);
    out.emplace_back("vfio.runs", number(vfio_.runs));
    out.emplace_back("vfio.regions", number(vfio_.regions));
    out.emplace_back("vfio.syncs", number(vfio_.syncs));
    out.emplace_back("vfio.software_walks", number(vfio_.software_walks));
  }
  out.emplace_back("guest.map_requests", number(requests_[index_of(RequestType::map)]));
  out.emplace_back("guest.unmap_requests", number(requests_[index_of(RequestType::unmap)]));
  out.emplace_back("guest.invalidation_commands", number(requests_[index_of(RequestType::unmap)] + requests_[index_of(RequestType::invalidate)]));
  out.emplace_back("guest.domain_invalidations", number(domain_invalidations_));
  out.emplace_back("guest.wait_commands", number(requests_[index_of(RequestType::wait)]));
  out.emplace_back("guest.kicks", number(kicks_));
  out.emplace_back("guest.kicks_suppressed", number(kicks_suppressed_));
  if (const std::uint64_t ios = lat_.moments().count(); ios > 0) {
    const double commands = number(requests_[index_of(RequestType::unmap)] + requests_[index_of(RequestType::invalidate)]);
    out.emplace_back("guest.invalidation_commands_per_io", commands / number(ios));
    out.emplace_back("guest.kicks_per_io", number(kicks_) / number(ios));
  }
  const auto syncs = [this](Sync kind) { return syncs_[index_of(kind)]; };
  out.emplace_back("guest.syncs", number(syncs(Sync::unmap).count + syncs(Sync::map).count + syncs(Sync::all).count));
  out.emplace_back("guest.early_syncs", number(syncs(Sync::early).count));
  if (const Sum unmap = syncs(Sync::unmap); unmap.count > 0) out.emplace_back("guest.sync_ns.mean", unmap.mean_ns());
  out.emplace_back("guest.flush_queue.full_flushes", number(flushes_[index_of(trace::FlushCause::full)]));
  out.emplace_back("guest.flush_queue.timer_flushes", number(flushes_[index_of(trace::FlushCause::timer)]));
  if (flush_.count > 0) {
    out.emplace_back("guest.flush_queue.flush_ns.mean", flush_.mean_ns());
    out.emplace_back("guest.flush_queue.flush_ns.max", number(flush_.max_ps) * 1e-3);
  }
  const double window_ps = number(window().ps()) * names_.cpus;
  out.emplace_back("cpu.busy_fraction", window_ps > 0 ? std::min(1.0, number(busy_ps_) / window_ps) : 0);
  out.emplace_back("cpu.device_interrupts", number(interrupts_));
}

/// Of an s390 guest; others have none.
void Metrics::add_refreshes(MetricValues& out) const {
  using trace::RefreshCause;
  const auto of = [&](RefreshCause cause) -> const Refreshes& { return refreshes_[index_of(cause)]; };
  const Refreshes& map = of(RefreshCause::map);
  const Refreshes& flush = of(RefreshCause::flush);
  const Refreshes& retry = of(RefreshCause::exhaustion);
  Sum full = flush.done;
  full.count += retry.done.count;
  full.ps += retry.done.ps;
  if (map.done.count + of(RefreshCause::unmap).done.count + full.count == 0) return;
  out.emplace_back("guest.refreshes.map", number(map.done.count));
  out.emplace_back("guest.refreshes.unmap", number(of(RefreshCause::unmap).done.count));
  out.emplace_back("guest.refreshes.full", number(full.count));
  out.emplace_back("guest.refreshes.map_ns.mean", map.done.mean_ns());
  out.emplace_back("guest.refreshes.full_ns.mean", full.mean_ns());
  out.emplace_back("guest.refreshes.out_of_resources", number(map.exhausted));
  out.emplace_back("guest.refreshes.retries", number(retry.done.count));
  out.emplace_back("guest.refreshes.retries_failed", number(retry.exhausted));
}

void Metrics::add_exits(MetricValues& out) const {
  Sum total;
  for (const Sum& exit : exits_) {
    total.count += exit.count;
    total.ps += exit.ps;
  }
  out.emplace_back("exits.total", number(total.count));
  out.emplace_back("exits.time_ns", number(total.ps) * 1e-3);
  for (std::size_t i = 0; i < exits_.size(); ++i) {
    if (exits_[i].count == 0) continue;
    const auto reason = static_cast<trace::ExitReason>(i);
    const std::string_view name = exit_reason_name(names_.exit_spelling, reason);
    Sum sum;  // of the reasons that share the name, with the first of them
    bool told = false;
    for (std::size_t j = 0; j < exits_.size(); ++j) {
      if (exits_[j].count == 0 || exit_reason_name(names_.exit_spelling, static_cast<trace::ExitReason>(j)) != name) continue;
      told = told || j < i;
      sum.count += exits_[j].count;
      sum.ps += exits_[j].ps;
    }
    if (told) continue;
    out.emplace_back("exits.by_reason." + std::string(name), number(sum.count));
    out.emplace_back("exits.mean_ns." + std::string(name), sum.mean_ns());
  }
}

void Metrics::add_hardware(MetricValues& out) const {
  out.emplace_back("hypervisor.map_ioctls", number(map_ioctls_.count));
  out.emplace_back("hypervisor.unmap_ioctls", number(unmap_ioctls_.count));
  out.emplace_back("hypervisor.map_ioctl_ns.mean", map_ioctls_.mean_ns());
  out.emplace_back("hypervisor.unmap_ioctl_ns.mean", unmap_ioctls_.mean_ns());
  out.emplace_back("hypervisor.ptes_read", number(ptes_read_));
  out.emplace_back("hypervisor.shadow_entries", number(shadow_entries_));
  out.emplace_back("hypervisor.pages_pinned_total", number(pinned_total_));
  out.emplace_back("hypervisor.pages_unpinned_total", number(unpinned_total_));
  out.emplace_back("iotlb.hits", number(hits_));
  out.emplace_back("iotlb.misses", number(misses_));
  out.emplace_back("iotlb.evictions", number(evictions_));
  static constexpr std::array granularities = {"page", "range", "domain", "global"};
  for (std::size_t i = 0; i < granularities.size(); ++i) {
    out.emplace_back(std::string("iotlb.invalidations.") + granularities[i], number(invalidations_[i]));
  }
  out.emplace_back("iotlb.walk_reads", number(walk_reads_));
  out.emplace_back("invalidation.pages_modified", number(pages_modified_));
  out.emplace_back("invalidation.pages_covered", number(pages_covered_));
  out.emplace_back("invalidation.pages_unmodified", number(pages_covered_ - pages_modified_));
  out.emplace_back("dma.bytes", number(dma_bytes_));
  out.emplace_back("dma.faults", number(faults_));
  if (strays_ > 0) {
    out.emplace_back("device.stray_accesses", number(strays_));
    out.emplace_back("device.stray_refused", number(strays_refused_));
  }
  out.emplace_back("nvme.submission_doorbells", number(sq_doorbells_));
  out.emplace_back("nvme.completion_doorbells", number(cq_doorbells_));
}

void Metrics::add_locks(MetricValues& out) const {
  for (std::size_t i = 0; i < locks_.size(); ++i) {
    if (locks_[i].acquisitions == 0) continue;
    const std::string prefix = "lock." + names_.locks[i];
    out.emplace_back(prefix + ".wait_ns", number(locks_[i].wait_ps) * 1e-3);
    out.emplace_back(prefix + ".hold_ns", number(locks_[i].hold_ps) * 1e-3);
    out.emplace_back(prefix + ".acquisitions", number(locks_[i].acquisitions));
  }
}

MetricValues Metrics::values() const {
  MetricValues out;
  out.reserve(96);
  add_io(out);
  add_guest(out);
  add_refreshes(out);
  add_exits(out);
  add_hardware(out);
  if (names_.streams) stream_.append(out, window().seconds(), dma_bytes_, faults_);
  add_locks(out);
  return out;
}

}  // namespace gnomon::observe
