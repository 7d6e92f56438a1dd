// SPDX-License-Identifier: Apache-2.0
// The names of events, their fields and their enumerators, for outputs that write all of them. A field that is
// missing here does not compile.
#pragma once

#include <array>
#include <string_view>
#include <tuple>

#include "models/trace/events.hpp"

namespace gnomon::observe {

template <class E, class T>
struct Field {
  std::string_view name;
  T E::*member;
};
template <class E, class T>
Field(const char*, T E::*) -> Field<E, T>;  // clang 14 deduces none of an aggregate

/// What an event is called, and its fields in their order.
template <class E, class... T>
struct EventFields {
  std::string_view name;
  std::tuple<Field<E, T>...> fields;
  static_assert((sizeof(T) + ...) == sizeof(E), "a field is missing");
};
template <class E, class... T>
consteval EventFields<E, T...> event_fields(std::string_view name, Field<E, T>... fields) {
  return {name, {fields...}};
}

/// The enumerators of an event's enumeration.
template <class Enum>
inline constexpr std::array<std::string_view, 0> words_of{};
template <>
inline constexpr std::array<std::string_view, 2> words_of<trace::Direction>{"read", "write"};
template <>
inline constexpr std::array<std::string_view, 4> words_of<trace::Sync>{"unmap", "map", "early", "all"};
template <>
inline constexpr std::array<std::string_view, 2> words_of<trace::FlushCause>{"full", "timer"};
template <>
inline constexpr std::array<std::string_view, 4> words_of<trace::RefreshCause>{"map", "unmap", "flush", "exhaustion"};
template <>
inline constexpr std::array<std::string_view, 8> words_of<trace::RequestType>{
    "attach", "detach", "map", "unmap", "probe", "invalidate", "wait", "configure"};
template <>
inline constexpr std::array<std::string_view, 7> words_of<trace::ExitReason>{
    "ept_misconfig", "external_interrupt", "hlt", "msr_write", "preemption_timer", "ept_violation", "instruction"};
template <>
inline constexpr std::array<std::string_view, 5> words_of<trace::Activity>{"task", "interrupt", "softirq", "idle",
                                                                           "host"};
template <>
inline constexpr std::array<std::string_view, 4> words_of<trace::Granularity>{"page", "range", "domain", "global"};
template <>
inline constexpr std::array<std::string_view, 7> words_of<trace::Verdict>{
    "stale_dma",   "missing_invalidation", "shadow_divergence", "map_invisible",
    "early_reuse", "spurious_fault",       "pin_leak"};

namespace fields {
using namespace trace;

template <class E>
inline constexpr auto of = nullptr;  // not an event

template <>
inline constexpr auto of<WindowOpened> = event_fields("window_opened", Field{"jobs", &WindowOpened::jobs});
template <>
inline constexpr auto of<WindowClosed> = event_fields("window_closed", Field{"jobs", &WindowClosed::jobs});
template <>
inline constexpr auto of<IoSubmitted> = event_fields(
    "io_submitted", Field{"io", &IoSubmitted::io}, Field{"offset", &IoSubmitted::offset},
    Field{"bytes", &IoSubmitted::bytes}, Field{"job", &IoSubmitted::job}, Field{"cpu", &IoSubmitted::cpu},
    Field{"direction", &IoSubmitted::direction}, Field{"device", &IoSubmitted::device});
template <>
inline constexpr auto of<IoDispatched> = event_fields("io_dispatched", Field{"io", &IoDispatched::io},
                                                      Field{"cpu", &IoDispatched::cpu},
                                                      Field{"device", &IoDispatched::device},
                                                      Field{"queue", &IoDispatched::queue},
                                                      Field{"command", &IoDispatched::command});
template <>
inline constexpr auto of<IoCompleted> = event_fields("io_completed", Field{"io", &IoCompleted::io},
                                                     Field{"cpu", &IoCompleted::cpu},
                                                     Field{"status", &IoCompleted::status});
template <>
inline constexpr auto of<IoReaped> = event_fields("io_reaped", Field{"io", &IoReaped::io},
                                                  Field{"bytes", &IoReaped::bytes},
                                                  Field{"latency_ps", &IoReaped::latency_ps},
                                                  Field{"job", &IoReaped::job}, Field{"cpu", &IoReaped::cpu},
                                                  Field{"direction", &IoReaped::direction},
                                                  Field{"status", &IoReaped::status});
template <>
inline constexpr auto of<IoRequeued> = event_fields("io_requeued", Field{"io", &IoRequeued::io},
                                                    Field{"cpu", &IoRequeued::cpu},
                                                    Field{"status", &IoRequeued::status});
template <>
inline constexpr auto of<MappingAdded> = event_fields(
    "mapping_added", Field{"iova", &MappingAdded::iova}, Field{"gpa", &MappingAdded::gpa},
    Field{"bytes", &MappingAdded::bytes}, Field{"domain", &MappingAdded::domain}, Field{"cpu", &MappingAdded::cpu},
    Field{"readable", &MappingAdded::readable}, Field{"writable", &MappingAdded::writable});
template <>
inline constexpr auto of<MappingRemoved> = event_fields("mapping_removed", Field{"iova", &MappingRemoved::iova},
                                                        Field{"bytes", &MappingRemoved::bytes},
                                                        Field{"domain", &MappingRemoved::domain},
                                                        Field{"cpu", &MappingRemoved::cpu});
template <>
inline constexpr auto of<MapReturned> = event_fields(
    "map_returned", Field{"iova", &MapReturned::iova}, Field{"bytes", &MapReturned::bytes},
    Field{"took_ps", &MapReturned::took_ps}, Field{"domain", &MapReturned::domain}, Field{"cpu", &MapReturned::cpu},
    Field{"runs", &MapReturned::runs}, Field{"status", &MapReturned::status});
template <>
inline constexpr auto of<UnmapReturned> = event_fields("unmap_returned", Field{"iova", &UnmapReturned::iova},
                                                       Field{"bytes", &UnmapReturned::bytes},
                                                       Field{"took_ps", &UnmapReturned::took_ps},
                                                       Field{"domain", &UnmapReturned::domain},
                                                       Field{"cpu", &UnmapReturned::cpu},
                                                       Field{"deferred", &UnmapReturned::deferred},
                                                       Field{"reserved", &UnmapReturned::reserved});
template <>
inline constexpr auto of<FlushQueueFlushed> = event_fields("flush_queue_flushed",
                                                           Field{"began_ps", &FlushQueueFlushed::began_ps},
                                                           Field{"domain", &FlushQueueFlushed::domain},
                                                           Field{"cpu", &FlushQueueFlushed::cpu},
                                                           Field{"cause", &FlushQueueFlushed::cause},
                                                           Field{"reserved", &FlushQueueFlushed::reserved});
template <>
inline constexpr auto of<SyncDone> = event_fields("sync_done", Field{"began_ps", &SyncDone::began_ps},
                                                  Field{"domain", &SyncDone::domain}, Field{"cpu", &SyncDone::cpu},
                                                  Field{"kind", &SyncDone::kind},
                                                  Field{"reserved", &SyncDone::reserved});
template <>
inline constexpr auto of<GuestRequest> = event_fields(
    "guest_request", Field{"iova", &GuestRequest::iova}, Field{"bytes", &GuestRequest::bytes},
    Field{"gpa", &GuestRequest::gpa}, Field{"domain", &GuestRequest::domain}, Field{"cpu", &GuestRequest::cpu},
    Field{"type", &GuestRequest::type}, Field{"flags", &GuestRequest::flags});
template <>
inline constexpr auto of<GuestKick> = event_fields("guest_kick", Field{"requests", &GuestKick::requests},
                                                   Field{"cpu", &GuestKick::cpu},
                                                   Field{"suppressed", &GuestKick::suppressed});
template <>
inline constexpr auto of<VmExit> = event_fields("vm_exit", Field{"began_ps", &VmExit::began_ps},
                                                Field{"cpu", &VmExit::cpu}, Field{"reason", &VmExit::reason});
template <>
inline constexpr auto of<CpuSpan> = event_fields("cpu_span", Field{"began_ps", &CpuSpan::began_ps},
                                                 Field{"cpu", &CpuSpan::cpu},
                                                 Field{"activity", &CpuSpan::activity});
template <>
inline constexpr auto of<LockAcquired> = event_fields("lock_acquired", Field{"waited_ps", &LockAcquired::waited_ps},
                                                      Field{"lock", &LockAcquired::lock},
                                                      Field{"cpu", &LockAcquired::cpu});
template <>
inline constexpr auto of<LockReleased> = event_fields("lock_released", Field{"held_ps", &LockReleased::held_ps},
                                                      Field{"lock", &LockReleased::lock},
                                                      Field{"cpu", &LockReleased::cpu});
template <>
inline constexpr auto of<InterruptRaised> = event_fields("interrupt_raised", Field{"cpu", &InterruptRaised::cpu},
                                                         Field{"vector", &InterruptRaised::vector});
template <>
inline constexpr auto of<InterruptTaken> = event_fields("interrupt_taken",
                                                        Field{"raised_ps", &InterruptTaken::raised_ps},
                                                        Field{"cpu", &InterruptTaken::cpu},
                                                        Field{"vector", &InterruptTaken::vector});
template <>
inline constexpr auto of<RequestServed> = event_fields("request_served", Field{"iova", &RequestServed::iova},
                                                       Field{"bytes", &RequestServed::bytes},
                                                       Field{"domain", &RequestServed::domain},
                                                       Field{"thread", &RequestServed::thread},
                                                       Field{"type", &RequestServed::type},
                                                       Field{"status", &RequestServed::status});
template <>
inline constexpr auto of<ShadowMapped> = event_fields("shadow_mapped", Field{"iova", &ShadowMapped::iova},
                                                      Field{"gpa", &ShadowMapped::gpa},
                                                      Field{"bytes", &ShadowMapped::bytes},
                                                      Field{"took_ps", &ShadowMapped::took_ps},
                                                      Field{"container", &ShadowMapped::container},
                                                      Field{"status", &ShadowMapped::status});
template <>
inline constexpr auto of<ShadowUnmapped> = event_fields("shadow_unmapped", Field{"iova", &ShadowUnmapped::iova},
                                                        Field{"bytes", &ShadowUnmapped::bytes},
                                                        Field{"took_ps", &ShadowUnmapped::took_ps},
                                                        Field{"container", &ShadowUnmapped::container},
                                                        Field{"status", &ShadowUnmapped::status});
template <>
inline constexpr auto of<PagesPinned> = event_fields("pages_pinned", Field{"pages", &PagesPinned::pages},
                                                     Field{"pinned_now", &PagesPinned::pinned_now});
template <>
inline constexpr auto of<PagesUnpinned> = event_fields("pages_unpinned", Field{"pages", &PagesUnpinned::pages},
                                                       Field{"pinned_now", &PagesUnpinned::pinned_now});
template <>
inline constexpr auto of<IoThreadWoken> = event_fields("io_thread_woken",
                                                       Field{"signalled_ps", &IoThreadWoken::signalled_ps},
                                                       Field{"thread", &IoThreadWoken::thread},
                                                       Field{"reserved", &IoThreadWoken::reserved});
template <>
inline constexpr auto of<DmaBurst> = event_fields(
    "dma_burst", Field{"iova", &DmaBurst::iova}, Field{"hpa", &DmaBurst::hpa}, Field{"bytes", &DmaBurst::bytes},
    Field{"ends_ps", &DmaBurst::ends_ps}, Field{"source", &DmaBurst::source}, Field{"domain", &DmaBurst::domain},
    Field{"write", &DmaBurst::write}, Field{"iotlb_hit", &DmaBurst::iotlb_hit},
    Field{"walk_reads", &DmaBurst::walk_reads}, Field{"evicted", &DmaBurst::evicted});
template <>
inline constexpr auto of<DmaFault> = event_fields("dma_fault", Field{"iova", &DmaFault::iova},
                                                  Field{"source", &DmaFault::source},
                                                  Field{"write", &DmaFault::write},
                                                  Field{"reason", &DmaFault::reason},
                                                  Field{"reserved", &DmaFault::reserved});
template <>
inline constexpr auto of<IotlbInvalidated> = event_fields(
    "iotlb_invalidated", Field{"iova", &IotlbInvalidated::iova}, Field{"bytes", &IotlbInvalidated::bytes},
    Field{"domain", &IotlbInvalidated::domain}, Field{"granularity", &IotlbInvalidated::granularity},
    Field{"dropped", &IotlbInvalidated::dropped}, Field{"hint_leaf_only", &IotlbInvalidated::hint_leaf_only});
template <>
inline constexpr auto of<InvalidationSubmitted> = event_fields("invalidation_submitted",
                                                               Field{"cpu", &InvalidationSubmitted::cpu},
                                                               Field{"descriptors",
                                                                     &InvalidationSubmitted::descriptors});
template <>
inline constexpr auto of<InvalidationWaitDone> =
    event_fields("invalidation_wait_done", Field{"submitted_ps", &InvalidationWaitDone::submitted_ps});
template <>
inline constexpr auto of<Doorbell> = event_fields("doorbell", Field{"device", &Doorbell::device},
                                                  Field{"queue", &Doorbell::queue},
                                                  Field{"completion", &Doorbell::completion},
                                                  Field{"value", &Doorbell::value});
template <>
inline constexpr auto of<CommandFetched> = event_fields("command_fetched", Field{"device", &CommandFetched::device},
                                                        Field{"queue", &CommandFetched::queue},
                                                        Field{"command", &CommandFetched::command},
                                                        Field{"reserved", &CommandFetched::reserved});
template <>
inline constexpr auto of<MediaBusy> = event_fields("media_busy", Field{"began_ps", &MediaBusy::began_ps},
                                                   Field{"ends_ps", &MediaBusy::ends_ps},
                                                   Field{"device", &MediaBusy::device},
                                                   Field{"queue", &MediaBusy::queue},
                                                   Field{"command", &MediaBusy::command},
                                                   Field{"channel", &MediaBusy::channel});
template <>
inline constexpr auto of<CommandCompleted> = event_fields("command_completed",
                                                          Field{"device", &CommandCompleted::device},
                                                          Field{"queue", &CommandCompleted::queue},
                                                          Field{"command", &CommandCompleted::command},
                                                          Field{"status", &CommandCompleted::status});
template <>
inline constexpr auto of<VerdictRaised> = event_fields("verdict_raised", Field{"iova", &VerdictRaised::iova},
                                                       Field{"bytes", &VerdictRaised::bytes},
                                                       Field{"verdict", &VerdictRaised::verdict},
                                                       Field{"domain", &VerdictRaised::domain});
template <>
inline constexpr auto of<GuestTableRead> = event_fields("guest_table_read",
                                                        Field{"entries", &GuestTableRead::entries});
template <>
inline constexpr auto of<DmaApiRound> = event_fields("dma_api_round", Field{"map_ps", &DmaApiRound::map_ps},
                                                     Field{"unmap_ps", &DmaApiRound::unmap_ps},
                                                     Field{"thread", &DmaApiRound::thread},
                                                     Field{"cpu", &DmaApiRound::cpu});
template <>
inline constexpr auto of<VfioTornDown> = event_fields("vfio_torn_down", Field{"map_ps", &VfioTornDown::map_ps},
                                                      Field{"unmap_ps", &VfioTornDown::unmap_ps},
                                                      Field{"runs", &VfioTornDown::runs},
                                                      Field{"regions", &VfioTornDown::regions},
                                                      Field{"syncs", &VfioTornDown::syncs},
                                                      Field{"software_walks", &VfioTornDown::software_walks});
template <>
inline constexpr auto of<PacketsDropped> = event_fields("packets_dropped", Field{"bytes", &PacketsDropped::bytes},
                                                        Field{"device", &PacketsDropped::device},
                                                        Field{"queue", &PacketsDropped::queue},
                                                        Field{"packets", &PacketsDropped::packets},
                                                        Field{"reserved", &PacketsDropped::reserved});
template <>
inline constexpr auto of<Retransmitted> = event_fields("retransmitted", Field{"bytes", &Retransmitted::bytes},
                                                       Field{"device", &Retransmitted::device},
                                                       Field{"queue", &Retransmitted::queue},
                                                       Field{"packets", &Retransmitted::packets},
                                                       Field{"reserved", &Retransmitted::reserved});
template <>
inline constexpr auto of<StrayAccess> = event_fields("stray_access", Field{"iova", &StrayAccess::iova},
                                                     Field{"bytes", &StrayAccess::bytes},
                                                     Field{"device", &StrayAccess::device},
                                                     Field{"write", &StrayAccess::write},
                                                     Field{"landed", &StrayAccess::landed},
                                                     Field{"reserved", &StrayAccess::reserved});
template <>
inline constexpr auto of<PollReturned> =
    event_fields("poll_returned", Field{"began_ps", &PollReturned::began_ps}, Field{"bytes", &PollReturned::bytes},
                 Field{"device", &PollReturned::device}, Field{"queue", &PollReturned::queue},
                 Field{"cpu", &PollReturned::cpu}, Field{"packets", &PollReturned::packets},
                 Field{"buffers", &PollReturned::buffers}, Field{"frames", &PollReturned::frames},
                 Field{"rearmed", &PollReturned::rearmed}, Field{"reserved", &PollReturned::reserved});
template <>
inline constexpr auto of<StreamMoved> = event_fields("stream_moved", Field{"bytes", &StreamMoved::bytes},
                                                     Field{"stream", &StreamMoved::stream},
                                                     Field{"cpu", &StreamMoved::cpu},
                                                     Field{"direction", &StreamMoved::direction},
                                                     Field{"reserved", &StreamMoved::reserved});
template <>
inline constexpr auto of<DriverCallsMade> = event_fields("driver_calls_made", Field{"map", &DriverCallsMade::map},
                                                         Field{"unmap", &DriverCallsMade::unmap});
template <>
inline constexpr auto of<SmmuMaintained> = event_fields(
    "smmu_maintained", Field{"tlb_ps", &SmmuMaintained::tlb_ps}, Field{"cache_ps", &SmmuMaintained::cache_ps},
    Field{"barrier_ps", &SmmuMaintained::barrier_ps}, Field{"read_back_ps", &SmmuMaintained::read_back_ps},
    Field{"domain", &SmmuMaintained::domain}, Field{"cpu", &SmmuMaintained::cpu},
    Field{"kind", &SmmuMaintained::kind}, Field{"lines_cleaned", &SmmuMaintained::lines_cleaned},
    Field{"barriers", &SmmuMaintained::barriers}, Field{"register_writes", &SmmuMaintained::register_writes},
    Field{"register_reads", &SmmuMaintained::register_reads}, Field{"reserved", &SmmuMaintained::reserved});
template <>
inline constexpr auto of<StreamUnderrun> = event_fields("stream_underrun", Field{"iova", &StreamUnderrun::iova},
                                                        Field{"needed_ps", &StreamUnderrun::needed_ps},
                                                        Field{"came_ps", &StreamUnderrun::came_ps},
                                                        Field{"device", &StreamUnderrun::device},
                                                        Field{"write", &StreamUnderrun::write});
template <>
inline constexpr auto of<CommandTimes> = event_fields("command_times", Field{"queued_ps", &CommandTimes::queued_ps},
                                                      Field{"translation_ps", &CommandTimes::translation_ps},
                                                      Field{"media_ps", &CommandTimes::media_ps},
                                                      Field{"device", &CommandTimes::device},
                                                      Field{"queue", &CommandTimes::queue},
                                                      Field{"command", &CommandTimes::command},
                                                      Field{"reserved", &CommandTimes::reserved});
template <>
inline constexpr auto of<TranslationsRefreshed> = event_fields(
    "translations_refreshed", Field{"iova", &TranslationsRefreshed::iova}, Field{"bytes", &TranslationsRefreshed::bytes},
    Field{"began_ps", &TranslationsRefreshed::began_ps}, Field{"domain", &TranslationsRefreshed::domain},
    Field{"cpu", &TranslationsRefreshed::cpu}, Field{"cause", &TranslationsRefreshed::cause},
    Field{"status", &TranslationsRefreshed::status});

}  // namespace fields

}  // namespace gnomon::observe
