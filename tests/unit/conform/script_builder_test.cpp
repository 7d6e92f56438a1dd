// SPDX-License-Identifier: Apache-2.0
// Recorded events as a replay's script.
#include "platform/replay/script_builder.hpp"

#include <catch2/catch.hpp>

using namespace gnomon;
using gtrace::Direction;
using gtrace::Event;
using gtrace::EventKind;
using guest::ReplayStep;

namespace {

Event map(std::uint64_t time, std::uint64_t cpu, std::uint64_t iova, std::vector<gtrace::Run> runs) {
  Event e;
  e.kind = EventKind::map;
  e.time_ns = time;
  e.lane = cpu;
  e.address = iova;
  e.direction = Direction::to_device;
  for (const gtrace::Run& run : runs) e.bytes += run.bytes;
  e.runs = std::move(runs);
  return e;
}
Event unmap(std::uint64_t time, std::uint64_t cpu, std::uint64_t iova, std::uint64_t bytes) {
  Event e;
  e.kind = EventKind::unmap;
  e.time_ns = time;
  e.lane = cpu;
  e.address = iova;
  e.bytes = bytes;
  return e;
}

}  // namespace

TEST_CASE("maps keep runs, directions and CPUs; times count from the first") {
  replay::ScriptBuilder builder;
  builder.add(map(1000, 1, 0xfffe0000, {{0x5000, 0x2000}, {0x9000, 0x1000}}));
  builder.add(unmap(5000, 0, 0xfffe0000, 0x3000));
  const guest::ReplayScript script = builder.take();
  REQUIRE(script.steps.size() == 2);
  CHECK(script.cpus == 2);
  CHECK(script.prelude == 0);
  CHECK(script.steps[0].cpu == 1);
  CHECK(script.steps[1].kind == ReplayStep::Kind::unmap);
  CHECK(script.steps[1].at == Time::us(4));
  REQUIRE(script.mappings.size() == 1);
  CHECK(script.mappings[0].bytes == 0x3000);
  CHECK(script.mappings[0].runs == 2);
  CHECK(script.mappings[0].access == guest::DmaAccess{true, false});
  CHECK(script.runs[1].start == Gpa{0x9000});
}

TEST_CASE("a buffer off the page takes every page it touches") {
  replay::ScriptBuilder builder;
  builder.add(map(0, 0, 0xfffe0f00, {{0x5f00, 0x200}}));
  const guest::ReplayScript script = builder.take();
  CHECK(script.mappings[0].bytes == 0x2000);
  CHECK(script.runs[0].start == Gpa{0x5000});
}

TEST_CASE("what the trace leaves open is made up and counted") {
  replay::ScriptBuilder builder;
  builder.add(unmap(10, 0, 0xffff0000, 0x1000));  // mapped before
  Event blank = map(20, 0, 0xfffe0000, {});
  blank.bytes = 0x4000;
  blank.direction = Direction::unknown;
  builder.add(blank);
  builder.add(unmap(30, 0, 0xfffe0000, 0x1000));            // a part of it
  builder.add(map(40, 0, 0xfffe0000, {{0x7000, 0x1000}}));  // mapped again without an unmap
  const replay::Doubts d = builder.doubts();
  CHECK(d.mapped_before == 1);
  CHECK(d.unknown_runs == 1);
  CHECK(d.unknown_directions == 1);
  CHECK(d.partial_unmaps == 1);
  CHECK(d.dropped_maps == 1);
  CHECK(replay::sentences(d).size() == 5);
  const guest::ReplayScript script = builder.take();
  CHECK(script.prelude == 1);
  CHECK(script.steps[0].kind == ReplayStep::Kind::map);
}
