// SPDX-License-Identifier: Apache-2.0
// What goes in comes out: I/Os, commands, requests, pins, locks. And the metrics say what the events say.
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

using scenario::Configuration;

Configuration configuration(int which) {
  Configuration c = which % 2 == 0 ? base_configuration() : lazy_configuration();
  if (which < 2) return c;
  c.guest.vcpus = 4;
  c.jobs = {random_reads(4096, 8, 200), random_writes(64 * 1024, 4, 100)};
  c.jobs[0].numjobs = 3;
  if (which == 4) c.vmm.service = hypervisor::QueueService::ioeventfd;
  if (which == 5) c.guest.flush_queue = guest::flush_queue_single;
  if (which == 6) {
    c.iommu = scenario::IommuKind::none;
    c.guest.translated = false;
  }
  return c;
}

template <class E, class F>
std::uint64_t sum(const Events& events, F&& of) {
  std::uint64_t total = 0;
  for (const auto& [at, e] : of_kind<E>(events)) total += of(at, e);
  return total;
}

TEST_CASE(
    "time never goes back, and every I/O is submitted, dispatched, completed and reaped, in this order, once") {
  const WholeRun run = run_whole(configuration(GENERATE(range(0, 7))), Keep::events);
  REQUIRE(run.result.status == run::Status::ok);
  Time last;
  std::map<std::uint64_t, int> stage;
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>, std::uint64_t>
      commands;  // in flight, to their I/O
  std::uint64_t reaped = 0;
  bool in_order = true;
  for (const TimedEvent& e : run.events) {
    in_order = in_order && e.at >= last;
    last = e.at;
    if (const auto* io = std::get_if<trace::IoSubmitted>(&e.event)) {
      REQUIRE(++stage[io->io] == 1);
    } else if (const auto* dispatched = std::get_if<trace::IoDispatched>(&e.event)) {
      REQUIRE(++stage[dispatched->io] == 2);
      REQUIRE(
          commands.emplace(std::tuple{dispatched->device, dispatched->queue, dispatched->command}, dispatched->io)
              .second);
    } else if (const auto* command = std::get_if<trace::CommandCompleted>(&e.event)) {
      if (command->queue == 0) continue;
      REQUIRE(commands.erase({command->device, command->queue, command->command}) == 1);
    } else if (const auto* completed = std::get_if<trace::IoCompleted>(&e.event)) {
      REQUIRE(++stage[completed->io] == 3);
    } else if (const auto* r = std::get_if<trace::IoReaped>(&e.event)) {
      REQUIRE(++stage[r->io] == 4);
      ++reaped;
    }
  }
  CHECK(in_order);
  CHECK(commands.empty());
  CHECK(reaped == stage.size());
  CHECK(run.metric("io.submitted_total") == static_cast<double>(reaped));
  CHECK(run.metric("io.completed_total") == static_cast<double>(reaped));
  CHECK(run.metric("io.in_flight_at_end") == 0);
}

TEST_CASE("every pin is taken back at teardown") {
  const WholeRun run = run_whole(configuration(GENERATE(range(0, 7))), Keep::events);
  const auto pinned = sum<trace::PagesPinned>(run.events, [](Time, const auto& e) { return e.pages; });
  const auto unpinned = sum<trace::PagesUnpinned>(run.events, [](Time, const auto& e) { return e.pages; });
  CHECK(pinned > 0);
  CHECK(pinned == unpinned);
  CHECK(of_kind<trace::PagesUnpinned>(run.events).back().second.pinned_now == 0);
  CHECK(run.metric("hypervisor.pages_pinned_total") == static_cast<double>(pinned));
  CHECK(run.metric("hypervisor.pages_unpinned_total") == static_cast<double>(unpinned));
}

TEST_CASE("requests are served once and in the order they were queued, and leave what is still mapped") {
  const WholeRun run = run_whole(configuration(GENERATE(range(0, 6))), Keep::events);
  const auto queued = of_kind<trace::GuestRequest>(run.events);
  const auto served = of_kind<trace::RequestServed>(run.events);
  REQUIRE(served.size() <= queued.size());
  CHECK(queued.size() - served.size() <= 32);  // lazy: the last unmaps wait for a kick
  bool same = true;
  for (std::size_t i = 0; i < served.size(); ++i) {
    const auto& [asked_at, asked] = queued[i];
    const auto& [answered_at, answer] = served[i];
    same = same && asked.type == answer.type && asked.iova == answer.iova && asked.domain == answer.domain &&
           asked_at < answered_at && answer.status == 0;
    if (asked.type == trace::RequestType::map || asked.type == trace::RequestType::unmap)
      same = same && asked.bytes == answer.bytes;
  }
  CHECK(same);
  const auto added = sum<trace::MappingAdded>(run.events, [](Time, const auto& e) { return e.bytes; });
  const auto removed = sum<trace::MappingRemoved>(run.events, [](Time, const auto& e) { return e.bytes; });
  const auto mapped = sum<trace::MapReturned>(run.events, [](Time, const auto& e) { return e.bytes; });
  const auto unmapped = sum<trace::UnmapReturned>(run.events, [](Time, const auto& e) { return e.bytes; });
  CHECK(added == mapped);
  CHECK(removed == unmapped);
  CHECK(added > removed);  // the queues' memory stays
}

TEST_CASE("a guest CPU's spans are its whole time, one after the other") {
  const Configuration c = configuration(GENERATE(range(0, 7)));
  const WholeRun run = run_whole(c, Keep::events);
  std::map<std::uint32_t, std::uint64_t> until;
  bool contiguous = true;
  for (const auto& [at, span] : of_kind<trace::CpuSpan>(run.events)) {
    const auto [before, first] = until.emplace(span.cpu, span.began_ps);
    contiguous = contiguous && before->second == span.began_ps && at.ps() >= span.began_ps;
    before->second = at.ps();
  }
  CHECK(contiguous);
  CHECK(until.size() == c.guest.vcpus);
}

TEST_CASE("a lock has one holder at a time") {
  const WholeRun run =
      run_whole(configuration(GENERATE(2, 4)), Keep::events);  // strict: every lock here is one lock
  std::map<std::uint32_t, std::uint32_t> holder;
  bool exclusive = true;
  for (const TimedEvent& e : run.events) {
    if (const auto* taken = std::get_if<trace::LockAcquired>(&e.event)) {
      exclusive = exclusive && holder.emplace(taken->lock, taken->cpu).second;
    } else if (const auto* released = std::get_if<trace::LockReleased>(&e.event)) {
      exclusive = exclusive && holder.contains(released->lock) && holder[released->lock] == released->cpu;
      holder.erase(released->lock);
    }
  }
  CHECK(exclusive);
  CHECK(holder.empty());
}

/// The part of the stream between the window's two marks.
Events window_of(const Events& all) {
  Events events;
  bool open = false;
  for (const TimedEvent& e : all) {
    if (std::holds_alternative<trace::WindowOpened>(e.event)) open = true;
    if (std::holds_alternative<trace::WindowClosed>(e.event)) break;
    if (open) events.push_back(e);
  }
  return events;
}

TEST_CASE("the metrics are the events, counted once more") {
  Configuration c = configuration(GENERATE(range(0, 7)));
  c.jobs[0].ramp_time = Time::us(700);  // a part of the run is not measured
  const WholeRun run = run_whole(c, Keep::events);
  const Events events = window_of(run.events);
  REQUIRE(events.size() < run.events.size());
  const auto same = [&run](const std::string& metric, std::uint64_t counted) {
    INFO(metric);
    CHECK(run.metric(metric) == static_cast<double>(counted));
  };
  const auto one_if = [](bool yes) { return std::uint64_t{yes}; };
  using trace::RequestType;
  const auto requests = [&](RequestType type) {
    return sum<trace::GuestRequest>(events, [&](Time, const auto& e) { return one_if(e.type == type); });
  };
  const auto invalidations = [&](trace::Granularity g) {
    return sum<trace::IotlbInvalidated>(events, [&](Time, const auto& e) { return one_if(e.granularity == g); });
  };
  same("io.completed", count_of<trace::IoReaped>(events));
  same("api.map_calls", count_of<trace::MapReturned>(events));
  same("api.unmap_calls", count_of<trace::UnmapReturned>(events));
  same("api.map_pages", sum<trace::MapReturned>(events, [](Time, const auto& e) { return e.bytes / page_size; }));
  same("guest.map_requests", requests(RequestType::map));
  same("guest.unmap_requests", requests(RequestType::unmap));
  same("guest.kicks",
       sum<trace::GuestKick>(events, [&](Time, const auto& e) { return one_if(e.suppressed == 0); }));
  same("guest.kicks_suppressed", sum<trace::GuestKick>(events, [](Time, const auto& e) { return e.suppressed; }));
  same("guest.syncs",
       sum<trace::SyncDone>(events, [&](Time, const auto& e) { return one_if(e.kind != trace::Sync::early); }));
  same("guest.flush_queue.timer_flushes", sum<trace::FlushQueueFlushed>(events, [&](Time, const auto& e) {
         return one_if(e.cause == trace::FlushCause::timer);
       }));
  same("exits.total", count_of<trace::VmExit>(events));
  same("hypervisor.map_ioctls", count_of<trace::ShadowMapped>(events));
  same("hypervisor.unmap_ioctls", count_of<trace::ShadowUnmapped>(events));
  same("iotlb.hits", sum<trace::DmaBurst>(events, [](Time, const auto& e) { return e.iotlb_hit; }));
  same("iotlb.misses", sum<trace::DmaBurst>(events, [&](Time, const auto& e) { return one_if(e.iotlb_hit == 0); }));
  same("iotlb.walk_reads", sum<trace::DmaBurst>(events, [](Time, const auto& e) { return e.walk_reads; }));
  same("iotlb.invalidations.page", invalidations(trace::Granularity::page));
  same("iotlb.invalidations.range", invalidations(trace::Granularity::range));
  same("dma.bytes", sum<trace::DmaBurst>(events, [](Time, const auto& e) { return e.bytes; }));
  same("nvme.submission_doorbells",
       sum<trace::Doorbell>(events, [&](Time, const auto& e) { return one_if(e.completion == 0); }));
  same("nvme.completion_doorbells", sum<trace::Doorbell>(events, [](Time, const auto& e) { return e.completion; }));
  if (c.iommu != scenario::IommuKind::none) {
    same("lock.viommu_request.acquisitions",
         sum<trace::LockAcquired>(events, [&](Time, const auto& e) { return one_if(e.lock == 0); }));
  }
  const auto in_exits = sum<trace::VmExit>(events, [](Time at, const auto& e) { return at.ps() - e.began_ps; });
  CHECK(run.metric("exits.time_ns") == Approx(static_cast<double>(in_exits) * 1e-3));
  const auto bytes = sum<trace::IoReaped>(events, [](Time, const auto& e) { return e.bytes; });
  CHECK(run.metric("io.bw_bytes_per_s") ==
        Approx(static_cast<double>(bytes) / (run.metric("sim.window_ns") * 1e-9)).epsilon(1e-9));
  const auto latency = sum<trace::IoReaped>(events, [](Time, const auto& e) { return e.latency_ps / 1000; });
  CHECK(run.metric("io.lat_ns.mean") == Approx(static_cast<double>(latency) / run.metric("io.completed")));
}

}  // namespace
}  // namespace gnomon::test
