// SPDX-License-Identifier: Apache-2.0
// What timing explains of a recording, and what it does not.
#include "platform/conform/schedule.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace gnomon;
using namespace gnomon::conform;
using guest::ReplayStep;
using Kind = RecordedStep::Kind;

namespace {

class Trace {
 public:
  Trace& map(std::uint16_t cpu, std::uint64_t pfn) {
    recording.mappings.push_back({pfn << 12, 4096, gtrace::Direction::to_device, {{0x5000, 4096}}});
    return add(Kind::map, cpu, pfn, static_cast<std::uint32_t>(recording.mappings.size() - 1));
  }
  Trace& unmap(std::uint16_t cpu, std::uint64_t pfn) {
    std::uint32_t mapping = 0;
    for (std::uint32_t i = 0; i < recording.mappings.size(); ++i)
      if (recording.mappings[i].iova == pfn << 12) mapping = i;
    return add(Kind::unmap, cpu, pfn, mapping);
  }
  Trace& timer(std::uint16_t cpu) {
    recording.flushes_marked = true;
    return add(Kind::flush_timer, cpu, 0, 0);
  }
  Recording recording;

 private:
  Trace& add(Kind kind, std::uint16_t cpu, std::uint64_t pfn, std::uint32_t mapping) {
    recording.steps.push_back({kind, cpu, now_ += 4'000'000, pfn << 12, pfn == 0 ? 0u : 4096u, mapping});
    recording.cpus = 2;
    return *this;
  }
  std::uint64_t now_ = 0;
};

ScheduleOptions options(bool lazy) {
  ScheduleOptions o;
  o.iova = guest::iova_linux_6_12;
  o.flush_queue = guest::flush_queue_per_cpu;
  o.lazy = lazy;
  o.cpus = 2;
  return o;
}

}  // namespace

TEST_CASE("a strict guest's reuse is explained by nothing but the order") {
  Trace t;
  t.map(0, 0xfffbe).unmap(0, 0xfffbe).map(0, 0xfffbe).map(0, 0xfffbd).unmap(0, 0xfffbe).unmap(0, 0xfffbd);
  t.map(0, 0xfffbd);
  const Schedule s = explain(t.recording, options(false));
  CHECK_FALSE(s.mismatch);
  CHECK(s.maps == 4);
  CHECK(s.interrupted == 0);
  CHECK(s.free_before == 0);
  CHECK(s.script.occupied == std::vector<guest::PageRange>{{0xfffbf, 0xfffff}});
}

TEST_CASE("IOVAs that lay in a magazine are found, and put there again") {
  Trace t;
  t.map(1, 0xffffc).map(1, 0xffffa).map(1, 0xffffd).map(1, 0xfffbe).map(1, 0xfffbd);
  const Schedule s = explain(t.recording, options(false));
  CHECK_FALSE(s.mismatch);
  CHECK(s.free_before == 3);
  CHECK(s.script.prelude == 6);  // each mapped and unmapped on its CPU
}

TEST_CASE("a map that an interrupt came into has its IOVA from before") {
  Trace t;
  t.map(0, 0xfffff).map(0, 0xffffe).unmap(0, 0xfffff).map(0, 0xffffd).unmap(0, 0xffffe).map(0, 0xffffe);
  // 0xfffff was freed before 0xffffd was mapped, and not taken: the map had its IOVA already.
  const Schedule s = explain(t.recording, options(false));
  CHECK_FALSE(s.mismatch);
  CHECK(s.interrupted == 1);
  CHECK(std::count_if(s.script.steps.begin(), s.script.steps.end(),
                      [](const ReplayStep& step) { return step.kind == ReplayStep::Kind::allocate; }) == 1);
}

TEST_CASE("a map whose event another CPU's overtook was allocated first") {
  Trace t;
  t.map(1, 0xffffe).map(0, 0xfffff).map(0, 0xffffd);
  const Schedule s = explain(t.recording, options(false));
  CHECK_FALSE(s.mismatch);
  CHECK(s.free_before == 0);
  CHECK(s.overtaken == 1);
  CHECK(s.interrupted == 0);
  REQUIRE(s.script.steps.size() == 4);
  CHECK(s.script.steps.front().kind == ReplayStep::Kind::allocate);
  CHECK(s.script.steps.front().cpu == 0);
}

TEST_CASE("the depot gives magazines back to the tree after its delay, one at a time, down to a CPU's each") {
  const auto fill = [](std::uint64_t magazines) {
    Trace t;
    const std::uint64_t count = magazines * 127 + 1;
    for (std::uint64_t i = 0; i < count; ++i) t.map(0, 0xfffff - i);
    for (std::uint64_t i = 0; i < count; ++i) t.unmap(0, 0xfffff - i);
    return t;
  };
  // 254 stay with the CPU; the depot gets a magazine with the 255th, 382nd, 509th and 636th, of 4 ms each. With 2
  // CPUs the third is one too many, and after 100 ms goes; the fourth goes to the other CPU.
  Trace t = fill(5);
  t.map(1, 0xfffff - 634);  // the last it got, from the top
  for (unsigned i = 0; i < 30; ++i) t.unmap(1, 0xfffff - 634).map(1, 0xfffff - 634);
  ScheduleOptions o = options(false);
  const Schedule trimmed = explain(t.recording, o);
  CHECK_FALSE(trimmed.mismatch);
  CHECK(trimmed.depot_trims == 1);
  CHECK(std::count_if(trimmed.script.steps.begin(), trimmed.script.steps.end(),
                      [](const ReplayStep& step) { return step.kind == ReplayStep::Kind::depot_trim; }) == 1);
  o.iova = guest::iova_linux_6_1;
  CHECK(explain(t.recording, o).depot_trims == 0);
}

TEST_CASE("a CPU may free what is in its queue before the timer comes to it") {
  Trace t;
  t.map(0, 0xfffff).map(1, 0xffffe).unmap(0, 0xfffff).unmap(1, 0xffffe).timer(0);
  t.map(1, 0xffffd).unmap(1, 0xffffd);  // here CPU 1 frees 0xffffe, for itself
  t.map(1, 0xffffe).map(0, 0xfffff);
  const Schedule s = explain(t.recording, options(true));
  CHECK_FALSE(s.mismatch);
  CHECK(s.left_queues == 1);
  const auto timer = std::find_if(s.script.steps.begin(), s.script.steps.end(), [](const ReplayStep& step) {
    return step.kind == ReplayStep::Kind::flush_timer;
  });
  REQUIRE(timer != s.script.steps.end());
  CHECK(timer->mapping == 0b10);
}

TEST_CASE("a flush may begin after what the trace shows behind its timer") {
  Trace t;
  t.map(0, 0xfffff).map(1, 0xffffe).unmap(0, 0xfffff).timer(0).unmap(1, 0xffffe);
  t.map(0, 0xffffe).map(0, 0xfffff);  // both came back to CPU 0
  const Schedule s = explain(t.recording, options(true));
  CHECK_FALSE(s.mismatch);
  CHECK(s.delayed_flushes == 1);
  CHECK(s.free_before == 0);
}

TEST_CASE("an IOVA the allocator would never hand out is a mismatch") {
  Trace t;
  t.map(0, 0xfffff).unmap(0, 0xfffff).map(0, 0xfffff).unmap(0, 0xfffff).map(0, 0xffffe).map(0, 0x12345);
  const Schedule s = explain(t.recording, options(false));
  REQUIRE(s.mismatch);
  CHECK(s.explained_maps < s.maps);
}

TEST_CASE("addresses that no allocator can have come to are a mismatch from the start") {
  Trace t;
  t.map(0, 0x40001).map(0, 0x40002).unmap(0, 0x40001);
  for (RecordedMapping& mapping : t.recording.mappings) mapping.bytes = std::uint64_t{1} << 30;
  for (RecordedStep& step : t.recording.steps) step.bytes = std::uint64_t{1} << 30;
  const Schedule s = explain(t.recording, options(false));
  REQUIRE(s.mismatch);
  CHECK(s.explained_maps == 0);
  CHECK(s.script.steps.size() == 3);
}

TEST_CASE("a lazy IOVA comes back with the timer, not before") {
  Trace with, without;
  with.map(0, 0xfffff).unmap(0, 0xfffff).map(0, 0xffffe).unmap(0, 0xffffe).timer(0).map(0, 0xffffe).map(0, 0xfffff);
  const Schedule s = explain(with.recording, options(true));
  CHECK_FALSE(s.mismatch);
  CHECK(s.timer_flushes == 1);
  CHECK(s.unmarked_timer_flushes == 0);
  REQUIRE(s.delays.count == 1);
  CHECK(s.delays.shortest_ns == 12'000'000);
  without.map(0, 0xfffff).unmap(0, 0xfffff).map(0, 0xffffe).unmap(0, 0xffffe).map(0, 0xffffe).map(0, 0xfffff);
  without.recording.flushes_marked = true;  // the trace would show a flush
  CHECK(explain(without.recording, options(true)).mismatch);
}

TEST_CASE("a full queue flushes by itself") {
  Trace t;
  for (std::uint64_t pfn = 0xfffff; pfn > 0xfffff - 256; --pfn) t.map(0, pfn);
  for (std::uint64_t pfn = 0xfffff; pfn > 0xfffff - 256; --pfn) t.unmap(0, pfn);
  t.recording.flushes_marked = true;
  const Schedule s = explain(t.recording, options(true));
  CHECK_FALSE(s.mismatch);
  CHECK(s.full_flushes == 1);  // at the 256th
  CHECK(s.timer_flushes == 0);
}
