// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_timeline.hpp"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "tests/support/perfetto_trace.hpp"
#include "tests/unit/observe/random_events.hpp"
#include "tests/unit/observe/scratch_folder.hpp"

using namespace gnomon;
using observe::PerfettoTimeline;
using observe::TimelineOptions;
using test::PerfettoTrace;
using test::ScratchFolder;

namespace {

using Names = std::vector<std::string>;

/// Draws what `tell` tells and reads it back; the rules of the format hold for every drawing.
template <class Tell>
PerfettoTrace draw(TimelineOptions options, Tell&& tell) {
  ScratchFolder folder;
  options.path = folder / "timeline.perfetto";
  PerfettoTimeline timeline{options};
  tell(timeline);
  REQUIRE(timeline.close() == std::error_code{});
  PerfettoTrace trace = test::read_perfetto(options.path);
  CHECK(trace.broken_rules == Names{});
  return trace;
}

/// One whole I/O on vCPU 0 from `start` on, taking 90 us.
void tell_io(PerfettoTimeline& t, std::uint64_t io, Time start, std::uint64_t iova = 0x1000,
             std::uint32_t command = 7) {
  const auto us = [start](std::uint64_t n) { return start + Time::us(n); };
  t.on_event(us(0), trace::IoSubmitted{io, 0, 4096, 0, 0, trace::Direction::read, 0});
  t.on_event(us(3), trace::MapReturned{iova, 4096, Time::us(1).ps(), 1, 0, 1, 0});
  t.on_event(us(4), trace::IoDispatched{io, 0, 0, 1, command});
  t.on_event(us(5), trace::CommandFetched{0, 1, command, 0});
  t.on_event(us(6), trace::MediaBusy{us(6).ps(), us(70).ps(), 0, 1, command, 2});
  t.on_event(us(72), trace::CommandCompleted{0, 1, command, 0});
  t.on_event(us(77), trace::UnmapReturned{iova, 4096, Time::us(2).ps(), 1, 0, 0, 0});
  t.on_event(us(78), trace::IoCompleted{io, 0, 0});
  t.on_event(us(90), trace::IoReaped{io, 4096, Time::us(90).ps(), 0, 0, trace::Direction::read, 0});
}

const Names whole_io = {"submit read",     "map",   "dispatch", "fetch",    "media busy",
                        "post completion", "unmap", "complete", "reap read"};

}  // namespace

TEST_CASE("one I/O's arrow goes through all it caused, in order") {
  const auto trace = draw({}, [](PerfettoTimeline& t) { tell_io(t, 1, Time::us(10)); });
  CHECK(trace.along(1) == whole_io);
  const auto calls = trace.slices_on("DMA API");
  REQUIRE(calls.size() == 2);
  CHECK(calls[0].began_ns == 12'000);
  CHECK(calls[0].ended_ns == 13'000);
  CHECK(calls[0].annotations.at("iova") == 0x1000);
  CHECK(calls[0].annotations.at("bytes") == 4096);
}

TEST_CASE("an I/O's arrow goes through exits, doorbell, DMA and interrupt, and ends with its flush") {
  TimelineOptions options;
  options.guest_domain_of = [](SourceId source) { return std::uint32_t{source.value} >> 8; };
  const auto us = [](std::uint64_t n) { return Time::us(n); };
  const auto kick = [&](PerfettoTimeline& t, std::uint64_t from, std::uint64_t to) {
    t.on_event(us(to), trace::VmExit{us(from).ps(), 0, trace::ExitReason::ept_misconfig});
  };
  const auto dma = [&](PerfettoTimeline& t, std::uint64_t at, std::uint64_t iova, std::uint32_t hit) {
    t.on_event(us(at), trace::DmaBurst{iova, iova, 4096, us(at + 1).ps(), 0x100, 9, 1, hit, 3, 0});
  };
  const auto through_reap = [&](PerfettoTimeline& t, std::uint64_t flush_at) {
    kick(t, 1, 2);  // of an earlier call: not the I/O's
    t.on_event(us(3), trace::UnmapReturned{0x9000, 4096, us(2).ps(), 1, 0, 0, 0});
    t.on_event(us(10), trace::IoSubmitted{1, 0, 4096, 0, 0, trace::Direction::read, 0});
    kick(t, 12, 14);
    t.on_event(us(15), trace::VmExit{us(14).ps(), 0, trace::ExitReason::external_interrupt});
    t.on_event(us(16), trace::MapReturned{0x1000, 8192, us(5).ps(), 1, 0, 1, 0});
    kick(t, 17, 18);  // in no call
    t.on_event(us(20), trace::IoDispatched{1, 0, 0, 1, 7});
    t.on_event(us(21), trace::Doorbell{0, 1, 0, 8});
    t.on_event(us(22), trace::CommandFetched{0, 1, 7, 0});
    dma(t, 23, 0x7000, 1);  // the queue's own
    dma(t, 24, 0x1000, 0);
    dma(t, 25, 0x2000, 1);
    t.on_event(us(30), trace::CommandCompleted{0, 1, 7, 0});
    t.on_event(us(32), trace::InterruptTaken{us(31).ps(), 0, 40});
    kick(t, 33, 34);
    t.on_event(us(35), trace::UnmapReturned{0x1000, 8192, us(3).ps(), 1, 0, 1, 0});
    t.on_event(us(36), trace::IoCompleted{1, 0, 0});
    t.on_event(us(37), trace::CpuSpan{us(32).ps(), 0, trace::Activity::interrupt});
    if (flush_at < 50)
      t.on_event(us(flush_at), trace::FlushQueueFlushed{us(36).ps(), 1, 0, trace::FlushCause::full, 0});
    t.on_event(us(50), trace::IoReaped{1, 8192, us(40).ps(), 0, 0, trace::Direction::read, 0});
    if (flush_at > 50)
      t.on_event(us(flush_at), trace::FlushQueueFlushed{us(36).ps(), 1, 0, trace::FlushCause::full, 0});
    t.on_event(us(90), trace::GuestKick{1, 0, 0});
  };
  const Names to_completion = {
      "submit read",   "map",       "EPT_MISCONFIG",   "dispatch",          "submission doorbell",
      "fetch",         "DMA write, page walk", "post completion", "pending interrupt", "unmap (deferred)",
      "EPT_MISCONFIG", "complete"};
  const auto with = [&](Names end) {
    Names all = to_completion;
    all.insert(all.end(), end.begin(), end.end());
    return all;
  };
  const auto late = draw(options, [&](PerfettoTimeline& t) { through_reap(t, 60); });
  CHECK(late.along(1) == with({"reap read", "flushed"}));
  CHECK(late.slices_on("exits of vCPU 0").size() == 5);
  const auto early = draw(options, [&](PerfettoTimeline& t) { through_reap(t, 40); });
  CHECK(early.along(1) == with({"flushed", "reap read"}));
  options.guest_domain_of = {};
  const auto never = draw(options, [&](PerfettoTimeline& t) { through_reap(t, 50); });
  const auto along = never.along(1);
  CHECK(along.back() == "unfinished");
  CHECK(std::count(along.begin(), along.end(), "DMA write") == 0);
}

TEST_CASE("a drain ends the arrows of all it covers, however many") {
  constexpr std::uint64_t ios = 6000;  // more than the ring of a domain remembers
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    for (std::uint64_t io = 1; io <= ios; ++io) {
      const Time at = Time::us(10 * io);
      t.on_event(at, trace::IoSubmitted{io, 0, 4096, 0, 0, trace::Direction::read, 0});
      t.on_event(at, trace::MapReturned{io << 12, 4096, 0, 1, 0, 1, 0});
      t.on_event(at, trace::IoDispatched{io, 0, 0, 1, 1});
      t.on_event(at, trace::UnmapReturned{io << 12, 4096, 0, 1, 0, 1, 0});
      t.on_event(at, trace::IoReaped{io, 4096, 1, 0, 0, trace::Direction::read, 0});
    }
    const Time end = Time::us(10 * ios + 10);
    t.on_event(end, trace::FlushQueueFlushed{end.ps(), 1, 0, trace::FlushCause::full, 0});
  });
  CHECK(trace.along(1).back() == "unfinished");
  for (const std::uint64_t io : {ios - 4095, ios - 1000, ios}) CHECK(trace.along(io).back() == "flushed");
  CHECK(trace.samples_of("flush queue, domain 1: pending (entries)").back().second == 0);
}

TEST_CASE("of I/Os submitted together, each gets the mapping whose dispatch followed") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    for (std::uint64_t io = 1; io <= 3; ++io) {
      t.on_event(Time::us(io), trace::IoSubmitted{io, 0, 4096, 0, 0, trace::Direction::write, 0});
    }
    for (std::uint64_t io = 1; io <= 3; ++io) {
      const Time at = Time::us(10 * io);
      t.on_event(at, trace::MapReturned{io << 12, 4096, 1000, 1, 0, 1, 0});
      t.on_event(at + Time::us(1), trace::IoDispatched{io, 0, 0, 0, static_cast<std::uint32_t>(io)});
    }
    // Unmapped on another vCPU and in another order: found by IOVA.
    for (std::uint64_t io = 3; io >= 1; --io) {
      t.on_event(Time::us(50 - io), trace::UnmapReturned{io << 12, 4096, 1000, 1, 1, 0, 0});
      t.on_event(Time::us(50 - io), trace::IoReaped{io, 4096, 1, 0, 0, trace::Direction::write, 0});
    }
  });
  for (std::uint64_t io = 1; io <= 3; ++io) {
    CHECK(trace.along(io) == Names{"submit write", "map", "dispatch", "unmap", "reap write"});
  }
  for (const auto& e : trace.events) {
    if (e.name == "map" || e.name == "unmap") CHECK(e.annotations.at("iova") >> 12 == e.flows.at(0));
  }
}

TEST_CASE("mappings of a large I/O, one a command, are all its own; a failed one and an older one are not") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    t.on_event(Time::us(1), trace::MapReturned{0x9000, 4096, 1000, 1, 0, 1, 0});  // before any I/O
    t.on_event(Time::us(2), trace::IoSubmitted{1, 0, 4096, 0, 0, trace::Direction::read, 0});
    t.on_event(Time::us(3), trace::MapReturned{0x5000, 4096, 1000, 1, 0, 1, 28});
    t.on_event(Time::us(4), trace::MapReturned{0x1000, 4096, 1000, 1, 0, 1, 0});
    t.on_event(Time::us(5), trace::IoDispatched{1, 0, 0, 1, 1});
    t.on_event(Time::us(6), trace::MapReturned{0x2000, 4096, 1000, 1, 0, 1, 0});
    t.on_event(Time::us(7), trace::IoDispatched{1, 0, 0, 1, 2});
    t.on_event(Time::us(8), trace::CommandFetched{0, 1, 2, 0});
    t.on_event(Time::us(9), trace::IoReaped{1, 4096, 1, 0, 0, trace::Direction::read, 0});
  });
  CHECK(trace.along(1) == Names{"submit read", "map", "dispatch", "map", "dispatch", "fetch", "reap read"});
}

TEST_CASE("calls to the DMA API wait for a dispatch, but not for ever, and none is lost") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    for (std::uint64_t i = 1; i <= 100; ++i) {
      t.on_event(Time::us(i), trace::MapReturned{i << 12, 4096, Time::ns(500).ps(), 1, 0, 1, 0});
    }
    // An unmap in an interrupt on top of a mapping call: it began later and was told before.
    t.on_event(Time::us(105), trace::UnmapReturned{1 << 12, 4096, Time::us(1).ps(), 1, 0, 0, 0});
    t.on_event(Time::us(107), trace::MapReturned{200 << 12, 4096, Time::us(6).ps(), 1, 0, 1, 0});
  });
  CHECK(trace.slices_on("DMA API").size() == 102);
  CHECK(trace.lanes("DMA API") == 2);
}

TEST_CASE("an I/O that is never reaped has its arrow ended") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    t.on_event(Time::us(1), trace::IoSubmitted{1, 0, 4096, 0, 2, trace::Direction::read, 0});
    t.on_event(Time::us(9), trace::GuestKick{1, 0, 0});
  });
  CHECK(trace.along(1) == Names{"submit read", "unfinished"});
  CHECK(trace.instants("unfinished").at(0).at_ns == 9'000);
}

TEST_CASE("a call still held when the drawing ends, or when its I/O is reaped, breaks no arrow") {
  const auto begin = [](PerfettoTimeline& t) {
    t.on_event(Time::us(1), trace::IoSubmitted{1, 0, 4096, 0, 0, trace::Direction::read, 0});
    t.on_event(Time::us(2), trace::MapReturned{0x1000, 4096, 1000, 1, 0, 1, 0});
    t.on_event(Time::us(3), trace::IoDispatched{1, 0, 0, 1, 1});
    t.on_event(Time::us(4), trace::MapReturned{0x2000, 4096, 1000, 1, 0, 1, 0});  // holds what follows
    t.on_event(Time::us(5), trace::UnmapReturned{0x1000, 4096, 0, 1, 0, 0, 0});
  };
  const auto unfinished = draw({}, begin);
  CHECK(unfinished.along(1) == Names{"submit read", "map", "dispatch", "unmap", "unfinished"});

  const auto reaped = draw({}, [&](PerfettoTimeline& t) {
    begin(t);
    t.on_event(Time::us(5), trace::IoReaped{1, 4096, 1, 0, 1, trace::Direction::read, 0});
  });
  CHECK(reaped.along(1) == Names{"submit read", "map", "dispatch", "reap read"});
  CHECK(reaped.slices_on("DMA API").size() == 3);
}

TEST_CASE("a command's number means its I/O only until the command completes") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    t.on_event(Time::us(1), trace::IoSubmitted{1, 0, 4096, 0, 0, trace::Direction::read, 0});
    t.on_event(Time::us(3), trace::IoDispatched{1, 0, 0, 1, 9});
    t.on_event(Time::us(4), trace::CommandFetched{0, 1, 9, 0});
    t.on_event(Time::us(5), trace::CommandCompleted{0, 1, 9, 0});
    t.on_event(Time::us(6), trace::CommandFetched{0, 1, 9, 0});
    t.on_event(Time::us(7), trace::IoReaped{1, 4096, 1, 0, 0, trace::Direction::read, 0});
  });
  CHECK(trace.along(1) == Names{"submit read", "dispatch", "fetch", "post completion", "reap read"});
}

TEST_CASE("overlapping DMA bursts go to sibling lanes of one name, and lanes are used again") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    for (std::uint64_t i = 0; i < 100; ++i) {
      const Time at = Time::ns(100 * i);
      t.on_event(at, trace::DmaBurst{i << 12, i << 13, 4096, (at + Time::ns(250)).ps(), 0x10, 1, 1, 0, 3, 0});
    }
  });
  CHECK(trace.lanes("DMA") == 3);
  const auto bursts = trace.slices_on("DMA");
  CHECK(bursts.size() == 100);
  for (const auto& burst : bursts) {
    CHECK(burst.ended_ns - burst.began_ns == 250);
    CHECK(burst.annotations.at("page-walk reads") == 3);
    CHECK(burst.annotations.at("hpa") == 2 * burst.annotations.at("iova"));
  }
}

TEST_CASE("when every lane is busy a slice is shortened or left out, and counted") {
  ScratchFolder folder;
  PerfettoTimeline timeline{{.path = folder / "t", .from = {}, .to = Time::max(), .exits = {}, .names = {}}};
  for (std::uint64_t i = 0; i < 300; ++i) {
    const Time at = Time::ns(i);
    timeline.on_event(at, trace::DmaBurst{0, 0, 64, (Time::us(1) + Time::ns(i % 10)).ps(), 0, 0, 0, 1, 0, 0});
  }
  CHECK(timeline.cut() == 44);
  REQUIRE(!timeline.close());
  const auto trace = test::read_perfetto(folder / "t");
  CHECK(trace.broken_rules == Names{});
  CHECK(trace.lanes("DMA") == 256);
}

TEST_CASE("a window cuts slices at its edges and leaves out the rest") {
  const TimelineOptions window{.path = {}, .from = Time::us(10), .to = Time::us(20), .exits = {}, .names = {}};
  const auto trace = draw(window, [](PerfettoTimeline& t) {
    const auto idle = [&](std::uint64_t from, std::uint64_t to) {
      t.on_event(Time::us(to), trace::CpuSpan{Time::us(from).ps(), 0, trace::Activity::idle});
    };
    t.on_event(Time::us(1), trace::IoSubmitted{1, 0, 4096, 0, 0, trace::Direction::read, 0});
    idle(2, 5);
    idle(6, 12);
    t.on_event(Time::us(13), trace::IoSubmitted{2, 0, 4096, 0, 0, trace::Direction::read, 0});
    t.on_event(Time::us(14), trace::IoReaped{1, 4096, 1, 0, 0, trace::Direction::read, 0});
    idle(12, 15);
    idle(16, 23);
    t.on_event(Time::us(24), trace::IoReaped{2, 4096, 1, 0, 0, trace::Direction::read, 0});
    idle(25, 26);
  });
  const auto spans = trace.slices_on("activity");
  REQUIRE(spans.size() == 3);
  CHECK((spans[0].began_ns == 10'000 && spans[0].ended_ns == 12'000));
  CHECK((spans[1].began_ns == 12'000 && spans[1].ended_ns == 15'000));
  CHECK((spans[2].began_ns == 16'000 && spans[2].ended_ns == 20'000));
  CHECK(trace.along(1).empty());
  CHECK(trace.along(2) == Names{"submit read", "unfinished"});
  CHECK(trace.instants("unfinished").at(0).at_ns == 20'000);
  for (const auto& e : trace.events) CHECK((e.at_ns >= 10'000 && e.at_ns <= 20'000));
  // The first sample is what was in flight before the window.
  CHECK(trace.samples_of("I/O in flight (count)").front() == std::pair<std::uint64_t, std::int64_t>{12'000, 1});
}

TEST_CASE("counters: in flight, flush queue, IOTLB hits, pinned pages") {
  using Samples = std::vector<std::pair<std::uint64_t, std::int64_t>>;
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    tell_io(t, 1, Time::us(0));
    const auto deferred = [&](std::uint64_t us) {
      t.on_event(Time::us(us), trace::UnmapReturned{0x1000, 4096, 0, 3, 0, 1, 0});
    };
    deferred(100);
    deferred(101);
    deferred(105);  // while the flush below is running: not covered by it
    t.on_event(Time::us(106), trace::FlushQueueFlushed{Time::us(103).ps(), 3, 0, trace::FlushCause::timer, 0});
    t.on_event(Time::us(107), trace::FlushQueueFlushed{Time::us(106).ps(), 3, 0, trace::FlushCause::full, 0});
    t.on_event(Time::us(110), trace::PagesPinned{512, 512});
    t.on_event(Time::us(111), trace::PagesUnpinned{12, 500});
    t.on_event(Time::us(112), trace::PagesUnpinned{10, 490});
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const std::uint32_t hit = i < 1000 ? i % 4 != 0 : 1;
      t.on_event(Time::us(200 + i), trace::DmaBurst{0, 0, 64, Time::us(200 + i).ps(), 0, 0, 0, hit, 0, 0});
    }
  });
  CHECK(trace.samples_of("I/O in flight (count)") == Samples{{0, 1}, {90'000, 0}});
  CHECK(trace.samples_of("flush queue, domain 3: pending (entries)") ==
        Samples{{100'000, 1}, {101'000, 2}, {105'000, 3}, {106'000, 1}, {107'000, 0}});
  CHECK(trace.samples_of("pinned memory (4 KiB pages)") == Samples{{110'000, 512}, {210'000, 490}});  // each 100 us
  CHECK(trace.samples_of("IOTLB hits per 1000 lookups") == Samples{{1'199'000, 750}, {2'199'000, 1000}});
}

TEST_CASE("what is 0 nearly always is shown where it is not") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    for (const std::uint32_t status : {0u, 5u}) {
      t.on_event(Time::us(1 + status), trace::IoCompleted{1, 0, status});
      t.on_event(Time::us(1 + status), trace::CommandCompleted{0, 1, 7, status});
      t.on_event(Time::us(1 + status),
                 trace::DmaBurst{0, 0, 64, Time::us(1 + status).ps(), 0, 0, 0, status == 0, 2 * status, status / 5});
    }
  });
  const auto shows = [](const auto& events, const char* what) {
    std::vector<std::size_t> shown;
    for (const auto& event : events) shown.push_back(event.annotations.count(what));
    return shown;
  };
  const std::vector<std::size_t> second_only = {0, 1};
  CHECK(shows(trace.instants("complete"), "status") == second_only);
  CHECK(shows(trace.instants("post completion"), "NVMe status") == second_only);
  CHECK(shows(trace.slices_on("DMA"), "page-walk reads") == second_only);
  CHECK(shows(trace.slices_on("DMA"), "entries evicted") == second_only);
}

TEST_CASE("a kick is its exit, which says for how many requests; one that was suppressed stands by itself") {
  const auto trace = draw({}, [](PerfettoTimeline& t) {
    t.on_event(Time::us(1), trace::GuestKick{3, 0, 0});
    t.on_event(Time::us(2), trace::VmExit{Time::us(1).ps(), 0, trace::ExitReason::external_interrupt});
    t.on_event(Time::us(3), trace::VmExit{Time::us(2).ps(), 0, trace::ExitReason::ept_misconfig});
    t.on_event(Time::us(4), trace::GuestKick{2, 0, 1});
    t.on_event(Time::us(5), trace::VmExit{Time::us(4).ps(), 0, trace::ExitReason::ept_misconfig});
  });
  const auto exits = trace.slices_on("exits of vCPU 0");
  REQUIRE(exits.size() == 3);
  CHECK(exits[0].annotations.empty());
  CHECK(exits[1].annotations.at("requests") == 3);
  CHECK(exits[2].annotations.empty());
  CHECK(trace.instants("kick (suppressed)").size() == 1);
}

TEST_CASE("tracks hang under their process and carry the caller's names") {
  TimelineOptions options;
  options.names = {.locks = {"iova_rbtree_lock"}, .devices = {"nvme0"}};
  options.exits = observe::ExitSpelling::svm;
  const auto trace = draw(options, [](PerfettoTimeline& t) {
    t.on_event(Time::us(5), trace::LockAcquired{Time::us(2).ps(), 0, 1});
    t.on_event(Time::us(6), trace::LockAcquired{0, 1, 1});
    t.on_event(Time::us(7), trace::LockReleased{Time::us(2).ps(), 0, 1});
    t.on_event(Time::us(8), trace::LockReleased{Time::us(2).ps(), 1, 1});
    t.on_event(Time::us(9), trace::VmExit{Time::us(8).ps(), 1, trace::ExitReason::ept_misconfig});
    t.on_event(Time::us(9), trace::Doorbell{0, 4, 0, 1});
    t.on_event(Time::us(9), trace::Doorbell{1, 4, 1, 1});
    t.on_event(Time::us(9), trace::VerdictRaised{0, 0, trace::Verdict::stale_dma, 0});
  });
  const auto chain = [&](const std::string& name) {
    Names names;
    for (const auto& [uuid, track] : trace.tracks) {
      if (track.name != name) continue;
      for (auto at = uuid; at != 0; at = trace.tracks.at(at).parent) names.push_back(trace.tracks.at(at).name);
      break;
    }
    return names;
  };
  CHECK(chain("spinning") == Names{"spinning", "vCPU 1", "guest"});
  CHECK(chain("iova_rbtree_lock") == Names{"iova_rbtree_lock", "locks"});
  CHECK(chain("lock 1") == Names{"lock 1", "locks"});
  CHECK(chain("exits of vCPU 1") == Names{"exits of vCPU 1", "host"});
  CHECK(chain("queue 4") == Names{"queue 4", "nvme0"});
  CHECK(trace.lanes("device 1") == 1);
  const auto spins = trace.slices_on("spinning");
  REQUIRE(spins.size() == 1);
  CHECK(spins[0].name == "spin on iova_rbtree_lock");
  CHECK(spins[0].ended_ns - spins[0].began_ns == 2'000);
  CHECK(trace.slices_on("exits of vCPU 1").at(0).name == "npf");
  CHECK(trace.instants("stale DMA").size() == 1);
}

TEST_CASE("any stream of events is a trace that keeps the rules, in any window") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TimelineOptions options;
    if (seed % 2 == 0) {
      options.from = Time::us(seed);
      options.to = Time::us(seed + 2);
    }
    const auto trace = draw(options, [&](PerfettoTimeline& t) {
      test::RandomEvents{seed}.run(20'000, [&](Time at, const trace::Event& e) { t.on_event(at, e); });
    });
    CHECK(trace.events.size() > 1000);
  }
}

TEST_CASE("the same stream is the same file") {
  ScratchFolder folder;
  const auto bytes = [&](const char* name) {
    PerfettoTimeline timeline{{.path = folder / name, .from = {}, .to = Time::max(), .exits = {}, .names = {}}};
    test::RandomEvents{5}.run(5'000, [&](Time at, const trace::Event& e) { timeline.on_event(at, e); });
    REQUIRE(!timeline.close());
    std::ifstream in(folder / name, std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  const std::string first = bytes("a");
  CHECK(first.size() > 100'000);
  CHECK(first == bytes("b"));
}

TEST_CASE("protoc, with the public field numbers, reads every packet and finds no unknown field") {
  ScratchFolder folder;
  PerfettoTimeline timeline{{.path = folder / "t", .from = {}, .to = Time::max(), .exits = {}, .names = {}}};
  test::RandomEvents{11}.run(3'000, [&](Time at, const trace::Event& e) { timeline.on_event(at, e); });
  REQUIRE(!timeline.close());

  const std::string command = std::string(PROTOC) + " --proto_path=tests/support --decode=perfetto.protos.Trace " +
                              "tests/support/perfetto_minimal.proto < " + (folder / "t").string() + " > " +
                              (folder / "text").string();
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream text(folder / "text");
  std::size_t packets = 0;
  for (std::string line; std::getline(text, line);) {
    packets += line == "packet {" ? 1 : 0;
    const auto first = line.find_first_not_of(' ');
    // An unknown field is printed by its number.
    if (std::isdigit(static_cast<unsigned char>(line[first])) != 0) FAIL("unknown field: " << line);
  }
  CHECK(packets == test::read_perfetto(folder / "t").packets);
}
