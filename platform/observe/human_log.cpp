// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/human_log.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

namespace gnomon::observe {

namespace {

template <class Enum, std::size_t n>
std::string_view pick(const std::array<std::string_view, n>& names, Enum value) {
  return names[std::min(static_cast<std::size_t>(value), n - 1)];
}

using Words = std::string_view;
constexpr std::array<Words, 2> directions = {"read", "write"};
constexpr std::array<Words, 4> syncs = {"after unmap", "after map", "early", "of all"};
constexpr std::array<Words, 2> causes = {"full", "timer"};
constexpr std::array<Words, 4> refreshes = {"map", "unmap", "flush", "exhaustion"};
constexpr std::array<Words, 8> requests = {"attach", "detach", "map",  "unmap",
                                           "probe",  "invalidate", "wait", "configure"};
constexpr std::array<Words, 5> activities = {"task", "interrupt", "softirq", "idle", "host"};
constexpr std::array<Words, 4> granularities = {"page", "range", "domain", "global"};
constexpr std::array<Words, 7> verdicts = {"stale DMA",       "missing invalidation", "shadow divergence",
                                           "map not visible", "early reuse",          "spurious fault",
                                           "pin leak"};

/// A time in us with all its picoseconds.
struct Us {
  std::uint64_t ps;
};

/// Writes one line, without its time.
struct Line {
  fmt::memory_buffer& out;
  std::uint64_t now_ps;
  ExitSpelling exits;

  template <class... Values>
  void say(fmt::format_string<Values...> text, Values&&... values) {
    fmt::format_to(std::back_inserter(out), text, std::forward<Values>(values)...);
  }
  Us since(std::uint64_t began_ps) const { return {now_ps - std::min(began_ps, now_ps)}; }

  void operator()(const trace::WindowOpened& e);
  void operator()(const trace::WindowClosed& e);
  void operator()(const trace::IoSubmitted& e);
  void operator()(const trace::IoDispatched& e);
  void operator()(const trace::IoCompleted& e);
  void operator()(const trace::IoReaped& e);
  void operator()(const trace::IoRequeued& e);
  void operator()(const trace::MappingAdded& e);
  void operator()(const trace::MappingRemoved& e);
  void operator()(const trace::MapReturned& e);
  void operator()(const trace::UnmapReturned& e);
  void operator()(const trace::FlushQueueFlushed& e);
  void operator()(const trace::SyncDone& e);
  void operator()(const trace::GuestRequest& e);
  void operator()(const trace::GuestKick& e);
  void operator()(const trace::VmExit& e);
  void operator()(const trace::CpuSpan& e);
  void operator()(const trace::LockAcquired& e);
  void operator()(const trace::LockReleased& e);
  void operator()(const trace::InterruptRaised& e);
  void operator()(const trace::InterruptTaken& e);
  void operator()(const trace::RequestServed& e);
  void operator()(const trace::ShadowMapped& e);
  void operator()(const trace::ShadowUnmapped& e);
  void operator()(const trace::PagesPinned& e);
  void operator()(const trace::PagesUnpinned& e);
  void operator()(const trace::IoThreadWoken& e);
  void operator()(const trace::DmaBurst& e);
  void operator()(const trace::DmaFault& e);
  void operator()(const trace::IotlbInvalidated& e);
  void operator()(const trace::InvalidationSubmitted& e);
  void operator()(const trace::InvalidationWaitDone& e);
  void operator()(const trace::Doorbell& e);
  void operator()(const trace::CommandFetched& e);
  void operator()(const trace::MediaBusy& e);
  void operator()(const trace::CommandCompleted& e);
  void operator()(const trace::VerdictRaised& e);
  void operator()(const trace::GuestTableRead& e);
  void operator()(const trace::PacketsDropped& e);
  void operator()(const trace::StrayAccess& e);
  void operator()(const trace::Retransmitted& e);
  void operator()(const trace::PollReturned& e);
  void operator()(const trace::StreamMoved& e);
  void operator()(const trace::DmaApiRound& e);
  void operator()(const trace::VfioTornDown& e);
  void operator()(const trace::DriverCallsMade& e);
  void operator()(const trace::SmmuMaintained& e);
  void operator()(const trace::StreamUnderrun& e);
  void operator()(const trace::CommandTimes& e);
  void operator()(const trace::TranslationsRefreshed& e);
};

}  // namespace

}  // namespace gnomon::observe

template <>
struct fmt::formatter<gnomon::observe::Us> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(gnomon::observe::Us t, Context& context) const {
    return fmt::format_to(context.out(), "{}.{:06} us", t.ps / 1'000'000, t.ps % 1'000'000);
  }
};

namespace gnomon::observe {

namespace {

void Line::operator()(const trace::WindowOpened& e) {
  say("measured window opened, {} jobs", e.jobs);
}
void Line::operator()(const trace::WindowClosed& e) {
  say("measured window closed, {} jobs", e.jobs);
}

void Line::operator()(const trace::IoSubmitted& e) {
  say("vCPU {}: I/O {} submitted: job {}, {} of {} B at {:#x} of device {}", e.cpu, e.io, e.job,
      pick(directions, e.direction), e.bytes, e.offset, e.device);
}
void Line::operator()(const trace::IoDispatched& e) {
  say("vCPU {}: I/O {} dispatched: device {} queue {} command {}", e.cpu, e.io, e.device, e.queue, e.command);
}
void Line::operator()(const trace::IoCompleted& e) {
  say("vCPU {}: I/O {} completed, status {}", e.cpu, e.io, e.status);
}
void Line::operator()(const trace::IoReaped& e) {
  say("vCPU {}: I/O {} reaped: job {}, {} of {} B, latency {}, status {}", e.cpu, e.io, e.job,
      pick(directions, e.direction), e.bytes, Us{e.latency_ps}, e.status);
}
void Line::operator()(const trace::IoRequeued& e) {
  say("vCPU {}: I/O {} requeued: mapping failed, errno {}", e.cpu, e.io, e.status);
}

void Line::operator()(const trace::MappingAdded& e) {
  say("vCPU {}: domain {}: iova {:#x} -> gpa {:#x}, {} B, {}{}", e.cpu, e.domain, e.iova, e.gpa, e.bytes,
      e.readable != 0 ? "r" : "-", e.writable != 0 ? "w" : "-");
}
void Line::operator()(const trace::MappingRemoved& e) {
  say("vCPU {}: domain {}: iova {:#x}, {} B no longer mapped", e.cpu, e.domain, e.iova, e.bytes);
}
void Line::operator()(const trace::MapReturned& e) {
  say("vCPU {}: map: domain {}, iova {:#x}, {} B in {} runs, took {}, status {}", e.cpu, e.domain, e.iova, e.bytes,
      e.runs, Us{e.took_ps}, e.status);
}
void Line::operator()(const trace::UnmapReturned& e) {
  say("vCPU {}: unmap: domain {}, iova {:#x}, {} B, took {}{}", e.cpu, e.domain, e.iova, e.bytes, Us{e.took_ps},
      e.deferred != 0 ? ", invalidation deferred" : "");
}
void Line::operator()(const trace::FlushQueueFlushed& e) {
  say("vCPU {}: flush queue of domain {} drained ({}), took {}", e.cpu, e.domain, pick(causes, e.cause),
      since(e.began_ps));
}
void Line::operator()(const trace::SyncDone& e) {
  say("vCPU {}: sync {} of domain {}, took {}", e.cpu, pick(syncs, e.kind), e.domain, since(e.began_ps));
}
void Line::operator()(const trace::TranslationsRefreshed& e) {
  const bool all = e.bytes == trace::whole_domain;
  say("vCPU {}: RPCIT ({}) of domain {}, {}, errno {}, took {}", e.cpu, pick(refreshes, e.cause), e.domain,
      all ? std::string{"all"} : fmt::format("iova {:#x}, {} B", e.iova, e.bytes), e.status, since(e.began_ps));
}
void Line::operator()(const trace::GuestRequest& e) {
  say("vCPU {}: queued {} request: domain {}, iova {:#x}, gpa {:#x}, {} B", e.cpu, pick(requests, e.type), e.domain,
      e.iova, e.gpa, e.bytes);
}
void Line::operator()(const trace::GuestKick& e) {
  say("vCPU {}: kick {}for {} requests", e.cpu, e.suppressed != 0 ? "suppressed " : "", e.requests);
}

void Line::operator()(const trace::VmExit& e) {
  say("vCPU {}: VM exit {}, took {}", e.cpu, exit_reason_name(exits, e.reason), since(e.began_ps));
}
void Line::operator()(const trace::CpuSpan& e) {
  say("vCPU {}: {} for {}", e.cpu, pick(activities, e.activity), since(e.began_ps));
}
void Line::operator()(const trace::LockAcquired& e) {
  say("vCPU {}: lock {} acquired, waited {}", e.cpu, e.lock, Us{e.waited_ps});
}
void Line::operator()(const trace::LockReleased& e) {
  say("vCPU {}: lock {} released, held {}", e.cpu, e.lock, Us{e.held_ps});
}
void Line::operator()(const trace::InterruptRaised& e) {
  say("vCPU {}: vector {:#x} raised", e.cpu, e.vector);
}
void Line::operator()(const trace::InterruptTaken& e) {
  say("vCPU {}: vector {:#x} taken, was pending {}", e.cpu, e.vector, since(e.raised_ps));
}

void Line::operator()(const trace::RequestServed& e) {
  say("vIOMMU thread {}: served {} request: domain {}, iova {:#x}, {} B, status {}", e.thread,
      pick(requests, e.type), e.domain, e.iova, e.bytes, e.status);
}
void Line::operator()(const trace::ShadowMapped& e) {
  say("container {}: VFIO_IOMMU_MAP_DMA: iova {:#x} -> gpa {:#x}, {} B, took {}, status {}", e.container, e.iova,
      e.gpa, e.bytes, Us{e.took_ps}, e.status);
}
void Line::operator()(const trace::ShadowUnmapped& e) {
  say("container {}: VFIO_IOMMU_UNMAP_DMA: iova {:#x}, {} B, took {}, status {}", e.container, e.iova, e.bytes,
      Us{e.took_ps}, e.status);
}
void Line::operator()(const trace::GuestTableRead& e) {
  say("{} entries of the guest's tables read", e.entries);
}
void Line::operator()(const trace::DmaApiRound& e) {
  say("vCPU {}: thread {}: dma_map took {}, dma_unmap {}", e.cpu, e.thread, Us{e.map_ps}, Us{e.unmap_ps});
}
void Line::operator()(const trace::DriverCallsMade& e) {
  say("the IOMMU driver was called {} times to map and {} to unmap", e.map, e.unmap);
}
void Line::operator()(const trace::VfioTornDown& e) {
  say("MAP_DMA of {} runs took {}; UNMAP_DMA of {} regions, {} syncs and {} software walks took {}", e.runs,
      Us{e.map_ps}, e.regions, e.syncs, e.software_walks, Us{e.unmap_ps});
}
void Line::operator()(const trace::PagesPinned& e) {
  say("host: {} pages pinned, {} now", e.pages, e.pinned_now);
}
void Line::operator()(const trace::PagesUnpinned& e) {
  say("host: {} pages unpinned, {} now", e.pages, e.pinned_now);
}
void Line::operator()(const trace::IoThreadWoken& e) {
  say("vIOMMU thread {}: woken, {} after the signal", e.thread, since(e.signalled_ps));
}

void Line::operator()(const trace::DmaBurst& e) {
  say("IOMMU: DMA {} by {:#06x}: iova {:#x} -> hpa {:#x}, {} B, domain {}, {}, {} walk reads, ends at {}",
      e.write != 0 ? "write" : "read", e.source, e.iova, e.hpa, e.bytes, e.domain,
      e.iotlb_hit != 0 ? "IOTLB hit" : "IOTLB miss", e.walk_reads, Us{e.ends_ps});
}
void Line::operator()(const trace::DmaFault& e) {
  say("IOMMU: DMA {} by {:#06x} faulted: iova {:#x}, reason {:#x}", e.write != 0 ? "write" : "read", e.source,
      e.iova, e.reason);
}
void Line::operator()(const trace::IotlbInvalidated& e) {
  say("IOMMU: invalidated {}: domain {}, iova {:#x}, {} B, {} entries dropped{}",
      pick(granularities, e.granularity), e.domain, e.iova, e.bytes, e.dropped,
      e.hint_leaf_only != 0 ? ", leaf only" : "");
}
void Line::operator()(const trace::InvalidationSubmitted& e) {
  say("vCPU {}: invalidation queue tail rung for {} descriptors", e.cpu, e.descriptors);
}
void Line::operator()(const trace::InvalidationWaitDone& e) {
  say("IOMMU: wait descriptor done, {} after its submission", since(e.submitted_ps));
}

void Line::operator()(const trace::Doorbell& e) {
  say("device {} queue {}: {} doorbell = {}", e.device, e.queue, e.completion != 0 ? "completion" : "submission",
      e.value);
}
void Line::operator()(const trace::CommandTimes& e) {
  say("device {} queue {}: command {} queued {}, translated {}, media {}", e.device, e.queue, e.command, Us{e.queued_ps},
      Us{e.translation_ps}, Us{e.media_ps});
}
void Line::operator()(const trace::CommandFetched& e) {
  say("device {} queue {}: command {} fetched", e.device, e.queue, e.command);
}
void Line::operator()(const trace::MediaBusy& e) {
  say("device {} queue {}: command {} on channel {} from {} to {}", e.device, e.queue, e.command, e.channel,
      Us{e.began_ps}, Us{e.ends_ps});
}
void Line::operator()(const trace::CommandCompleted& e) {
  say("device {} queue {}: command {} completed, status {:#x}", e.device, e.queue, e.command, e.status);
}
void Line::operator()(const trace::PacketsDropped& e) {
  say("device {} queue {}: {} packets dropped, {} B", e.device, e.queue, e.packets, e.bytes);
}
void Line::operator()(const trace::Retransmitted& e) {
  say("device {} queue {}: {} packets sent again, {} B", e.device, e.queue, e.packets, e.bytes);
}
void Line::operator()(const trace::StrayAccess& e) {
  say("device {}: stray {} of {:#x} ({} B) {}", e.device, e.write != 0 ? "write" : "read", e.iova, e.bytes,
      e.landed != 0 ? "landed" : "was refused");
}
void Line::operator()(const trace::PollReturned& e) {
  say("vCPU {}: device {} queue {}: polled {} packets in {} buffers, {} B, {} frames sent, {}, took {}", e.cpu, e.device,
      e.queue, e.packets, e.buffers, e.bytes, e.frames, e.rearmed != 0 ? "rearmed" : "more to do", since(e.began_ps));
}
void Line::operator()(const trace::StreamMoved& e) {
  say("vCPU {}: stream {}: {} B {}", e.cpu, e.stream, e.bytes, e.direction == trace::Direction::read ? "read" : "acknowledged");
}
void Line::operator()(const trace::SmmuMaintained& e) {
  say("vCPU {}: domain {}: {} lines cleaned in {}, {} barriers in {}, {} registers written in {}, {} read in {}", e.cpu,
      e.domain, e.lines_cleaned, Us{e.cache_ps}, e.barriers, Us{e.barrier_ps}, e.register_writes, Us{e.tlb_ps},
      e.register_reads, Us{e.read_back_ps});
}
void Line::operator()(const trace::StreamUnderrun& e) {
  say("device {}: {} at iova {:#x} too late by {}", e.device, e.write != 0 ? "write" : "read", e.iova,
      Us{e.came_ps - e.needed_ps});
}
void Line::operator()(const trace::VerdictRaised& e) {
  say("sanitizer: {}: domain {}, iova {:#x}, {} B", pick(verdicts, e.verdict), e.domain, e.iova, e.bytes);
}

struct Notable {
  template <class Event>
  bool operator()(const Event& e) const {
    if constexpr (requires { e.status; }) return e.status != 0;
    return false;
  }
  bool operator()(const trace::WindowOpened&) const { return true; }
  bool operator()(const trace::WindowClosed&) const { return true; }
  bool operator()(const trace::IoRequeued&) const { return true; }
  bool operator()(const trace::DmaFault&) const { return true; }
  bool operator()(const trace::VerdictRaised&) const { return true; }
};

}  // namespace

HumanLog::HumanLog(std::shared_ptr<spdlog::logger> logger, ExitSpelling exits)
    : logger_(std::move(logger)), exits_(exits) {}

bool HumanLog::notable(const trace::Event& event) {
  return std::visit(Notable{}, event);
}

void HumanLog::describe(fmt::memory_buffer& out, Time at, const trace::Event& event, ExitSpelling exits) {
  std::visit(Line{out, at.ps(), exits}, event);
}

void HumanLog::on_event(Time at, const trace::Event& event) {
  const auto level = notable(event) ? spdlog::level::info : spdlog::level::trace;
  if (!logger_->should_log(level)) return;
  line_.clear();
  fmt::format_to(std::back_inserter(line_), "{:>12}.{:06} us  ", at.ps() / 1'000'000, at.ps() % 1'000'000);
  describe(line_, at, event, exits_);
  logger_->log(level, spdlog::string_view_t(line_.data(), line_.size()));
}

}  // namespace gnomon::observe
